//! From a payment to an agent.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::core::PartialObjectMeta;
use oc_domain::{TenantId, TierId};
use oc_sandbox::{
    billing,
    operator::{Around, Stack},
};
use serde_json::json;
use tokio::time::interval;

use super::{first, now, owner, quantiles, ready_pod, seconds, size};
use crate::support::{execute, setup};

#[tokio::test(flavor = "multi_thread")]
async fn one_checkout_a_second_is_an_agent_soon() {
    let count = size(5, 30, 300);
    let billing = billing::Stack::start(billing::Setup::new(program())).await.unwrap();
    let around = Around {
        database: billing.database.clone(),
        redis_url: billing.redis.url(),
        remote: billing.remote.path().to_owned(),
    };
    let stack = Stack::around(setup(), around, tempfile::tempdir().unwrap()).await.unwrap();
    // The first one is not measured: it finds everything cold, and an empty fleet.
    let mut pages = Vec::new();
    for number in 0..=count {
        let page = billing.checkout(0, &format!("c{number}"), TierId::Starter).await;
        pages.push(page.unwrap());
    }
    let pay = |number: usize| {
        let words = format!("checkout={}:works", pages[number].session);
        let at = now();
        billing.at_stripe(&words).unwrap();
        at
    };
    pay(0);
    first(&stack, ready_pod, 1).await;
    let paying = async {
        let mut beat = interval(Duration::from_secs(1));
        let mut paid = HashMap::new();
        for (number, page) in pages.iter().enumerate().skip(1) {
            beat.tick().await;
            paid.insert(page.account.to_string(), pay(number));
        }
        paid
    };
    let deployments = first(&stack, |one: &PartialObjectMeta<Deployment>| owner(one), count + 1);
    let pods = first(&stack, |one: &Pod| ready_pod(one), count + 1);
    let (paid, deployments, pods) = tokio::join!(paying, deployments, pods);
    let sql = "select account_id, tenant_id, extract(epoch from done_at)
        from spec_changes
        join tenants on tenants.id = tenant_id
        where status = 'committed'";
    let (mut pushed, mut applied, mut ready) = (Vec::new(), Vec::new(), Vec::new());
    for row in execute(&stack, sql).await.lines() {
        let [account, tenant, done] = row.split('|').collect::<Vec<_>>().try_into().unwrap();
        let Some(paid) = paid.get(account) else { continue };
        let tenant: TenantId = tenant.parse().unwrap();
        pushed.push(done.parse::<f64>().unwrap() - paid.as_duration().as_secs_f64());
        applied.push(seconds(*paid, deployments[&tenant]));
        ready.push(seconds(*paid, pods[&tenant]));
    }
    assert_eq!(ready.len(), count);
    let report = json!({"checkouts": count, "pushed_ms": quantiles(pushed),
        "applied_ms": quantiles(applied), "ready_ms": quantiles(ready)});
    println!("bench {report}");
}

/// Billing's program, which lies beside the operator's.
fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_oc-operator")).with_file_name("oc-billing");
    assert!(program.exists(), "build it first: cargo build --package oc-billing --bin oc-billing");
    program
}
