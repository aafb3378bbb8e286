use std::collections::BTreeSet;

use jiff::{SignedDuration, ToSpan};
use oc_domain::AccountId;
use oc_store::{
    Error, Store, audit, chats, events,
    periods::Wanted,
    personal::{erase, export, requests},
    renderings,
    reviews::{self, Review},
    secrets::{self, KeyFile, Vault},
    updates, usage,
};
use serde_json::{Value, json};

use crate::support::{
    account, change, chat, customer, database, event, load, new_tenant, notice, now, rendering,
    review, set_bot, sql, stripe_event, subscription, tenant, update,
};

/// An account with something in every table.
async fn full(store: &Store) -> AccountId {
    let one = customer(store, "one").await;
    events::receive(store, &stripe_event("evt_1", "one"), now()).await.unwrap();
    let entry = audit::Entry {
        actor: "billing".to_owned(),
        action: "subscription.began".to_owned(),
        account: Some(one.clone()),
        tenant: None,
        trace: None,
        details: Value::Null,
    };
    let review = Review {
        agents: None,
        subscriptions: vec![subscription("sub_1")],
        periods: vec![Wanted {
            starts_at: now(),
            ends_at: now() + 720.hours(),
            limit: 50,
            messages: Some(10),
        }],
        tenants: ["c-one", "c-two"].map(new_tenant).into(),
        changes: vec![change("c-one", "/spec/state", Some(json!("active")))],
        notices: vec![notice("welcome", "told"), notice("welcome", "to be told")],
        audit: vec![entry],
        ..review(&one, 0)
    };
    reviews::commit(store, &review).await.unwrap();
    let period = load(store, &one).await.periods[0].id;
    let used: Vec<_> = (0..5).map(|number| event(period, number)).collect();
    usage::record(store, &used).await.unwrap();
    let keys: KeyFile = "one AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".parse().unwrap();
    secrets::put(store, &keys, &tenant("c-one"), "bot", &"hush".into()).await.unwrap();
    relayed(store, keys).await;
    renderings::put(store, &rendering("c-one"), now()).await.unwrap();
    one
}

/// A bot, a chat, a code and a message of `c-one`.
async fn relayed(store: &Store, keys: KeyFile) {
    let one = tenant("c-one");
    set_bot(store, &keys, &one, 42).await;
    chats::add_code(store, &one, &[1; 32], SignedDuration::from_hours(1), now()).await.unwrap();
    chats::add_code(store, &one, &[2; 32], SignedDuration::from_hours(1), now()).await.unwrap();
    let bound = chats::bind(store, &one, &[1; 32], &chat(5), Some(1)).await.unwrap();
    assert_eq!(bound, chats::Bound::Bound);
    let message = updates::Incoming { metered: Some(5), ..update("c-one", 1, 7) };
    updates::receive(store, &Vault::new(keys), &[message], now()).await.unwrap();
}

/// Without this, a table that comes later could be forgotten.
#[tokio::test]
async fn an_export_knows_every_table_that_knows_an_account_a_tenant_or_a_period() {
    let (store, url) = database().await;
    let one = full(&store).await;
    customer(&store, "two").await;
    let exported = export(&store, &one).await.unwrap();
    let known: BTreeSet<&str> =
        exported.as_object().unwrap().keys().map(String::as_str).chain(["usage_events"]).collect();
    let tables = sql(
        &url,
        "select distinct table_name::text
        from information_schema.columns
        join pg_class on relname = table_name and not relispartition
        where table_schema = 'public' and column_name in ('account_id', 'tenant_id', 'period_id')",
    );
    let tables = tables.await;
    let there: BTreeSet<&str> = tables.lines().chain(["accounts"]).collect();
    assert_eq!(known, there);
    for (table, rows) in exported.as_object().unwrap() {
        let rows = rows.as_array().unwrap();
        assert!(!rows.is_empty(), "{table}");
        assert!(!rows.iter().any(|row| row.to_string().contains("two@")), "{table}");
    }
    assert_eq!(exported["members"][0]["email"], "one@example.com");
    assert_eq!(exported["periods"][0]["used_tokens"], 50);
    assert_eq!(exported["message_counts"][0]["used"], 1);
    assert_eq!(exported["updates"][0]["update_id"], 7);
    let secret = exported["secrets"][0].as_object().unwrap();
    let columns: Vec<&str> = secret.keys().map(String::as_str).collect();
    assert_eq!(columns, ["data_key", "name", "tenant_id", "updated_at"]);
    let whole = exported.to_string();
    assert!(!whole.contains("wrapped") && !whole.contains("objects"));
    let unknown = export(&store, &account("no")).await.unwrap_err();
    assert!(matches!(unknown, Error::Unknown { what: "account", .. }));
}

#[tokio::test]
async fn the_ledger_is_exported_in_pages() {
    let (store, _) = database().await;
    full(&store).await;
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = requests(&store, &tenant("c-one"), after, 2).await.unwrap();
        after = page.last().map(|row| row["request_id"].as_str().unwrap().parse().unwrap());
        rows.extend(page.clone());
        if page.len() < 2 {
            break;
        }
    }
    assert_eq!(rows.len(), 5);
    assert!(rows.iter().all(|row| row["charged_tokens"] == 10 && row["account_id"] == "a-one"));
    assert_eq!(requests(&store, &tenant("c-two"), None, 2).await.unwrap(), Vec::<Value>::new());
}

#[tokio::test]
async fn what_is_paid_for_or_runs_is_not_erased() {
    let (store, url) = database().await;
    let one = full(&store).await;
    let in_use = async || {
        let error = erase(&store, &one, "people", now()).await.unwrap_err();
        assert!(matches!(error, Error::InUse(_)), "{error:?}");
    };
    in_use().await;
    sql(&url, "update subscriptions set ended_at = now()").await;
    in_use().await;
    assert_eq!(export(&store, &one).await.unwrap()["members"][0]["email"], "one@example.com");
    sql(&url, "update tenants set deleted_at = now()").await;
    erase(&store, &one, "people", now()).await.unwrap();
    let unknown = erase(&store, &account("no"), "people", now()).await.unwrap_err();
    assert!(matches!(unknown, Error::Unknown { what: "account", .. }));
}

#[tokio::test]
async fn an_erasure_forgets_people_and_keeps_the_books() {
    let (store, url) = database().await;
    let one = full(&store).await;
    customer(&store, "two").await;
    let told = "update outbox set delivered_at = now() where dedup_key = 'told'";
    let ended = "update subscriptions set ended_at = now(); update tenants set deleted_at = now()";
    sql(&url, &[told, ended].join(";")).await;
    let before = export(&store, &one).await.unwrap();
    let version = load(&store, &one).await.version;
    for _ in 0..2 {
        erase(&store, &one, "people", now()).await.unwrap();
        let after = export(&store, &one).await.unwrap();
        for table in ["members", "secrets", "data_keys"] {
            assert_eq!(after[table], json!([]), "{table}");
        }
        for table in ["tenants", "subscriptions", "periods", "spec_changes"] {
            assert_eq!(after[table], before[table], "{table}");
        }
        for word in ["Ana", "example.com", "cus_one", "hush"] {
            assert!(!after.to_string().contains(word), "{word}: {after}");
        }
        assert_eq!(after["audit_log"][1]["action"], "account.erased");
    }
    assert_eq!(load(&store, &one).await.notices, [], "nothing is told any more");
    let late = reviews::commit(&store, &review(&one, version)).await.unwrap();
    assert_eq!(late, reviews::Outcome::Moved, "nothing comes back by what was read before");
    assert_eq!(requests(&store, &tenant("c-one"), None, 9).await.unwrap().len(), 5);
    assert_eq!(sql(&url, "select email from members").await, "two@example.com");
}

#[tokio::test]
async fn the_log_of_what_was_done_cannot_be_changed() {
    let (store, url) = database().await;
    full(&store).await;
    let server = oc_testkit::Postgres::shared().await.unwrap();
    for statement in [
        "update audit_log set actor = 'nobody'",
        "delete from audit_log",
        "truncate audit_log",
        "truncate audit_log, accounts cascade",
    ] {
        let refused = server.execute(&url, statement).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
    assert_eq!(sql(&url, "select count(*) from audit_log").await, "1");
}
