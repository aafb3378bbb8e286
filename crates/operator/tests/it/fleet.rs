//! What is wrong in git stays there: nobody loses what was good, and somebody is told.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use oc_domain::{TenantId, tenant::Phase};
use oc_sandbox::operator::Stack;
use oc_testkit::wait_for;
use serde_json::{Value, json};

use crate::support::{SOON, condition, phase, pods, running, setup, spec, tenant, uid, wait};

const BAD: &str = "openclaw_operator_fleet_bad_files";
const MISSING: &str = "openclaw_operator_fleet_missing_files";
const FAILING: &str = "openclaw_operator_fleet_failing";
const INVENTORY: &str = "openclaw_operator_fleet_inventory_invalid";

/// Waits until the operator says so.
async fn metric(stack: &Stack, name: &str, expected: f64) {
    wait(stack, &format!("{name} to be {expected}"), async || {
        let value = stack.services[0].metric(name).await?;
        Ok(((value - expected).abs() < 0.5).then_some(()))
    })
    .await;
}

/// Waits until the tenant says that of what git says.
async fn specified(stack: &Stack, id: &TenantId, expected: &str) -> String {
    let client = stack.client().unwrap();
    wait(stack, &format!("{id} to be {expected}"), async || {
        let tenant = tenant(&client, id).await.unwrap();
        let conditions = tenant.status.clone().unwrap_or_default().conditions;
        let message = conditions.iter().find(|it| it.type_ == "Specified");
        let message = message.map(|it| it.message.clone()).unwrap_or_default();
        Ok((condition(&tenant, "Specified") == expected).then_some(message))
    })
    .await
}

/// Waits until a change of another tenant is carried out.
async fn others_go_on(stack: &Stack, id: &TenantId) {
    let client = stack.client().unwrap();
    let was_low = tenant(&client, id).await.unwrap().spec.thinking.is_some();
    let mut spec = spec("starter", "active");
    if !was_low {
        spec["thinking"] = json!("low");
    }
    stack.push(&[(id, spec)]).await.unwrap();
    let done = wait_for(SOON, "another's change", async || {
        let tenant = tenant(&client, id).await.unwrap();
        let status = tenant.status.clone().unwrap_or_default();
        let observed = status.observed_generation == tenant.metadata.generation;
        Ok((tenant.spec.thinking.is_some() != was_low && observed).then_some(()))
    });
    done.await.unwrap();
}

fn file(id: &TenantId, spec: &Value) -> String {
    json!({
        "apiVersion": "openclaw.cloud/v1alpha1", "kind": "Tenant",
        "metadata": { "name": id }, "spec": spec,
    })
    .to_string()
}

/// Adds a commit as `fast-import` reads it, on the branch or instead of it.
fn commit(stack: &Stack, root: bool, changes: &str) {
    let from = if root { "" } else { "from refs/heads/main^0\n" };
    let stream = format!(
        "commit refs/heads/main\ncommitter A <a@example.org> now\ndata 1\nx\n{from}{changes}"
    );
    let mut child = Command::new("git")
        .args(["fast-import", "--quiet", "--force", "--date-format=now"])
        .current_dir(stack.remote.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_bad_file_leaves_its_tenant_as_it_was_and_says_so() {
    let mut stack = Stack::start(setup()).await.unwrap();
    let client = stack.client().unwrap();
    let id = running(&stack, "c-7f3k2m9q", "starter").await;
    let other = running(&stack, "c-8g4m3n0r", "starter").await;
    let pod = uid(&pods(&client, &id).await[0]);
    let good = file(&id, &spec("starter", "active"));
    let wrong_name = file(&"c-9h5n4p1s".parse().unwrap(), &spec("starter", "active"));
    let huge = format!("{}{}", " ".repeat(1 << 20), good);
    let cases = [
        ("invalid JSON", "{ \"apiVersion\": ".to_owned(), "Invalid"),
        ("an unknown tier", good.replace("starter", "platinum"), "Invalid"),
        ("an unknown field", good.replace("\"tier\"", "\"colour\":1,\"tier\""), "Invalid"),
        ("bytes", "\u{0}\u{1}\u{7f}ELF".to_owned(), "Invalid"),
        ("nothing", String::new(), "Invalid"),
        ("1 MB", huge, "Invalid"),
        ("another's name", wrong_name, "Invalid"),
    ];
    for (what, text, reason) in cases {
        stack.push_files(&[(id.path(), text)]).await.unwrap();
        let message = specified(&stack, &id, &format!("False {reason}")).await;
        assert!(message.contains(&id.path()), "{what}: {message}");
        metric(&stack, BAD, 1.0).await;
        others_go_on(&stack, &other).await;
        assert_eq!(uid(&pods(&client, &id).await[0]), pod, "{what}");
        mended(&stack, &id, &good).await;
    }
    two_files(&stack, &id, &good).await;
    no_regular_file(&stack, &id, &good).await;
    nobodys_files(&stack).await;
    vanished(&mut stack, &id, &other, &good).await;
    assert_eq!(uid(&pods(&client, &id).await[0]), pod);
}

/// With a good file, all is well again.
async fn mended(stack: &Stack, id: &TenantId, good: &str) {
    stack.push_files(&[(id.path(), good.to_owned())]).await.unwrap();
    specified(stack, id, "True Valid").await;
    metric(stack, BAD, 0.0).await;
    metric(stack, MISSING, 0.0).await;
    phase(stack, id, Phase::Ready).await;
}

async fn two_files(stack: &Stack, id: &TenantId, good: &str) {
    let second = format!("tenants/zz/{id}.json");
    stack.push_files(&[(second.clone(), good.to_owned())]).await.unwrap();
    let message = specified(stack, id, "False Invalid").await;
    assert!(message.contains(&second) && message.contains(&id.path()), "{message}");
    metric(stack, BAD, 1.0).await;
    stack.remote.remove(&[&second]).unwrap();
    stack.tell().await.unwrap();
    mended(stack, id, good).await;
}

async fn no_regular_file(stack: &Stack, id: &TenantId, good: &str) {
    commit(stack, false, &format!("M 120000 inline {}\ndata 9\n/dev/null\n", id.path()));
    stack.tell().await.unwrap();
    let message = specified(stack, id, "False Invalid").await;
    assert!(message.contains(&id.path()), "{message}");
    metric(stack, BAD, 1.0).await;
    mended(stack, id, good).await;
}

/// Files that are no tenant's.
async fn nobodys_files(stack: &Stack) {
    let path = "tenants/README.json".to_owned();
    stack.push_files(&[(path.clone(), "{}".to_owned())]).await.unwrap();
    metric(stack, BAD, 1.0).await;
    stack.remote.remove(&[&path]).unwrap();
    stack.tell().await.unwrap();
    metric(stack, BAD, 0.0).await;
}

/// A file that is gone ends nobody, also after a restart.
async fn vanished(stack: &mut Stack, id: &TenantId, other: &TenantId, good: &str) {
    stack.remote.remove(&[&id.path()]).unwrap();
    stack.tell().await.unwrap();
    specified(stack, id, "False FileMissing").await;
    metric(stack, MISSING, 1.0).await;
    others_go_on(stack, other).await;
    stack.services[0].kill().unwrap();
    stack.restart(0).await.unwrap();
    metric(stack, MISSING, 1.0).await;
    specified(stack, id, "False FileMissing").await;
    phase(stack, id, Phase::Ready).await;
    mended(stack, id, good).await;
}

#[tokio::test]
async fn what_happens_to_the_repository_ends_nobody() {
    let mut stack = Stack::start(setup()).await.unwrap();
    let client = stack.client().unwrap();
    let id = running(&stack, "c-7f3k2m9q", "starter").await;
    let other = running(&stack, "c-8g4m3n0r", "starter").await;
    let pod = uid(&pods(&client, &id).await[0]);
    rewritten(&stack, &id, &other).await;
    bad_inventory(&mut stack, &id, &other).await;
    branch_deleted(&mut stack, &other).await;
    remote_away(&stack, &other).await;
    assert_eq!(uid(&pods(&client, &id).await[0]), pod);
    thousands(&stack, &other).await;
}

/// The branch begins anew, with the same files and then with one fewer.
async fn rewritten(stack: &Stack, id: &TenantId, other: &TenantId) {
    let all = |paths: &[String]| {
        let file = |path: &String| {
            let text = stack.remote.git(&["show", &format!("main:{path}")]).unwrap();
            format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len())
        };
        paths.iter().map(file).collect::<String>()
    };
    let inventory = "nodes/inventory.json".to_owned();
    let before = stack.cluster.writes().unwrap().len();
    let (same, fewer) =
        (all(&[inventory.clone(), id.path(), other.path()]), all(&[inventory, other.path()]));
    let reads = stack.log(0).unwrap().matches("the fleet repository is read").count();
    commit(stack, true, &same);
    stack.tell().await.unwrap();
    wait(stack, "the other history", async || {
        let now = stack.log(0)?.matches("the fleet repository is read").count();
        Ok((now > reads).then_some(()))
    })
    .await;
    let writes = stack.cluster.writes().unwrap();
    let ours = writes[before..].iter().filter(|it| it.user == oc_sandbox::operator::USER);
    assert_eq!(ours.count(), 0, "its files are the same");
    commit(stack, true, &fewer);
    stack.tell().await.unwrap();
    specified(stack, id, "False FileMissing").await;
    metric(stack, MISSING, 1.0).await;
    others_go_on(stack, other).await;
    mended(stack, id, &file(id, &spec("starter", "active"))).await;
}

/// The last valid inventory stays, and is found by one that begins.
async fn bad_inventory(stack: &mut Stack, id: &TenantId, other: &TenantId) {
    let path = "nodes/inventory.json".to_owned();
    let good = stack.remote.git(&["show", "main:nodes/inventory.json"]).unwrap();
    let revision = phase(stack, id, Phase::Ready).await.status.unwrap().revision;
    for bad in ["{", "{}", ""] {
        stack.push_files(&[(path.clone(), bad.to_owned())]).await.unwrap();
        metric(stack, INVENTORY, 1.0).await;
        others_go_on(stack, other).await;
    }
    stack.services[0].kill().unwrap();
    stack.restart(0).await.unwrap();
    metric(stack, INVENTORY, 1.0).await;
    others_go_on(stack, other).await;
    assert_eq!(phase(stack, other, Phase::Ready).await.status.unwrap().revision, revision);
    stack.remote.remove(&[&path]).unwrap();
    stack.tell().await.unwrap();
    others_go_on(stack, other).await;
    metric(stack, INVENTORY, 1.0).await;
    stack.push_files(&[(path, good)]).await.unwrap();
    metric(stack, INVENTORY, 0.0).await;
    others_go_on(stack, other).await;
    assert_eq!(phase(stack, id, Phase::Ready).await.status.unwrap().revision, revision);
}

async fn branch_deleted(stack: &mut Stack, other: &TenantId) {
    stack.remote.git(&["branch", "-m", "main", "kept"]).unwrap();
    nobody_ends(stack, other).await;
    stack.services[0].kill().unwrap();
    stack.restart(0).await.unwrap();
    nobody_ends(stack, other).await;
    stack.remote.git(&["branch", "-m", "kept", "main"]).unwrap();
    stack.tell().await.unwrap();
    metric(stack, FAILING, 0.0).await;
    others_go_on(stack, other).await;
}

async fn remote_away(stack: &Stack, other: &TenantId) {
    let (path, away) = (stack.remote.path(), stack.remote.path().with_extension("away"));
    std::fs::rename(path, &away).unwrap();
    nobody_ends(stack, other).await;
    let namespaces: Api<Namespace> = Api::all(stack.client().unwrap());
    assert!(
        namespaces.get(&other.namespace()).await.unwrap().metadata.deletion_timestamp.is_none()
    );
    std::fs::rename(&away, path).unwrap();
    metric(stack, FAILING, 0.0).await;
    others_go_on(stack, other).await;
}

/// The operator says that it cannot read, and all is as it was.
async fn nobody_ends(stack: &Stack, other: &TenantId) {
    let bulletin = oc_streams::Bulletin::new(&stack.redis_url.clone().into()).unwrap();
    bulletin.fleet_moved("somewhere").await.unwrap();
    metric(stack, FAILING, 1.0).await;
    phase(stack, other, Phase::Ready).await;
    assert_eq!(pods(&stack.client().unwrap(), other).await.len(), 1);
}

/// Nobody that runs waits for those who come.
async fn thousands(stack: &Stack, other: &TenantId) {
    let spec = spec("starter", "suspended");
    let files: Vec<(String, String)> = (0..4_000_u32)
        .map(|number| {
            let [_, _, high, low] = number.to_be_bytes();
            let id = TenantId::draw([9, 9, 9, high, low]);
            (id.path(), file(&id, &spec))
        })
        .collect();
    stack.push_files(&files).await.unwrap();
    let crowd = async || stack.services[0].metric("openclaw_operator_queue_depth").await;
    wait(stack, "the crowd", async || Ok((crowd().await? > 1000.0).then_some(()))).await;
    others_go_on(stack, other).await;
    assert!(crowd().await.unwrap() > 100.0, "it has waited for the crowd");
}
