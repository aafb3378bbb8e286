//! The load generator against stand-ins.

use std::{collections::HashMap, time::Duration};

use http::HeaderMap;
use oc_sandbox::{
    kimi::{Kimi, Options},
    load::{Bound, Dialect, Error, Plan, Process, Report, Target, TokenHeader, run},
};

use crate::support::{answer, kimi, started};

fn plan(kimis: &[&Kimi]) -> Plan {
    let targets = kimis.iter().enumerate().map(|(number, kimi)| Target {
        name: ["direct", "proxy"][number].to_owned(),
        address: kimi.addr(),
        prefix: String::new(),
        headers: HeaderMap::new(),
    });
    Plan {
        targets: targets.collect(),
        dialect: Dialect::OpenAi,
        model: "kimi-k2.5".to_owned(),
        body_bytes: 1024,
        stream: false,
        gap: Duration::ZERO,
        clients: 1.try_into().unwrap(),
        bound: Bound::Count(20),
        rate: None,
        tokens: vec!["sk-1".to_owned()],
        token_header: TokenHeader::Bearer,
        processes: Vec::new(),
    }
}

async fn report(plan: Plan) -> Report {
    let report = run(&plan).await.unwrap();
    for target in &report.targets {
        assert_eq!(target.errors(), 0, "{report}");
    }
    report
}

fn clients(count: usize) -> std::num::NonZeroUsize {
    count.try_into().unwrap()
}

#[tokio::test]
async fn every_size_and_dialect_is_understood_and_exact() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        for body_bytes in [1 << 10, 16 << 10, 400 << 10] {
            for stream in [false, true] {
                let kimi = kimi("frames=4").await;
                let bound = Bound::Count(2);
                let plan = Plan { dialect, body_bytes, stream, bound, ..plan(&[&kimi]) };
                let report = report(plan).await;
                assert_eq!(report.body_bytes, body_bytes);
                let log = kimi.log();
                // One of them is the warm-up.
                assert_eq!(log.len(), 3);
                let tokens = (log[1].tokens.input * 36 / 10) as usize;
                assert!((body_bytes * 7 / 10..body_bytes * 12 / 10).contains(&tokens), "{tokens}");
            }
        }
    }
}

#[tokio::test]
async fn one_client_takes_turns_between_the_targets() {
    let (direct, slow) = (kimi("").await, kimi("delay=20ms").await);
    let report = report(plan(&[&direct, &slow])).await;
    let [direct_figures, slow_figures] = report.targets.as_slice() else { panic!("two targets") };
    assert_eq!((direct_figures.answers, slow_figures.answers), (20, 20));
    assert!(slow_figures.latency.p50_ns >= 20_000_000);
    assert!(direct_figures.latency.p50_ns < slow_figures.latency.p50_ns);
    let times = |kimi: &Kimi| kimi.log().iter().map(|entry| entry.at_ms).collect::<Vec<_>>();
    let (direct, slow) = (times(&direct), times(&slow));
    assert!(direct[2..].iter().zip(&slow[1..]).all(|(next, slow)| next >= slow));
    assert!(report.to_string().contains("proxy - direct"), "{report}");
}

#[tokio::test]
async fn more_clients_ask_at_the_same_time_and_a_time_bound_ends_them() {
    let kimi = kimi("delay=10ms").await;
    let bound = Bound::Time(Duration::from_millis(500));
    let report = report(Plan { clients: clients(8), bound, ..plan(&[&kimi]) }).await;
    let figures = &report.targets[0];
    // 8 clients at most a hundred times a second each; one alone would make 50 in the time.
    assert!((60..=450).contains(&figures.answers), "{report}");
    assert!(figures.per_second > 100.0 && figures.per_second < 850.0, "{report}");
}

#[tokio::test]
async fn load_is_spread_over_all_tokens() {
    let kimi = kimi("").await;
    let tokens: Vec<String> = (0..10).map(|number| format!("sk-{number}")).collect();
    let bound = Bound::Count(95);
    report(Plan { tokens, bound, clients: clients(5), ..plan(&[&kimi]) }).await;
    let mut keys: HashMap<String, u32> = HashMap::new();
    for entry in kimi.log() {
        *keys.entry(entry.key.to_string()).or_default() += 1;
    }
    // 95 and the warm-up of five clients.
    assert_eq!(keys.values().sum::<u32>(), 100);
    assert_eq!(keys.len(), 10);
}

#[tokio::test]
async fn a_proxy_key_is_no_bearer() {
    let kimi = kimi("").await;
    let mut plan = Plan { token_header: TokenHeader::XProxyKey, ..plan(&[&kimi]) };
    let refused = run(&plan).await.unwrap();
    assert_eq!(refused.targets[0].statuses, [(401, 20)].into());
    assert_eq!((refused.targets[0].errors(), refused.targets[0].latency.max_ns), (20, 0));
    plan.targets[0].headers.insert("x-api-key", "sk-1".parse().unwrap());
    report(plan).await;
}

#[tokio::test]
async fn what_goes_wrong_is_counted_by_kind() {
    let kimi = kimi("").await;
    let warm_up = answer("");
    let script = ["status=429", "status=500", "cut=head", "cut=0"];
    kimi.script(std::iter::once(warm_up).chain(script.map(answer)));
    let report = run(&Plan { bound: Bound::Count(10), ..plan(&[&kimi]) }).await.unwrap();
    let figures = &report.targets[0];
    assert_eq!(figures.statuses, [(200, 6), (429, 1), (500, 1)].into());
    assert_eq!((figures.broken, figures.unconnected, figures.errors()), (2, 0, 4));
}

#[tokio::test]
async fn streams_are_held_to_their_beat() {
    let kimi = kimi("frames=8 gap=20ms").await;
    let streams =
        Plan { stream: true, bound: Bound::Count(10), clients: clients(5), ..plan(&[&kimi]) };
    let report = report(Plan { gap: Duration::from_millis(20), ..streams.clone() }).await;
    let figures = &report.targets[0];
    assert_eq!((figures.answers, figures.lost_frames, figures.late_frames), (10, 0, 0), "{report}");
    assert!(figures.first_frame.unwrap().p50_ns < figures.latency.p50_ns);
    assert!(figures.latency.p50_ns >= 8 * 20_000_000);
    assert!(figures.lateness.unwrap().p50_ns < 15_000_000, "{report}");
    kimi.set(answer("frames=3 gap=250ms"));
    let late = run(&Plan { bound: Bound::Count(5), ..streams }).await.unwrap();
    assert_eq!(late.targets[0].late_frames, 5 * 2);
}

#[tokio::test]
async fn a_stream_that_stops_early_is_broken() {
    let kimi = kimi("frames=8").await;
    kimi.script([answer(""), answer("cut=3"), answer("plain")]);
    let plan = Plan { stream: true, bound: Bound::Count(3), ..plan(&[&kimi]) };
    let report = run(&plan).await.unwrap();
    assert_eq!((report.targets[0].broken, report.targets[0].statuses[&200]), (2, 1));
}

#[tokio::test]
async fn a_fixed_rate_charges_a_stall_for_all_that_waited() {
    let kimi = kimi("").await;
    // The warm-up, then a stall of half a second, in which fifty requests should have started.
    kimi.script([answer(""), answer("delay=500ms")]);
    let bound = Bound::Time(Duration::from_secs(2));
    let report = report(Plan { rate: Some(100.0), bound, ..plan(&[&kimi]) }).await;
    let latency = report.targets[0].latency;
    assert!((195..=205).contains(&report.targets[0].answers), "{report}");
    assert!(latency.p50_ns < 100_000_000, "{report}");
    // Waits of 500, 490, 480 ... ms: a quarter of all was kept waiting.
    assert!(latency.p99_ns > 400_000_000, "{report}");
}

#[tokio::test]
async fn processes_are_charged_for_what_they_use() {
    let kimi = kimi("").await;
    let own = |name: &str| Process { name: name.to_owned(), pid: std::process::id() };
    let processes = vec![own("direct"), own("other")];
    let plan = Plan { processes, bound: Bound::Count(3000), ..plan(&[&kimi]) };
    let report = report(plan).await;
    assert!(report.processes.iter().all(|process| process.peak_bytes > 1 << 20));
    assert!(report.processes[0].cpu_seconds > 0.0 && report.processes[0].cpu_us_per_answer > 0.0);
}

#[tokio::test]
async fn a_plan_that_cannot_be_is_refused() {
    let kimi = kimi("").await;
    let rate = Plan { rate: Some(0.0), ..plan(&[&kimi]) };
    assert!(matches!(run(&rate).await, Err(Error::Rate(_))));
    let token = Plan { tokens: vec!["a\nb".to_owned()], ..plan(&[&kimi]) };
    assert!(matches!(run(&token).await, Err(Error::NotHttp(_))));
    let gone = started(Options::default()).await;
    let nobody = plan(&[&gone]);
    drop(gone);
    assert!(matches!(run(&nobody).await, Err(Error::NoAnswer(..))));
}
