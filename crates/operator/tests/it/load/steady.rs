//! A large fleet of which nothing is wanted.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use oc_domain::TenantId;
use oc_sandbox::operator::{Stack, USER};
use oc_testkit::{Request, wait_for};
use serde_json::json;
use tokio::time::sleep;

use super::{
    applied_generation, draw, first, memory_mib, now, patience, pay_for, provision, ready_pod,
    seconds, size, writes,
};
use crate::support::{setup, spec, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_at_rest_is_left_alone_and_found_again_after_a_crash() {
    let (tenants, active, quiet) = size((40, 8, 4), (500, 50, 30), (5_000, 500, 300));
    let mut stack = Stack::start(setup()).await.unwrap();
    let ids = draw(0..tenants);
    pay_for(&stack, &ids).await;
    let began = now();
    let state = |number| if number < active { "active" } else { "suspended" };
    let pods = first(&stack, |pod: &Pod| ready_pod(pod), active);
    tokio::join!(provision(&stack, &ids, state), pods);
    rest(&stack).await;
    let provisioned = seconds(began, now());
    let before = writes(&stack);
    let cpu = cpu_seconds(stack.services[0].pid());
    sleep(Duration::from_secs(quiet)).await;
    let written = writes(&stack) - before;
    let pid = stack.services[0].pid();
    let cpu = (cpu_seconds(pid) - cpu) / Duration::from_secs(quiet).as_secs_f64();
    let mut report = json!({
        "tenants": tenants, "active": active, "provisioned_seconds": provisioned,
        "quiet_seconds": quiet, "writes": written, "cpu_share": cpu,
        "resident_mib": memory_mib(pid, "VmRSS"), "most_resident_mib": memory_mib(pid, "VmHWM"),
    });
    let (seconds, strangers) = crash(&mut stack, &ids[tenants - 1], tenants).await;
    let pid = stack.services[0].pid();
    report["restart_seconds"] = json!(seconds);
    report["writes_after_restart"] = json!(strangers.len());
    report["resident_mib_after_restart"] = json!(memory_mib(pid, "VmRSS"));
    report["most_resident_mib_after_restart"] = json!(memory_mib(pid, "VmHWM"));
    println!("bench {report}");
    assert_eq!(written, 0);
    assert_eq!(strangers, []);
}

/// Kills the operator and has it do something for one tenant: how long it takes until that is done
/// and everyone was looked at, and what it wrote that was not about that one.
async fn crash(stack: &mut Stack, id: &TenantId, tenants: usize) -> (f64, Vec<Request>) {
    let before = stack.cluster.writes().unwrap().len();
    stack.services[0].kill().unwrap();
    let began = now();
    stack.restart(0).await.unwrap();
    // It stays suspended: there is no change of phase, and so no event that bears no name.
    stack.push(&[(id, spec("pro", "suspended"))]).await.unwrap();
    let client = stack.client().unwrap();
    let looks = "openclaw_operator_reconciles_total{outcome=\"ok\"}";
    let all = f64::from(u32::try_from(tenants).unwrap());
    let done = wait_for(patience(), "the operator to be at rest again", async || {
        let changed = tenant(&client, id).await.and_then(|tenant| applied_generation(&tenant));
        let looked = stack.services[0].metric(looks).await? >= all;
        let depth = stack.services[0].metric("openclaw_operator_queue_depth").await?;
        Ok((changed.is_some_and(|it| it.1 == 2) && looked && depth == 0.0).then_some(()))
    });
    done.await.unwrap();
    let seconds = seconds(began, now());
    rest(stack).await;
    let mut writes = stack.cluster.writes().unwrap().split_off(before);
    let about = |it: &Request| it.name == id.as_str() || it.namespace == id.namespace();
    writes.retain(|request| request.user == USER && !about(request));
    let namespace = id.namespace();
    writes.retain(|request| request.name != namespace);
    (seconds, writes.iter().map(|request| request.as_ref().clone()).collect())
}

/// Waits until the operator has written nothing for a while.
async fn rest(stack: &Stack) {
    let mut known = usize::MAX;
    loop {
        let now = writes(stack);
        if now == known {
            return;
        }
        known = now;
        sleep(Duration::from_secs(3)).await;
    }
}

/// What a process has computed.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: f64 = [fields[11], fields[12]].iter().map(|it| it.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}
