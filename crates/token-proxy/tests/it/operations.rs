//! The process: metrics, reload, drain, and what it does without Redis or Postgres.

use std::time::{Duration, Instant};

use oc_sandbox::stack::{Setup, Stack, ask};
use oc_testkit::{Postgres, wait_for};
use serde_json::{Value, json};

use crate::{setup, start};

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_alerts_and_the_dashboard_is_there() {
    let stack = start().await;
    let token = stack.tenant("c-metrics", 1_000).await.unwrap();
    for _ in 0..3 {
        stack.chat(&token, &ask("hi")).await.unwrap().bytes().await.unwrap();
    }
    let text = stack.proxy.metrics().await.unwrap();
    let list = include_str!("../../../manifests/monitoring/token-proxy.metrics");
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let (name, kind) = line.rsplit_once(' ').unwrap();
        let name = name.split('{').next().unwrap();
        let base = name.strip_suffix("_total").filter(|_| kind == "counter").unwrap_or(name);
        assert!(text.contains(&format!("# TYPE {base} {kind}\n")), "{line}\n{text}");
    }
    assert!(text.contains("openclaw_token_proxy_requests_total{outcome=\"complete\","));
    assert!(!text.contains("c-metrics"), "a tenant's id is no label");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_streams_end_and_settles_everything() {
    let mut stack = start().await;
    let token = stack.tenant("c-drain", 1_000_000).await.unwrap();
    let mut body = ask("hi [[kimi frames=30 gap=50ms]]");
    body["stream"] = json!(true);
    let response = stack.chat(&token, &body).await.unwrap();
    let read = tokio::spawn(response.text());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    assert!(stack.proxy.drain().unwrap(), "a drain is a good end");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(read.await.unwrap().unwrap().contains("[DONE]"));
    // In the ledger before the end: nobody else is there to bring it.
    let totals = stack.totals("c-drain").await.unwrap();
    assert_eq!((totals.requests, totals.tokens), (1, stack.kimi.stats().tokens));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_longer_than_the_grace_is_cut_and_charged() {
    let mut stack = start().await;
    let token = stack.tenant("c-long", 1_000_000).await.unwrap();
    let mut body = ask("hi [[kimi frames=600 gap=50ms]]");
    body["stream"] = json!(true);
    let response = stack.chat(&token, &body).await.unwrap();
    let read = tokio::spawn(response.text());
    tokio::time::sleep(Duration::from_millis(300)).await;
    stack.proxy.drain().unwrap();
    assert!(read.await.unwrap().is_err(), "cut");
    let totals = stack.rows("c-long", 1).await.unwrap();
    assert!(totals.tokens.output > 100, "{totals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn suspension_and_revocation_hold_with_the_next_request() {
    let stack = start().await;
    let token = stack.tenant("c-revoked", 1_000_000).await.unwrap();
    assert_eq!(stack.chat(&token, &ask("hi")).await.unwrap().status(), 200);
    let limits = oc_streams::Limits {
        interval: Duration::from_millis(100),
        burst: 1,
        concurrency: 1,
        lease: Duration::from_secs(10),
    };
    // As the operator will: Postgres first, then its mirror.
    let ledger = oc_streams::Ledger::new(&stack.redis.url().into(), limits).unwrap();
    let connection = ledger.connection().unwrap();
    let session = oc_streams::recovery::Session::open(connection.clone()).await.unwrap();
    ledger.publish(Some(session.into_epoch()));
    let (tenant, account) = ("c-revoked".parse().unwrap(), "a-c-revoked".parse().unwrap());
    let policy = oc_streams::Policy {
        tier: oc_domain::TierId::Starter,
        locale: oc_domain::Locale::En,
        thinking: oc_domain::Thinking::Low,
    };
    let mirror = |generation, active, version| oc_streams::Tenant {
        id: &tenant,
        version,
        generation,
        active,
        account: &account,
        policy,
        models: &[oc_domain::ModelId::KimiK2p5],
    };
    connection.mirror().unwrap().put_tenant(&mirror(1, false, i64::MAX - 1)).await.unwrap();
    let response = stack.chat(&token, &ask("hi")).await.unwrap();
    assert_eq!(response.headers()["x-openclaw-notice"], "suspended");
    connection.mirror().unwrap().put_tenant(&mirror(2, true, i64::MAX)).await.unwrap();
    assert_eq!(stack.chat(&token, &ask("hi")).await.unwrap().status(), 401);
    let newer = stack.sign(&tenant, 2);
    assert_eq!(stack.chat(&newer, &ask("hi")).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_and_keys_are_read_again_when_they_change() {
    let stack = start().await;
    let token = stack.tenant("c-reload", 1_000_000).await.unwrap();
    assert_eq!(stack.chat(&token, &ask("hi")).await.unwrap().status(), 200);
    // Nobody listens there: every request fails from the moment that the file is read.
    let path = stack.folder().join("upstreams.json");
    let good = std::fs::read_to_string(&path).unwrap();
    let address = stack.kimi.addr().to_string();
    std::fs::write(&path, good.replace(&address, "127.0.0.1:9")).unwrap();
    let failed = async || {
        let status = stack.chat(&token, &ask("hi")).await?.status();
        Ok((status == 503).then_some(()))
    };
    wait_for(Duration::from_secs(10), "the new file", failed).await.unwrap();
    // A broken file changes nothing; a good one does.
    std::fs::write(&path, "{").unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(stack.chat(&token, &ask("hi")).await.unwrap().status(), 503);
    std::fs::write(&path, good).unwrap();
    let works = async || Ok((stack.chat(&token, &ask("hi")).await?.status() == 200).then_some(()));
    wait_for(Duration::from_secs(30), "the old file", works).await.unwrap();
    std::fs::write(stack.folder().join("keys.pub"), "A".repeat(43)).unwrap();
    let refused =
        async || Ok((stack.chat(&token, &ask("hi")).await?.status() == 401).then_some(()));
    wait_for(Duration::from_secs(10), "the new key", refused).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_requests_are_held_and_then_refused_for_two_seconds() {
    let mut stack = start().await;
    let token = stack.tenant("c-redis", 1_000_000).await.unwrap();
    assert_eq!(stack.chat(&token, &ask("hi")).await.unwrap().status(), 200);
    stack.redis.kill();
    let began = Instant::now();
    let response = stack.chat(&token, &ask("hi")).await.unwrap();
    let held = began.elapsed();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"2".parse().unwrap())
    );
    assert!((1.0..4.5).contains(&held.as_secs_f64()), "{held:?}");
    stack.redis.restart().await.unwrap();
    let works = async || Ok((stack.chat(&token, &ask("hi")).await?.status() == 200).then_some(()));
    wait_for(Duration::from_secs(10), "Redis to be back", works).await.unwrap();
    let totals = stack.rows("c-redis", 2).await.unwrap();
    assert_eq!(totals.tokens, stack.kimi.stats().tokens);
    let usage = stack.usage(&token).await.unwrap();
    assert_eq!(usage["quota"]["used_tokens"].as_u64(), Some(totals.charged));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_known_tenants_go_on_and_nothing_is_lost() {
    let mut postgres = Postgres::start().await.unwrap();
    let stack = Stack::start_on(&postgres, setup()).await.unwrap();
    let token = stack.tenant("c-postgres", 1_000_000).await.unwrap();
    assert_eq!(stack.chat(&token, &ask("hi")).await.unwrap().status(), 200);
    postgres.kill().unwrap();
    for _ in 0..5 {
        assert_eq!(stack.chat(&token, &ask("hi")).await.unwrap().status(), 200);
    }
    postgres.restart().await.unwrap();
    let totals = stack.rows("c-postgres", 6).await.unwrap();
    assert_eq!(totals.tokens, stack.kimi.stats().tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_provider_takes_over_and_limits_are_warned_of() {
    // The first one is nowhere.
    let first = |upstreams: &mut Value| {
        let list = upstreams["upstreams"].as_array_mut().unwrap();
        let mut dead = list[0].clone();
        dead["name"] = json!("dead");
        dead["openai"] = json!("http://127.0.0.1:9/v1");
        list.insert(0, dead);
    };
    let stack = Stack::start(Setup { upstreams: Some(first), ..setup() }).await.unwrap();
    // Room for several requests between the first mark and the end, however late they are settled.
    let token = stack.tenant("c-second", 3_000).await.unwrap();
    let mut warned = Vec::new();
    let mut body = ask("hi");
    body["max_tokens"] = json!(100);
    loop {
        let response = stack.chat(&token, &body).await.unwrap();
        assert_eq!(response.status(), 200);
        if response.headers().contains_key("x-openclaw-notice") {
            break;
        }
        let warning = response.headers().get("x-token-warning");
        warned.extend(warning.map(|warning| warning.to_str().unwrap().to_owned()));
    }
    warned.dedup();
    assert!(
        !warned.is_empty() && warned.iter().all(|w| ["80%", "90%"].contains(&&**w)),
        "{warned:?}"
    );
    let used = async || {
        let text = stack.proxy.metrics().await?;
        Ok(text.contains("quota_warnings_total{percent=\"80\"} 1").then_some(()))
    };
    wait_for(Duration::from_secs(10), "the warning to be counted", used).await.unwrap();
}
