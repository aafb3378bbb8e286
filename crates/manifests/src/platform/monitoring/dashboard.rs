//! Grafana dashboards from what differs between them: titles, units and queries.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

/// Columns of Grafana's grid.
const GRID: usize = 24;
/// Panels side by side.
const ACROSS: usize = 3;
const WIDTH: usize = GRID / ACROSS;
/// In lines of the grid.
const HEIGHT: usize = 8;
const TITLE_HEIGHT: usize = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Board {
    title: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    title: String,
    panels: Vec<Panel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Panel {
    title: String,
    /// As Grafana names its units.
    unit: String,
    /// Expressions by their legends.
    queries: BTreeMap<String, String>,
}

/// The dashboard that `board` describes, under the address `uid`, as Grafana's JSON.
pub(super) fn expand(uid: &str, board: &str) -> String {
    #[expect(clippy::expect_used, reason = "a test renders every dashboard")]
    let board: Board = serde_json::from_str(board).expect("a dashboard of ours");
    let (mut panels, mut line) = (Vec::new(), 0);
    for row in board.rows {
        panels.push(json!({
            "type": "row", "title": row.title, "collapsed": false,
            "gridPos": { "x": 0, "y": line, "w": GRID, "h": TITLE_HEIGHT },
        }));
        line += TITLE_HEIGHT;
        let count = row.panels.len();
        for (index, panel) in row.panels.into_iter().enumerate() {
            let (x, y) = (index % ACROSS * WIDTH, line + index / ACROSS * HEIGHT);
            panels.push(panel.place(x, y));
        }
        line += count.div_ceil(ACROSS) * HEIGHT;
    }
    for (id, panel) in (1..).zip(&mut panels) {
        panel["id"] = Value::from(id);
    }
    let board = json!({
        "uid": format!("openclaw-{uid}"), "title": board.title, "tags": ["openclaw"],
        "schemaVersion": 39, "editable": false, "refresh": "30s",
        "time": { "from": "now-6h", "to": "now" },
        "templating": { "list": [
            { "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus" },
        ] },
        "panels": panels,
    });
    format!("{board:#}\n")
}

impl Panel {
    /// Its JSON, with the upper left corner at column `x` and line `y`.
    fn place(self, x: usize, y: usize) -> Value {
        let source = json!({ "type": "prometheus", "uid": "${datasource}" });
        let target = |(id, (legend, expr)): (char, (String, String))| json!({ "refId": id, "datasource": source, "expr": expr, "legendFormat": legend });
        let targets: Vec<Value> = ('A'..='Z').zip(self.queries).map(target).collect();
        json!({
            "type": "timeseries", "title": self.title, "datasource": source, "targets": targets,
            "gridPos": { "x": x, "y": y, "w": WIDTH, "h": HEIGHT },
            "fieldConfig": { "defaults": { "unit": self.unit, "min": 0 }, "overrides": [] },
        })
    }
}
