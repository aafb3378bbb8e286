use std::{collections::BTreeMap, fs};

use oc_testkit::Postgres;

use crate::support::{oc_store, sql};

#[tokio::test]
async fn the_program_migrates_shows_and_says_by_its_exit_code_what_is_wrong() {
    let url = Postgres::shared().await.unwrap().create_database().await.unwrap();
    let environment = BTreeMap::from([("DATABASE_URL", url.as_str())]);
    let (code, text) = oc_store(&["status"], &environment);
    assert!(code == 0 && text.starts_with("pending  20261121100000  create tenants"), "{text}");
    let pending = text.lines().filter(|line| line.starts_with("pending")).count();
    let (code, text) = oc_store(&["migrate"], &environment);
    let said = format!("{pending} of the migrations were pending");
    assert!(code == 0 && pending > 19 && text.contains(&said), "{code} {text}");
    let (code, text) = oc_store(&["status", "--json"], &environment);
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(code == 0 && list[14]["state"] == "applied", "{text}");

    sql(&url, "insert into _sqlx_migrations values (29990101000000, 'x', now(), true, '', 0)")
        .await;
    let (code, text) = oc_store(&["migrate"], &environment);
    assert!(code == 1 && text.contains("migration 29990101000000"), "{code} {text}");
    let (_, text) = oc_store(&["status"], &environment);
    assert!(text.ends_with("unknown  29990101000000\n"), "{text}");
}

#[test]
fn wrong_use_is_2_and_an_unreachable_postgres_3() {
    let none = BTreeMap::new();
    assert_eq!(oc_store(&["migrate"], &none).0, 2);
    let (code, text) = oc_store(&["migrate", "--database-url", "gopher://hush"], &none);
    assert!(code == 2 && text.contains("postgres://") && !text.contains("hush"), "{code} {text}");
    let file = std::env::temp_dir().join(format!("oc-store-{}", std::process::id()));
    // Port 1 answers nobody.
    fs::write(&file, "postgres://hush:hush@127.0.0.1:1/x\n").unwrap();
    let arguments = ["status", "--database-url-file", file.to_str().unwrap()];
    let (code, text) = oc_store(&arguments, &none);
    fs::remove_file(&file).unwrap();
    assert!(code == 3 && !text.contains("hush"), "{code} {text}");
}
