//! The Anthropic dialect.

use serde_json::{Value, json};

use crate::support::{ANTHROPIC, Answered, chat, chat_with, kimi, post};

fn names(answered: &Answered) -> Vec<String> {
    answered.events().into_iter().map(|event| event.name).collect()
}

#[tokio::test]
async fn a_stream_has_every_event_in_order() {
    let kimi = kimi("frames=2 cached=50 written=10").await;
    let long = "word ".repeat(1000);
    let answered = post(&kimi, ANTHROPIC, &chat(&long, true)).await;
    let expected = [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names(&answered), expected);
    let chunks = answered.chunks();
    assert!(chunks.iter().zip(expected).all(|(chunk, name)| chunk["type"] == name));
    let usage = &chunks[0]["message"]["usage"];
    let count = |name: &str| usage[name].as_u64().unwrap();
    let tokens = kimi.log()[0].tokens;
    assert_eq!(count("cache_read_input_tokens"), tokens.cached_input);
    assert!(count("cache_creation_input_tokens") > 0);
    assert_eq!(count("input_tokens") + count("cache_creation_input_tokens"), tokens.input);
    assert_eq!(count("output_tokens"), 1);
    assert_eq!(chunks[6]["delta"], json!({ "stop_reason": "end_turn", "stop_sequence": null }));
    assert_eq!(chunks[6]["usage"]["output_tokens"], tokens.output);
    assert!(chunks[3]["delta"]["text"].as_str().unwrap().starts_with("00000000 "));
}

#[tokio::test]
async fn a_whole_answer_has_its_text_and_usage() {
    let kimi = kimi("").await;
    let body = post(&kimi, "/anthropic/v1/messages", &chat("hello", false)).await.json();
    assert_eq!((&body["type"], &body["stop_reason"]), (&json!("message"), &json!("end_turn")));
    let tokens = kimi.log()[0].tokens;
    assert_eq!(body["usage"]["input_tokens"], tokens.input);
    assert_eq!(body["usage"]["output_tokens"], tokens.output);
    assert_eq!(kimi.log()[0].path, "/v1/messages");
}

#[tokio::test]
async fn thinking_is_a_block_of_its_own() {
    let kimi = kimi("frames=1 reasoning=2").await;
    let thinking = json!({ "thinking": { "type": "enabled", "budget_tokens": 2048 } });
    let chunks = post(&kimi, ANTHROPIC, &chat_with("hello", true, &thinking)).await.chunks();
    let kinds: Vec<&str> = chunks
        .iter()
        .filter_map(|chunk| {
            let kind = chunk["delta"]["type"].as_str();
            kind.or(chunk["content_block"]["type"].as_str())
        })
        .collect();
    let expected =
        ["thinking", "thinking_delta", "thinking_delta", "signature_delta", "text", "text_delta"];
    assert_eq!(kinds, expected);
    let index = |kind: &str| {
        chunks
            .iter()
            .find(|chunk| chunk["delta"]["type"] == kind)
            .map(|chunk| chunk["index"].clone())
    };
    assert_eq!((index("thinking_delta"), index("text_delta")), (Some(json!(0)), Some(json!(1))));
    let content = post(&kimi, ANTHROPIC, &chat_with("hello", false, &thinking)).await.json();
    assert_eq!(content["content"][0]["type"], "thinking");
    assert!(kimi.log()[1].tokens.reasoning > 0);
}

#[tokio::test]
async fn thinking_that_ends_at_the_limit_still_closes_its_block() {
    let kimi = kimi("reasoning=200").await;
    let thinking =
        json!({ "max_tokens": 1025, "thinking": { "type": "enabled", "budget_tokens": 1024 } });
    let answered = post(&kimi, ANTHROPIC, &chat_with("hello", true, &thinking)).await;
    let names = names(&answered);
    let count = |name: &str| names.iter().filter(|one| *one == name).count();
    assert_eq!(count("content_block_start"), count("content_block_stop"));
    assert!(answered.text.contains(r#""stop_reason":"max_tokens""#));
    assert!(kimi.log()[0].tokens.output <= 1025);
}

#[tokio::test]
async fn budgets_are_refused_as_the_real_one_does() {
    let kimi = kimi("").await;
    let cases: [(Value, &str); 3] = [
        (json!({ "thinking": { "type": "enabled", "budget_tokens": 1023 } }), "1024"),
        (json!({ "thinking": { "type": "enabled", "budget_tokens": 8192 } }), "greater than"),
        (json!({ "max_tokens": null }), "Field required"),
    ];
    for (more, says) in cases {
        let answered = post(&kimi, ANTHROPIC, &chat_with("hello", true, &more)).await;
        let error = answered.json();
        assert_eq!((answered.status, &error["type"]), (400, &json!("error")));
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert!(error["error"]["message"].as_str().unwrap().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_tool_is_called_and_its_result_answered() {
    let kimi = kimi("").await;
    let tools = json!({ "tools": [{ "name": "look_up", "input_schema": {} }] });
    let ask = chat_with("tool:look_up", false, &tools);
    let whole = post(&kimi, ANTHROPIC, &ask).await.json();
    assert_eq!(whole["stop_reason"], "tool_use");
    assert_eq!(whole["content"][0]["input"], json!({ "q": "sandbox" }));

    let chunks = post(&kimi, ANTHROPIC, &chat_with("tool:look_up", true, &tools)).await.chunks();
    let json: String =
        chunks.iter().filter_map(|chunk| chunk["delta"]["partial_json"].as_str()).collect();
    assert_eq!(json, r#"{"q":"sandbox"}"#);
    assert!(chunks.iter().any(|chunk| chunk["content_block"]["name"] == "look_up"));

    let mut after = ask;
    let result = json!([{ "type": "tool_result", "tool_use_id": "t", "content": "tool:look_up" }]);
    let messages = after["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": whole["content"] }));
    messages.push(json!({ "role": "user", "content": result }));
    assert_eq!(post(&kimi, ANTHROPIC, &after).await.json()["stop_reason"], "end_turn");
}

#[tokio::test]
async fn tokens_are_counted_on_request() {
    let kimi = kimi("").await;
    let path = "/v1/messages/count_tokens";
    let counted = post(&kimi, path, &chat(&"x".repeat(3600), false)).await.json();
    let tokens = counted["input_tokens"].as_u64().unwrap();
    assert!((850..=1150).contains(&tokens), "{tokens}");
    assert!(kimi.log().is_empty());
}

#[tokio::test]
async fn usage_twice_is_cumulative_and_usage_none_is_absent() {
    let kimi = kimi("usage=twice").await;
    let chunks = post(&kimi, ANTHROPIC, &chat("hello", true)).await.chunks();
    let deltas: Vec<_> = chunks.iter().filter(|one| one["type"] == "message_delta").collect();
    let output = kimi.log()[0].tokens.output;
    let outputs = [&deltas[0]["usage"]["output_tokens"], &deltas[1]["usage"]["output_tokens"]];
    assert_eq!(outputs, [&json!(output / 2), &json!(output)]);
    let none = post(&kimi, ANTHROPIC, &chat("[[kimi usage=none]]", true)).await;
    assert!(!none.text.contains("usage"));
}
