use oc_domain::ModelId;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::inspect::inspect;

fn shaped(body: &Value, dialect: Dialect, granted: u64, thinking: Thinking) -> (Value, bool) {
    let bytes = Bytes::from(body.to_string());
    let asked = inspect(&bytes).unwrap();
    let output = output(&asked, dialect, ModelId::KimiK2p5.get()).unwrap();
    let grant = Grant { output, granted: granted.min(output.wanted), thinking, model: "kimi-k2.6" };
    let shaped = shape(&bytes, &asked, dialect, grant);
    let text = shaped.pieces.concat();
    (serde_json::from_slice(&text).unwrap(), shaped.withhold_usage)
}

#[test]
fn what_policy_does_not_name_survives() {
    let body = json!({"messages": [{"role": "user", "content": "olá"}], "model": "k2p5", "temperature": 1,
        "stop": ["x"], "max_tokens": 100, "tools": [], "tool_choice": "auto", "seed": 1e3});
    let (sent, withheld) = shaped(&body, Dialect::OpenAi, 8192, Thinking::Medium);
    let mut expected = body;
    expected["model"] = json!("kimi-k2.6");
    assert_eq!((sent, withheld), (expected, false));
}

#[test]
fn a_cap_is_clamped_to_the_grant_and_added_where_there_is_none() {
    let sent = |body: Value, granted| shaped(&body, Dialect::OpenAi, granted, Thinking::High).0;
    let both = json!({"model": "m", "max_tokens": 9000, "max_completion_tokens": 100});
    let both = sent(both, 500);
    assert_eq!((&both["max_tokens"], &both["max_completion_tokens"]), (&json!(500), &json!(100)));
    assert_eq!(sent(json!({"model": "m"}), 500)["max_completion_tokens"], 500);
    assert_eq!(sent(json!({"model": "m"}), 99999)["max_completion_tokens"], 8192);
    let null = json!({"model": "m", "max_completion_tokens": null});
    assert_eq!(sent(null, 300)["max_completion_tokens"], 300);
    let three = json!({"model": "m", "max_tokens": 1000, "n": 3});
    assert_eq!(sent(three, 1500)["max_tokens"], 500);
}

#[test]
fn usage_is_asked_for_and_kept_back_where_the_client_had_not_asked() {
    let sent = |body: Value| shaped(&body, Dialect::OpenAi, 500, Thinking::High);
    let wanted = json!({"include_usage": true});
    let (body, withheld) = sent(json!({"model": "m", "stream": true}));
    assert_eq!((&body["stream_options"], withheld), (&wanted, true));
    let (body, withheld) = sent(json!({"model": "m", "stream": true, "stream_options": null}));
    assert_eq!((&body["stream_options"], withheld), (&wanted, true));
    let options = json!({"include_usage": false, "other": 1});
    let (body, withheld) = sent(json!({"model": "m", "stream": true, "stream_options": options}));
    assert_eq!(body["stream_options"], json!({"include_usage": true, "other": 1}));
    assert!(withheld);
    let (_, withheld) = sent(json!({"model": "m", "stream": true, "stream_options": wanted}));
    assert!(!withheld);
    let (body, withheld) = sent(json!({"model": "m", "stream": false}));
    assert_eq!((&body["stream_options"], withheld), (&Value::Null, false));
}

#[test]
fn thinking_ends_at_the_tiers_level_and_shrinks_with_the_cap() {
    let sent = |budget: u64, max: u64, granted, level| {
        let thinking = json!({"type": "enabled", "budget_tokens": budget});
        let body = json!({"model": "m", "max_tokens": max, "thinking": thinking});
        shaped(&body, Dialect::Anthropic, granted, level).0
    };
    let budget = |body: Value| body["thinking"]["budget_tokens"].as_u64();
    assert_eq!(budget(sent(4096, 8192, 9000, Thinking::High)), Some(4096));
    assert_eq!(budget(sent(4096, 8192, 9000, Thinking::Low)), Some(2048));
    assert_eq!(budget(sent(4096, 8192, 3000, Thinking::High)), Some(2744));
    let dropped = sent(4096, 8192, 1200, Thinking::High);
    assert_eq!(dropped["thinking"], json!({"type": "disabled"}));
    assert_eq!(dropped["max_tokens"], 1200);
    assert_eq!(sent(4096, 8192, 9000, Thinking::Off)["thinking"]["type"], "disabled");
    // A budget that never fitted is for the provider to refuse.
    assert_eq!(budget(sent(4096, 2000, 9000, Thinking::High)), Some(4096));
}

#[test]
fn reasoning_effort_ends_at_the_tiers_level() {
    let sent = |effort: &str, level| {
        let body = json!({"model": "m", "reasoning_effort": effort});
        shaped(&body, Dialect::OpenAi, 500, level).0["reasoning_effort"].clone()
    };
    assert_eq!(sent("low", Thinking::Medium), "low");
    assert_eq!(sent("high", Thinking::Medium), "medium");
    assert_eq!(sent("xhigh", Thinking::Minimal), "minimal");
    assert_eq!(sent("high", Thinking::Off), Value::Null);
}

#[test]
fn anthropics_dialect_needs_a_cap() {
    let asked = inspect(br#"{"model":"m"}"#).unwrap();
    let error = output(&asked, Dialect::Anthropic, ModelId::KimiK2p5.get()).unwrap_err();
    assert_eq!(error, NotARequest::Missing("max_tokens"));
}

proptest! {
    #[test]
    fn a_shaped_body_differs_in_nothing_but_what_policy_names(
        extra in prop::collection::btree_map("[a-m]{1,3}", prop_oneof![
            Just(Value::Null), any::<i32>().prop_map(Value::from), ".{0,8}".prop_map(Value::from),
            Just(json!({"model": "x", "max_tokens": [1, {"stream": true}]})),
        ], 0..5),
        max in prop::option::of(0_u64..20_000),
        stream: bool,
        granted in 0_u64..20_000,
    ) {
        let mut body = serde_json::Map::new();
        body.extend(extra.into_iter().filter(|(key, _)| key != "n"));
        body.insert("model".to_owned(), json!("k2p5"));
        body.insert("stream".to_owned(), json!(stream));
        if let Some(max) = max {
            body.insert("max_tokens".to_owned(), json!(max));
        }
        let (sent, _) = shaped(&Value::Object(body.clone()), Dialect::OpenAi, granted, Thinking::High);
        for (key, value) in &body {
            match key.as_str() {
                "model" => prop_assert_eq!(&sent[key], "kimi-k2.6"),
                "max_tokens" => prop_assert_eq!(sent[key].as_u64(), max.map(|max| max.min(granted))),
                _ => prop_assert_eq!(&sent[key], value),
            }
        }
    }
}
