//! Many at once. The size is the small one unless `OPENCLAW_BENCH` is `quick` or `full`, see
//! `scripts/bench-channels`, which reads the line of JSON that each of these prints.

use std::{
    collections::HashMap,
    ops::RangeInclusive,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use hdrhistogram::Histogram;
use oc_store::{
    bots::{self, NewBot},
    secrets::KeyFile,
};
use oc_testkit::{Postgres, wait_for};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::support::{By, ENVELOPE, Stack, now};

/// What every delivery proves itself by.
const SECRET: &str = "a secret of all bots in this test";

/// What is asked for by `OPENCLAW_BENCH`.
fn size<T>(small: T, quick: T, full: T) -> T {
    #[expect(clippy::disallowed_methods, reason = "a test has no options")]
    match std::env::var("OPENCLAW_BENCH").as_deref() {
        Ok("full") => full,
        Ok("quick") => quick,
        _ => small,
    }
}

/// So many tenants `t-0`, `t-1`, ..., each with a bot and a person of its number.
async fn tenants(stack: &Stack, count: usize) -> Vec<String> {
    let last = count - 1;
    let postgres = Postgres::shared().await.unwrap();
    let statements = format!(
        "insert into accounts (id) values ('a-all');
        insert into tenants (id, account_id, tier, locale, model, thinking, state, generation)
        select 't-' || n, 'a-all', 'starter', 'pt-BR', 'kimi-coding/k2p5', 'medium', 'active', 1
        from generate_series(0, {last}) n;
        insert into chats
        select 't-' || n, 1000 + n, 1000 + n, 'pt-BR', now() from generate_series(0, {last}) n"
    );
    postgres.execute(&stack.database, &statements).await.unwrap();
    let keys: KeyFile = ENVELOPE.parse().unwrap();
    let set = stream::iter(0..count).for_each_concurrent(4, async |number| {
        let id = format!("t-{number}").parse().unwrap();
        let new = NewBot {
            telegram_id: 1_000_000 + i64::try_from(number).unwrap(),
            username: &format!("bot_{number}"),
            token: &format!("{number}:hush").into(),
            webhook_path: &format!("path-{number}"),
        };
        bots::set(&stack.store, &keys, &id, &new, now()).await.unwrap();
    });
    set.await;
    let known = format!("update bots set webhook_hash = sha256('{SECRET}')");
    postgres.execute(&stack.database, &known).await.unwrap();
    (0..count).map(|number| stack.sign(&format!("t-{number}").parse().unwrap(), 1)).collect()
}

/// The memory of a process, in MiB.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_wait_take_little_memory() {
    let count = size(500, 10_000, 10_000);
    let stack = Stack::start(1, By::Webhook).await;
    let tokens = tenants(&stack, count).await;
    let before = resident(stack.pid(0));
    let address = stack.replicas[0].url.trim_start_matches("http://").to_owned();
    let began = Instant::now();
    let waiting: Vec<TcpStream> = stream::iter(&tokens)
        .map(async |token| {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            // As a gateway asks.
            let body = r#"{"offset":0,"limit":100,"timeout":50,"allowed_updates":["message"]}"#;
            let head = format!(
                "POST /bot1:{token}/getUpdates HTTP/1.1\r\nhost: channels\r\ncontent-type: \
                 application/json\r\nconnection: keep-alive\r\naccept-encoding: gzip, deflate\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream
        })
        .buffer_unordered(64)
        .collect()
        .await;
    let wait = wait_for(Duration::from_secs(45), "all polls", async || {
        let polls = stack.metric(0, "openclaw_channels_polls").await;
        Ok((polls + 0.5 > f64::from(u32::try_from(count).unwrap())).then_some(()))
    });
    assert!(wait.await.is_ok(), "{}", stack.log(0));
    let seconds = began.elapsed().as_secs_f64();
    let idle = resident(stack.pid(0));
    drop(waiting);
    let report = json!({"polls": count, "before_mib": before, "idle_mib": idle,
        "kib_each": (idle - before) * 1024.0 / f64::from(u32::try_from(count).unwrap()),
        "seconds": seconds});
    println!("bench {report}");
    assert!(idle < 300.0, "{report}");
}

/// The time of this machine's processors so far, in ticks.
struct Machine {
    all: f64,
    /// What other machines on the same host had of it, while somebody here had something to do.
    stolen: f64,
}

impl Machine {
    fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap();
        let ticks = stat.lines().next().unwrap().split_whitespace().skip(1).take(8);
        let ticks: Vec<f64> = ticks.map(|ticks| ticks.parse().unwrap()).collect();
        Self { all: ticks.iter().sum(), stolen: ticks[7] }
    }

    /// The share that was stolen.
    fn stolen_until(&self, later: &Self) -> f64 {
        (later.stolen - self.stolen) / (later.all - self.all)
    }
}

/// When which update was sent, and how long each took.
struct Times {
    sent: Mutex<HashMap<(usize, i64), Instant>>,
    took: Mutex<Histogram<u64>>,
}

fn millis(times: &Histogram<u64>) -> Value {
    let at = |quantile: f64| {
        #[expect(clippy::cast_precision_loss, reason = "microseconds")]
        let micros = times.value_at_quantile(quantile) as f64;
        micros / 1000.0
    };
    json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "most": at(1.0)})
}

/// A pod that polls for ever.
async fn pod(client: Client, url: String, number: usize, times: Arc<Times>) {
    let mut offset = 0_i64;
    loop {
        let request = client.post(&url).json(&json!({"offset": offset, "timeout": 30}));
        let Ok(answer) = request.send().await else { return };
        let answer: Value = answer.json().await.unwrap();
        let now = Instant::now();
        for update in answer["result"].as_array().unwrap_or_else(|| panic!("{answer}")) {
            offset = update["update_id"].as_i64().unwrap() + 1;
            let id = update["message"]["message_id"].as_i64().unwrap();
            let sent = times.sent.lock().unwrap().remove(&(number, id)).unwrap();
            let micros = u64::try_from((now - sent).as_micros()).unwrap();
            times.took.lock().unwrap().record(micros).unwrap();
        }
    }
}

/// Sends these updates to `url(tenant)`, so many a second, each of the next tenant; gives how long
/// the answers took.
async fn deliver(
    client: &Client,
    url: impl Fn(usize) -> String,
    tenants: usize,
    per_second: u32,
    ids: RangeInclusive<i64>,
    times: &Arc<Times>,
) -> Histogram<u64> {
    let mut turn = interval(Duration::from_secs(1) / per_second);
    turn.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let acknowledged = Arc::new(Mutex::new(Histogram::new(3).unwrap()));
    let mut tasks = JoinSet::new();
    for id in ids {
        turn.tick().await;
        let number = usize::try_from(id).unwrap() % tenants;
        let user = 1000 + number;
        let body = json!({"update_id": id, "message": {"message_id": id, "date": 1,
            "text": "Bom dia, quanto custa?", "chat": {"id": user, "type": "private", "first_name": "Ana"},
            "from": {"id": user, "is_bot": false, "first_name": "Ana", "language_code": "pt-br"}}});
        let request = client.post(url(number)).header("x-telegram-bot-api-secret-token", SECRET);
        let request = request.body(body.to_string());
        let (times, acknowledged) = (Arc::clone(times), Arc::clone(&acknowledged));
        tasks.spawn(async move {
            let began = Instant::now();
            times.sent.lock().unwrap().insert((number, id), began);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            let micros = u64::try_from(began.elapsed().as_micros()).unwrap();
            acknowledged.lock().unwrap().record(micros).unwrap();
        });
        while tasks.try_join_next().is_some_and(|ended| {
            ended.unwrap();
            true
        }) {}
    }
    tasks.join_all().await;
    acknowledged.lock().unwrap().clone()
}

/// Answers 200 to everything, as long as the set lives: the bound of what can be measured here.
async fn bare() -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let _ = stream.set_nodelay(true);
                let mut buffer = vec![0; 16 << 10];
                // Requests are far smaller, and come one after another.
                while matches!(stream.read(&mut buffer).await, Ok(1..)) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (format!("http://{address}/"), server)
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_updates_a_second_reach_their_pods_soon() {
    let (count, seconds, per_second) = (500, size(3, 15, 60), size(100, 500, 500));
    let stack = Stack::start(1, By::Webhook).await;
    let tokens = tenants(&stack, count).await;
    let client = Client::builder().no_proxy().tcp_nodelay(true).build().unwrap();
    let times =
        || Arc::new(Times { sent: Mutex::default(), took: Mutex::new(Histogram::new(3).unwrap()) });
    let (direct, _server) = bare().await;
    let measured = times();
    let mut pods = JoinSet::new();
    let url = stack.replicas[0].url.clone();
    for (number, token) in tokens.iter().enumerate() {
        let url = format!("{url}/bot1:{token}/getUpdates");
        pods.spawn(pod(client.clone(), url, number, Arc::clone(&measured)));
    }
    sleep(Duration::from_secs(3)).await;
    let path = |number| format!("{url}/telegram/path-{number}");
    let drained = async || {
        let empty = async || Ok(measured.sent.lock().unwrap().is_empty().then_some(()));
        let all = wait_for(Duration::from_secs(20), "all deliveries", empty).await;
        assert!(all.is_ok(), "{} are lost", measured.sent.lock().unwrap().len());
    };
    // The first of each tenant also reads its bot and its key, for minutes.
    let firsts = i64::try_from(count).unwrap();
    deliver(&client, path, count, per_second, 1..=firsts, &measured).await;
    drained().await;
    let first = std::mem::replace(&mut *measured.took.lock().unwrap(), Histogram::new(3).unwrap());
    let ids = firsts + 1..=firsts + i64::from(per_second * seconds);
    let (unused, few) = (times(), per_second / 10);
    let bare =
        deliver(&client, |_| direct.clone(), count, few, 1..=i64::from(few * seconds), &unused);
    let before = Machine::now();
    let delivered = deliver(&client, path, count, per_second, ids, &measured);
    let (acknowledged, bare) = tokio::join!(delivered, bare);
    let stolen = before.stolen_until(&Machine::now());
    drained().await;
    pods.abort_all();
    let took = measured.took.lock().unwrap().clone();
    assert_eq!(took.len(), u64::from(per_second * seconds));
    let report = json!({"per_second": per_second, "seconds": seconds, "tenants": count,
        "delivered_ms": millis(&took), "first_ms": millis(&first), "acknowledged_ms": millis(&acknowledged),
        "bare_ms": millis(&bare), "stolen": stolen, "resident_mib": resident(stack.pid(0))});
    println!("bench {report}");
}
