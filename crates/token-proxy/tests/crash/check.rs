//! The stand-in's log beside the ledger and Redis.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    process::Command,
    time::Duration,
};

use oc_domain::{ModelId, usage::Tokens};
use oc_sandbox::kimi::End;
use oc_testkit::wait_for;
use serde_json::json;

use crate::{
    Size,
    clients::{Answers, Customer},
    kills::{Kill, Kills},
    sampler::Samples,
};

/// Leases, abandoned deliveries, and Postgres catching up.
const PATIENCE: Duration = Duration::from_mins(1);
const ROWS: &str = "select request_id, period_id, input_tokens, cached_input_tokens, output_tokens,
    reasoning_tokens, charged_tokens, excess_tokens, measured, outcome from usage_events";

struct Row {
    period: i64,
    tokens: Tokens,
    charged: u64,
    excess: u64,
    measured: bool,
    outcome: String,
}

/// What came out.
pub(crate) struct Report {
    faults: Vec<String>,
    killed: BTreeMap<String, usize>,
    answers: Answers,
    samples: Samples,
    /// Requests that the stand-in saw.
    seen: usize,
    rows: usize,
    /// Rows whose outcome is so, measured and estimated.
    outcomes: BTreeMap<String, [usize; 2]>,
    /// Of each estimated row that the stand-in saw: our count less its own.
    errors: Vec<(String, i64)>,
}

/// Waits until all is settled, and compares.
pub(crate) async fn check(
    kills: &Kills,
    customers: &[Customer],
    killed: Vec<Kill>,
    answers: Answers,
    samples: Samples,
) -> Report {
    kills.ready().await;
    settled(kills).await;
    let mut report = Report {
        faults: samples.exceeded.iter().map(|one| format!("exceeded: {one}")).collect(),
        killed: BTreeMap::new(),
        answers,
        samples,
        seen: 0,
        rows: 0,
        outcomes: BTreeMap::new(),
        errors: Vec::new(),
    };
    for kill in killed {
        *report.killed.entry(format!("{kill:?}")).or_default() += 1;
    }
    for proxy in ["proxy-0.log", "proxy-1.log"] {
        let kept = format!("{}/{proxy}", env!("CARGO_TARGET_TMPDIR"));
        fs::copy(kills.stack.folder().join(proxy), kept).unwrap();
    }
    let rows = rows(kills).await;
    report.requests(kills, &rows);
    report.quotas(kills, customers, &rows).await;
    let quarantined = sql(kills, "select count(*) from usage_quarantine").await;
    if quarantined != "0" {
        report.faults.push(format!("{quarantined} in quarantine"));
    }
    report
}

/// No request is open, and every event is in the ledger.
async fn settled(kills: &Kills) {
    let mut redis = kills.redis_connection().await;
    let quiet = async || {
        let leases: u64 = redis::cmd("ZCARD").arg("oc:leases").query_async(&mut redis).await?;
        let waiting: u64 = redis::cmd("EVAL")
            .arg(
                "local waiting = redis.call('XPENDING', 'oc:usage', 'ledger')[1] \
                 local last = redis.call('XINFO', 'GROUPS', 'oc:usage')[1][8] \
                 return waiting + #redis.call('XRANGE', 'oc:usage', '(' .. last, '+')",
            )
            .arg(0)
            .query_async(&mut redis)
            .await?;
        let in_flight = kills.stack.kimi.stats().in_flight;
        Ok((leases == 0 && waiting == 0 && in_flight == 0).then_some(()))
    };
    if let Err(error) = wait_for(PATIENCE, "all to be settled", quiet).await {
        panic!("a stuck reservation or event: {error:#}");
    }
}

async fn sql(kills: &Kills, statement: &str) -> String {
    // The one database that the stack has made on a server of its own.
    let url = kills.postgres.url();
    let url = format!("{}test_0", url.strip_suffix("postgres").unwrap());
    kills.postgres.execute(&url, statement).await.unwrap()
}

async fn rows(kills: &Kills) -> HashMap<String, Row> {
    let text = sql(kills, ROWS).await;
    text.lines()
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            let number = |index: usize| cells[index].parse::<u64>().unwrap();
            let row = Row {
                period: cells[1].parse().unwrap(),
                tokens: Tokens {
                    input: number(2),
                    cached_input: number(3),
                    output: number(4),
                    reasoning: number(5),
                },
                charged: number(6),
                excess: number(7),
                measured: cells[8] == "t",
                outcome: cells[9].to_owned(),
            };
            (cells[0].to_owned(), row)
        })
        .collect()
}

impl Report {
    /// Each request that the stand-in saw has a row, and measured ones are as it counted.
    fn requests(&mut self, kills: &Kills, rows: &HashMap<String, Row>) {
        let mut seen: BTreeMap<String, (Tokens, Vec<End>)> = BTreeMap::new();
        for entry in kills.stack.kimi.log() {
            // A request that was repeated is there more than once.
            let (sum, ends) = seen.entry(entry.request_id.to_string()).or_default();
            sum.input += entry.tokens.input;
            sum.cached_input += entry.tokens.cached_input;
            sum.output += entry.tokens.output;
            ends.push(entry.end);
        }
        (self.seen, self.rows) = (seen.len(), rows.len());
        for (request, (billed, ends)) in &seen {
            let Some(row) = rows.get(request) else {
                self.faults.push(format!("no row: {request} {ends:?} {billed:?}"));
                continue;
            };
            let billed = Tokens { reasoning: row.tokens.reasoning, ..*billed };
            if !row.measured {
                let sum = |tokens: Tokens| tokens.input + tokens.cached_input + tokens.output;
                let error = sum(row.tokens).cast_signed() - sum(billed).cast_signed();
                self.errors.push((format!("{request} {} {ends:?}", row.outcome), error));
            } else if row.tokens != billed {
                let Row { tokens, outcome, .. } = row;
                let fault = format!("{request} {outcome} {ends:?} {tokens:?}, billed {billed:?}");
                self.faults.push(fault);
            }
        }
        for (request, row) in rows {
            let counts = self.outcomes.entry(row.outcome.clone()).or_default();
            counts[usize::from(!row.measured)] += 1;
            if row.charged + row.excess != row.tokens.quota(ModelId::KimiK2p5) {
                self.faults.push(format!("{request}: charged {} of {:?}", row.charged, row.tokens));
            }
        }
    }

    /// Redis, the periods and the ledger say the same of each quota.
    async fn quotas(&mut self, kills: &Kills, customers: &[Customer], rows: &HashMap<String, Row>) {
        let mut redis = kills.redis_connection().await;
        let mut sums: HashMap<i64, u64> = HashMap::new();
        for row in rows.values() {
            *sums.entry(row.period).or_default() += row.charged;
        }
        for Customer { name, period, limit, .. } in customers {
            let ledger = sums.get(period).copied().unwrap_or(0);
            let statement = format!("select used_tokens from periods where id = {period}");
            let booked: u64 = sql(kills, &statement).await.parse().unwrap();
            let (used, reserved): (Option<u64>, Option<u64>) = redis::cmd("HMGET")
                .arg(format!("oc:u:{period}"))
                .arg(&["used", "reserved"])
                .query_async(&mut redis)
                .await
                .unwrap();
            // A Redis that has lost everything asks for a quota when it is needed.
            let (used, reserved) = (used.unwrap_or(ledger), reserved.unwrap_or(0));
            if [booked, used] != [ledger; 2] || reserved != 0 || used > *limit {
                self.faults.push(format!(
                    "{name}: ledger {ledger}, period {booked}, Redis {used} and {reserved} \
                     reserved, of {limit}"
                ));
            }
        }
        let left: Vec<String> =
            redis::cmd("KEYS").arg("oc:r:*").query_async(&mut redis).await.unwrap();
        self.faults.extend(left.iter().map(|key| format!("stuck: {key}")));
    }

    #[expect(clippy::print_stdout, reason = "for people")]
    pub(crate) fn print(&self, took: Duration, size: Size) {
        let estimated = self.errors.len();
        let absolute: u64 = self.errors.iter().map(|(_, error)| error.unsigned_abs()).sum();
        let rows = [
            ("clients, tenants", format!("{}, {}", size.clients, size.tenants)),
            ("seconds", took.as_secs().to_string()),
            ("killed", format!("{:?}", self.killed)),
            ("clients' view", format!("{:?}", self.answers)),
            ("requests that the stand-in saw", self.seen.to_string()),
            ("rows", self.rows.to_string()),
            ("outcomes [measured, estimated]", format!("{:?}", self.outcomes)),
            ("estimated of those seen", estimated.to_string()),
            ("their error in tokens, absolute sum", absolute.to_string()),
            ("samples of quotas", self.samples.taken.to_string()),
            ("of a full quota", self.samples.full.to_string()),
            ("faults", self.faults.len().to_string()),
        ];
        for (name, value) in &rows {
            println!("{name:<36} {value}");
        }
        let mut worst: Vec<_> = self.errors.iter().collect();
        worst.sort_by_key(|(_, error)| std::cmp::Reverse(error.unsigned_abs()));
        println!("the worst of the estimated, all of them in target/bench/crash-token-proxy.json:");
        for (request, error) in worst.into_iter().take(10) {
            println!("  {error:+} {request}");
        }
        self.write(&rows);
    }

    fn write(&self, rows: &[(&str, String)]) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/bench");
        fs::create_dir_all(folder).unwrap();
        let commit = Command::new("git").args(["rev-parse", "HEAD"]).output().unwrap().stdout;
        let figures: serde_json::Map<_, _> =
            rows.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let json = json!({
            "commit": String::from_utf8_lossy(&commit).trim(),
            "cores": std::thread::available_parallelism().unwrap(),
            "figures": figures,
            "estimated": self.errors,
            "faults": self.faults,
        });
        fs::write(format!("{folder}/crash-token-proxy.json"), format!("{json:#}\n")).unwrap();
    }

    pub(crate) fn assert(&self) {
        assert!(self.seen > 0 && self.rows > 0 && self.samples.taken > 0);
        assert!(self.faults.is_empty(), "{}", self.faults.join("\n"));
    }
}
