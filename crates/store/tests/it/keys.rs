use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use oc_domain::TenantId;
use oc_store::{
    Error, Store,
    reviews::{self, Review},
    secrets::{KeyFile, get, put, remove, rewrap, rotate_data_key},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{task::JoinSet, time::sleep};

use crate::support::{connect, customer, database, new_tenant, review, sql, tenant};

const OLD: &str = "old AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";
const NEW: &str = "new AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n";

fn keys(lines: &[&str]) -> KeyFile {
    lines.concat().parse().unwrap()
}

/// As many tenants of one account, `c-0` and so on.
async fn tenants(store: &Store, count: usize) -> Vec<TenantId> {
    let one = customer(store, "one").await;
    let ids: Vec<String> = (0..count).map(|number| format!("c-{number}")).collect();
    let tenants = ids.iter().map(|id| new_tenant(id)).collect();
    let first = Review { tenants, agents: None, ..review(&one, 0) };
    reviews::commit(store, &first).await.unwrap();
    ids.iter().map(|id| tenant(id)).collect()
}

async fn text(store: &Store, keys: &KeyFile, tenant: &TenantId, name: &str) -> Option<String> {
    let found = get(store, keys, tenant, name).await.unwrap();
    found.map(|secret| secret.expose_secret().to_owned())
}

#[tokio::test]
async fn a_secret_comes_back_and_is_nowhere_else_to_be_read() {
    let (store, url) = database().await;
    let one = &tenants(&store, 1).await[0];
    let keys = keys(&[OLD]);
    assert_eq!(text(&store, &keys, one, "bot").await, None);
    for value in ["hush-1", "hush-2", ""] {
        put(&store, &keys, one, "bot", &value.into()).await.unwrap();
        assert_eq!(text(&store, &keys, one, "bot").await.as_deref(), Some(value));
        let stored =
            sql(&url, "select to_jsonb(secrets) || to_jsonb(data_keys) from secrets, data_keys");
        let stored = stored.await;
        // "hush" as Postgres shows bytes.
        assert!(!stored.contains("hush") && !stored.contains("68757368"), "{stored}");
    }
    let sealed =
        "select count(distinct nonce) || ' ' || (select count(*) from data_keys) from secrets";
    assert_eq!(sql(&url, sealed).await, "1 1");
    assert!(remove(&store, one, "bot").await.unwrap());
    assert!(!remove(&store, one, "bot").await.unwrap());
    assert_eq!(text(&store, &keys, one, "bot").await, None);
    let unknown = put(&store, &keys, &tenant("c-no"), "bot", &"x".into()).await.unwrap_err();
    assert!(matches!(unknown, Error::Unknown { what: "tenant", .. }));
}

#[tokio::test]
async fn a_secret_opens_for_its_tenant_and_name_alone() {
    let (store, url) = database().await;
    let all = tenants(&store, 2).await;
    let keys = keys(&[OLD]);
    for tenant in &all {
        put(&store, &keys, tenant, "bot", &"hush".into()).await.unwrap();
    }
    for moved in [
        "update secrets set name = 'other' where tenant_id = 'c-0'",
        "update data_keys set wrapped = (select wrapped from data_keys where tenant_id = 'c-0')",
    ] {
        sql(&url, moved).await;
    }
    for (tenant, name) in [(&all[0], "other"), (&all[1], "bot")] {
        let error = get(&store, &keys, tenant, name).await.unwrap_err();
        assert!(matches!(error, Error::Sealed { .. }) && !error.is_transient(), "{error:?}");
    }
}

#[tokio::test]
async fn keys_of_the_file_are_replaced_while_everybody_reads_and_writes() {
    const TENANTS: usize = 40;
    let (store, url) = database().await;
    let all = tenants(&store, TENANTS).await;
    let old = keys(&[OLD]);
    for tenant in &all {
        put(&store, &old, tenant, "bot", &tenant.as_str().into()).await.unwrap();
    }
    // Some replicas have read the file again already, others write with the old key still; all of
    // them know both.
    let stop = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU32::new(0));
    let mut replicas = JoinSet::new();
    for lines in [[OLD, NEW], [NEW, OLD]] {
        let (store, all) = (connect(&url), all.clone());
        let (stop, reads) = (stop.clone(), reads.clone());
        replicas.spawn(async move {
            let keys = keys(&lines);
            while !stop.load(Ordering::Relaxed) {
                for tenant in &all {
                    let found = text(&store, &keys, tenant, "bot").await;
                    assert_eq!(found.as_deref(), Some(tenant.as_str()));
                    reads.fetch_add(1, Ordering::Relaxed);
                }
                put(&store, &keys, &all[0], lines[0], &"x".into()).await.unwrap();
            }
        });
    }
    let both = keys(&[NEW, OLD]);
    let mut batches = 0;
    while rewrap(&store, &both, 3).await.unwrap() > 0 {
        batches += 1;
        sleep(Duration::from_millis(5)).await;
    }
    assert!(batches >= TENANTS / 3 - 1, "{batches}");
    for tenant in &all {
        rotate_data_key(&store, &both, tenant).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = replicas.join_next().await {
        ended.unwrap();
    }
    assert!(reads.load(Ordering::Relaxed) > 100, "{reads:?}");

    // Who wrote with the old key last is found by looking again; then it may go.
    while rewrap(&store, &both, 100).await.unwrap() > 0 {}
    let new = keys(&[NEW]);
    for tenant in &all {
        assert_eq!(text(&store, &new, tenant, "bot").await.as_deref(), Some(tenant.as_str()));
    }
    assert_eq!(sql(&url, "select count(*), min(id) from data_keys").await, "40|2");
    let lost = get(&store, &old, &all[0], "bot").await.unwrap_err();
    assert!(matches!(lost, Error::UnknownKey(id) if id == "new"));
}

#[tokio::test]
async fn writers_of_one_tenant_and_the_rotation_of_its_key_lose_nothing() {
    let (store, url) = database().await;
    let one = tenants(&store, 1).await.remove(0);
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let (store, one) = (connect(&url), one.clone());
        writers.spawn(async move {
            let keys = keys(&[OLD]);
            for number in 0..15 {
                let (name, value) = (format!("{writer}-{number}"), format!("{writer}+{number}"));
                put(&store, &keys, &one, &name, &SecretString::from(value)).await.unwrap();
                if number % 5 == 4 {
                    rotate_data_key(&store, &keys, &one).await.unwrap();
                    assert!(remove(&store, &one, &name).await.unwrap());
                }
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    let keys = keys(&[OLD]);
    for (writer, number) in (0..4).flat_map(|writer| (0..15).map(move |number| (writer, number))) {
        let expected = (number % 5 != 4).then(|| format!("{writer}+{number}"));
        assert_eq!(text(&store, &keys, &one, &format!("{writer}-{number}")).await, expected);
    }
    assert_eq!(sql(&url, "select count(*) from data_keys").await, "1");
}
