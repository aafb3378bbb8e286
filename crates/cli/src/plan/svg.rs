//! The plan as a chart for a README or a dashboard: one file, no script, light and dark.

use std::fmt::Write as _;

use super::{
    outlook::{Need, Outlook},
    print::{account, amount, dollars, headline, is_shown, margin, number, states},
};

use crate::failure::plural;

const WIDTH: u64 = 760;
/// Height of a line of text with its bar.
const LINE: u64 = 24;
const LEFT: u64 = 24;
/// Where bars begin, and how long a full one is.
const BAR_LEFT: u64 = 160;
const BAR: u64 = 300;
/// Letters of a line: what fits in the widest of the usual fonts.
const LETTERS: usize = 100;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}.h{font-size:17px;font-weight:600}.b{font-weight:600}\
.d{fill:#59636e}.bg{fill:#fff}.t{fill:#d1d9e0}.ok{fill:#1a7f37}\
.near{fill:#bf8700}.over{fill:#cf222e}.c{fill:#0969da}.m{fill:#8250df}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.d{fill:#9198a1}.bg{fill:#0d1117}\
.t{fill:#3d444d}.ok{fill:#3fb950}.near{fill:#d29922}.over{fill:#f85149}.c{fill:#4493f8}\
.m{fill:#ab7df8}}";

/// What has been drawn, and how far down.
struct Drawing {
    body: String,
    y: u64,
}

/// The chart, as the text of an SVG file.
pub(super) fn chart(outlook: &Outlook) -> String {
    let mut drawing = Drawing { body: String::new(), y: LEFT };
    drawing.line(&margin(&outlook.totals), "h");
    drawing.line(&account(&outlook.totals), "d");
    let nodes = plural(outlook.nodes, "node");
    drawing.line(&format!("{}, {nodes}", states(outlook.tenants)), "d");
    for problem in &outlook.problems {
        drawing.paragraph(&format!("impossible: {}", problem.message), "over");
    }
    drawing.pools(outlook);
    drawing.tiers(outlook);
    let checked = &outlook.prices_checked;
    let rate = &outlook.exchange.checked;
    drawing.line(&format!("prices of {checked}, euro of {rate}"), "d");
    let (height, body) = (drawing.y, drawing.body);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n<title>{}</title>\n\
         <style>{STYLE}</style>\n\
         <rect class=\"bg\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n{body}</svg>\n",
        escape(&headline(&outlook.totals))
    )
}

impl Drawing {
    /// A line of text of its own.
    fn line(&mut self, text: &str, class: &str) {
        self.text(LEFT, text, class);
        self.y += LINE;
    }

    /// A text of as many lines as it needs.
    fn paragraph(&mut self, text: &str, class: &str) {
        let mut line = String::new();
        for word in text.split(' ') {
            if !line.is_empty() && line.chars().count() + word.chars().count() >= LETTERS {
                self.line(&std::mem::take(&mut line), class);
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&line, class);
    }

    fn text(&mut self, x: u64, text: &str, class: &str) {
        let y = self.y + 11;
        self.add(format_args!(
            "<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{}</text>",
            escape(text)
        ));
    }

    fn rectangle(&mut self, x: u64, width: u64, class: &str) {
        let y = self.y;
        self.add(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"14\" rx=\"2\" class=\"{class}\"/>"
        ));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // A String takes everything.
        let _ = writeln!(self.body, "{element}");
    }

    fn pools(&mut self, outlook: &Outlook) {
        for pool in outlook.pools.iter().filter(|pool| is_shown(pool)) {
            self.y += LINE / 2;
            let cost = dollars(pool.cents.cast_signed());
            let nodes = plural(pool.nodes, "node");
            self.line(&format!("pool {}: {nodes}, {cost}", pool.pool), "b");
            for need in pool.needs.iter().filter(|need| need.allocatable.is_some()) {
                self.need(need);
            }
        }
    }

    fn need(&mut self, need: &Need) {
        let percent = need.percent().unwrap_or_default();
        let class = match percent {
            0..=79 => "ok",
            80..=100 => "near",
            _ => "over",
        };
        self.text(LEFT, &need.resource.to_string(), "d");
        self.rectangle(BAR_LEFT, BAR, "t");
        self.rectangle(BAR_LEFT, BAR * percent.min(100) / 100, class);
        let asked = amount(need.resource, need.requested);
        let most = amount(need.resource, need.allocatable.unwrap_or_default());
        self.text(BAR_LEFT + BAR + 12, &format!("{percent} %, {asked} of {most}"), "d");
        self.y += LINE;
    }

    /// Where each tier's revenue goes, all on one scale.
    fn tiers(&mut self, outlook: &Outlook) {
        let largest = outlook.tiers.iter().map(|tier| {
            tier.revenue_cents.max(tier.cluster_cents + tier.model_cents.unwrap_or_default())
        });
        let largest = u128::from(largest.max().unwrap_or_default().max(1));
        let length = |cents: u64| {
            u64::try_from(u128::from(cents) * u128::from(BAR) / largest).unwrap_or(BAR)
        };
        self.y += LINE / 2;
        self.line("revenue a month", "b");
        for tier in &outlook.tiers {
            let (cluster, model) = (tier.cluster_cents, tier.model_cents.unwrap_or_default());
            let running = number(tier.tenants.running);
            self.text(LEFT, &format!("{} ({running})", tier.tier), "d");
            self.rectangle(BAR_LEFT, length(tier.revenue_cents), "ok");
            self.rectangle(BAR_LEFT, length(cluster + model), "m");
            self.rectangle(BAR_LEFT, length(cluster), "c");
            let (margin, room) = (dollars(tier.margin_cents), number(tier.room));
            self.text(BAR_LEFT + BAR + 12, &format!("margin {margin}, room for {room}"), "d");
            self.y += LINE;
        }
        for (x, class, name) in [(0, "c", "cluster"), (90, "m", "model"), (180, "ok", "margin")] {
            self.rectangle(BAR_LEFT + x, 14, class);
            self.text(BAR_LEFT + x + 20, name, "d");
        }
        self.y += LINE + LINE / 2;
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
