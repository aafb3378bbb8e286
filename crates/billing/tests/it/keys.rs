//! Who may ask for what.

use oc_sandbox::billing::{ADMIN, INTERNAL};
use serde_json::{Value, json};

use crate::support::{sql, start};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_the_right_key() {
    let stack = start().await;
    let paths = ["checkout", "portal", "tier", "cancel", "tenants", "provision"];
    for path in paths.map(|path| format!("/internal/{path}")) {
        for key in ["", "wrong", &INTERNAL[1..], &format!("{INTERNAL}0")] {
            let (status, answer) = stack.ask(0, &path, key, &json!({})).await.unwrap();
            assert_eq!(status, 401, "{path} {key:?}: {answer}");
        }
        let url = format!("{}{path}", stack.services[0].url);
        let bare = reqwest::Client::new().post(url).send().await.unwrap();
        assert_eq!(bare.status(), 401, "{path}");
        // Admins may do all; what they say is looked at then.
        let (status, _) = stack.ask(0, &path, ADMIN, &json!({})).await.unwrap();
        assert_eq!(status, 400, "{path}");
    }
    let (status, _) = stack.ask(0, "/internal/provision", INTERNAL, &json!({})).await.unwrap();
    assert_eq!(status, 401, "admins alone");
    assert_eq!(sql(&stack, "select count(*) from accounts").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_said_to_make_none() {
    let stack = start().await;
    let ask = async |path: &str, body: Value| {
        stack.ask(0, &format!("/internal/{path}"), INTERNAL, &body).await.unwrap().0
    };
    let checkout = |change: &[(&str, Value)]| {
        let mut body = json!({"email": "a@example.com", "tier": "pro", "niche": "legal",
            "locale": "en", "success_url": "http://x", "cancel_url": "http://x"});
        for (name, value) in change {
            body[*name] = value.clone();
        }
        body
    };
    assert_eq!(ask("checkout", checkout(&[("tier", json!("huge"))])).await, 400);
    assert_eq!(ask("checkout", checkout(&[("email", json!("nobody"))])).await, 400);
    assert_eq!(ask("checkout", checkout(&[("unknown", json!(1))])).await, 400);
    let stranger = "a-zzzzzzzz";
    assert_eq!(ask("checkout", checkout(&[("account", json!(stranger))])).await, 404);
    assert_eq!(ask("tier", json!({"account": stranger, "tier": "pro"})).await, 404);
    assert_eq!(ask("cancel", json!({"account": stranger, "when": "now"})).await, 404);
    let nobody = json!({"account": stranger, "niche": "legal", "locale": "en"});
    assert_eq!(ask("tenants", nobody).await, 404);
    assert_eq!(sql(&stack, "select count(*) from accounts").await, "0");
}
