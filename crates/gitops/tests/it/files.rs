//! Where tenants' files are, what is in them, and what is refused.

use std::os::unix::fs::symlink;

use oc_domain::{document, fleet::parse_tenant, tenant::TenantFile};
use oc_gitops::{Change, Error, Oid, Outcome};
use serde_json::{Value, json};

use crate::support::{Remote, apply, change, committed, git, hold, id, nth, path, tenant};

fn invalid(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Invalid(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_new_file_is_what_tenant_new_writes() {
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    let create: Value = serde_json::from_str(&tenant(&id(7))).unwrap();
    let new = Change {
        create: Some(create),
        ..change(1, &id(7), &[("/spec/tier", json!("pro")), ("/spec/thinking", json!("low"))])
    };
    let outcomes = apply(&mut fleet, &[new]).await.unwrap();
    assert_eq!(committed(&outcomes[0]), remote.tip());
    let text = remote.file(&id(7));
    let parsed = parse_tenant(&path(&id(7)), text.as_bytes()).unwrap();
    assert_eq!(text, document::text(&TenantFile::new(parsed.id, parsed.spec)).unwrap());
    assert!(text.contains("\"tier\": \"pro\",\n    \"niche\""), "{text}");
}

#[tokio::test]
async fn a_file_is_created_once_and_then_edited() {
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    let create: Value = serde_json::from_str(&tenant(&id(0)).replace("pt-BR", "en")).unwrap();
    let again =
        Change { create: Some(create), ..change(1, &id(0), &[("/spec/tier", json!("pro"))]) };
    apply(&mut fleet, &[again]).await.unwrap();
    assert_eq!(remote.json(&id(0))["spec"]["locale"], "pt-BR");
    let outcomes = apply(&mut fleet, &[hold(2, &id(1))]).await.unwrap();
    assert!(invalid(&outcomes[0]).contains("has no file"));
}

#[tokio::test]
async fn a_file_that_lies_flat_stays_there() {
    let remote = Remote::new(1);
    remote.import(&[
        (format!("tenants/{}.json", id(5)), tenant(&id(5))),
        ("tenants/acme.json".to_owned(), tenant("acme")),
        (path(&id(6)), tenant(&id(6))),
        (format!("tenants/{}.json", id(6)), tenant(&id(6))),
    ]);
    let mut fleet = remote.open().await;
    let changes = [hold(1, &id(5)), hold(2, "acme"), hold(3, &id(6))];
    let outcomes = apply(&mut fleet, &changes).await.unwrap();
    committed(&outcomes[1]);
    assert!(invalid(&outcomes[2]).contains("two files"));
    let touched = remote.git(&["diff", "--name-status", "main~2", "main"]);
    assert_eq!(touched, format!("M\ttenants/acme.json\nM\ttenants/{}.json", id(5)));
}

#[tokio::test]
async fn deleted_is_final() {
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    let state = |number, state| change(number, &id(0), &[("/spec/state", json!(state))]);
    let again = change(4, &id(0), &[("/spec/tier", json!("pro"))]);
    let changes = [state(1, "deleted"), state(2, "active"), state(3, "deleted"), again];
    let outcomes = apply(&mut fleet, &changes).await.unwrap();
    assert!(invalid(&outcomes[1]).contains("final"));
    assert_eq!(outcomes[2], Outcome::Unchanged);
    committed(&outcomes[3]);
    assert_eq!(remote.json(&id(0))["spec"]["state"], "deleted");
}

#[tokio::test]
async fn a_file_that_people_broke_is_left_to_them() {
    let remote = Remote::new(8);
    let files = [
        (0, tenant(&id(0)).replace("\"kind\"", "kind")),
        (1, tenant(&id(1)).replace("\"tier\"", "\"tier\": \"pro\",\n    \"tier\"")),
        (2, tenant(&id(2)).replace("pharmacy", "pharmacist")),
        (3, tenant(&id(3)) + &" ".repeat(70_000)),
        (4, "[]".to_owned()),
    ];
    let files: Vec<_> = files.into_iter().map(|(n, text)| (path(&id(n)), text)).collect();
    remote.import(&files);
    let human = remote.human("human");
    drop(human);
    let copy = remote.folder().join("human");
    let link = copy.join(path(&id(5)));
    std::fs::remove_file(&link).unwrap();
    symlink("elsewhere.json", &link).unwrap();
    git(&copy, &["commit", "--quiet", "--all", "-m", "a link"]);
    git(&copy, &["push", "--quiet"]);
    let mut fleet = remote.open().await;
    let before = remote.tip();
    let mut changes: Vec<Change> =
        (0..6).map(|n| change(n, &nth(n, 8), &[("/spec/locale", json!("en"))])).collect();
    let outcomes = apply(&mut fleet, &changes).await.unwrap();
    let expected =
        ["line 2", "twice", "did you mean \"pharmacy\"", "70", "no object", "is no file"];
    for (outcome, expected) in outcomes.iter().zip(expected) {
        assert!(invalid(outcome).contains(expected), "{outcome:?} has no {expected:?}");
    }
    assert_eq!(remote.tip(), before);
    // An edit that repairs a file is welcome.
    changes = vec![change(9, &id(2), &[("/spec/niche", json!("pharmacy"))])];
    committed(&apply(&mut fleet, &changes).await.unwrap()[0]);
}

#[tokio::test]
async fn a_pointer_that_leads_nowhere_is_invalid() {
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    let pointers = ["", "spec", "/spec/connections/0", "/spec/tier/x", "/spec/~"];
    let changes: Vec<Change> =
        pointers.iter().map(|pointer| change(1, &id(0), &[(*pointer, json!("x"))])).collect();
    for outcome in apply(&mut fleet, &changes).await.unwrap() {
        invalid(&outcome);
    }
}

#[tokio::test]
async fn a_file_is_read_as_a_commit_has_it() {
    let remote = Remote::new(2);
    remote.import(&[("nodes/inventory.json".to_owned(), "{}".to_owned())]);
    let mut fleet = remote.open().await;
    let before = fleet.tip().await.unwrap();
    apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap();
    let after = fleet.tip().await.unwrap();
    let path = path(&id(0));
    let old = fleet.read(before, &path).await.unwrap().unwrap();
    assert_eq!(old, tenant(&id(0)).as_bytes());
    let new = fleet.read(after, &path).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(new).unwrap(), remote.file(&id(0)));
    assert_eq!(fleet.read(after, "nodes/inventory.json").await.unwrap().unwrap(), b"{}");
    for path in ["tenants", "tenants/", "", "tenants/zz/x.json", "nodes/inventory.json/x", "a\nb"] {
        assert_eq!(fleet.read(after, path).await.unwrap(), None, "{path:?}");
    }
    assert_eq!(fleet.read(Oid::NULL, &path).await.unwrap(), None);
    let unknown = "0123456789012345678901234567890123456789".parse().unwrap();
    let error = fleet.read(unknown, &path).await.unwrap_err();
    assert!(matches!(error, Error::UnknownCommit(oid) if oid == unknown));
}
