//! The `OpenAI` dialect, as Moonshot documents it.

use oc_sandbox::kimi::Kimi;
use serde_json::{Value, json};

use crate::support::{OPENAI, chat, chat_with, get, kimi, post};

fn with_usage() -> Value {
    json!({ "stream_options": { "include_usage": true } })
}

/// What the log's only entry says, in the form of a usage.
fn logged(kimi: &Kimi) -> (u64, u64) {
    let log = kimi.log();
    assert_eq!(log.len(), 1);
    (log[0].tokens.input + log[0].tokens.cached_input, log[0].tokens.output)
}

fn counts(usage: &Value) -> (u64, u64) {
    let count = |name: &str| usage[name].as_u64().unwrap_or_else(|| panic!("{name}: {usage}"));
    assert_eq!(count("total_tokens"), count("prompt_tokens") + count("completion_tokens"));
    (count("prompt_tokens"), count("completion_tokens"))
}

#[tokio::test]
async fn a_whole_answer_has_its_text_and_usage() {
    let kimi = kimi("frames=2").await;
    let answered = post(&kimi, OPENAI, &chat("hello", false)).await;
    let body = answered.json();
    assert_eq!((answered.status, &body["object"]), (200, &json!("chat.completion")));
    assert_eq!(body["model"], "kimi-k2.5");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let text = body["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.starts_with("00000000 ") && text.len() == 96);
    assert_eq!(counts(&body["usage"]), logged(&kimi));
    assert_eq!(answered.headers["content-length"], answered.text.len().to_string().as_str());
}

#[tokio::test]
async fn a_stream_ends_with_its_usage_and_done() {
    let kimi = kimi("frames=3").await;
    let answered = post(&kimi, OPENAI, &chat_with("hello", true, &with_usage())).await;
    assert_eq!(answered.headers["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(answered.events().last().unwrap().data, "[DONE]");
    let chunks = answered.chunks();
    assert_eq!(chunks.len(), 1 + 3 + 1 + 1);
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
    let first = chunks[1]["choices"][0]["delta"]["content"].as_str().unwrap();
    assert!(first.starts_with("00000000 "));
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[5]["choices"], json!([]));
    assert_eq!(counts(&chunks[5]["usage"]), logged(&kimi));
    assert_eq!(kimi.log()[0].reported, Some(kimi.log()[0].tokens));
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
}

#[tokio::test]
async fn usage_comes_in_each_documented_shape() {
    // Where it is, as (in the finish chunk's choice, at its top, in a last chunk).
    let cases = [
        ("last", true, [false, false, true]),
        ("last", false, [false, false, false]),
        ("finish", false, [false, true, false]),
        ("choice", false, [true, false, false]),
        ("twice", true, [false, true, true]),
        ("none", true, [false, false, false]),
        ("zero", true, [false, false, true]),
    ];
    for (shape, asked, expected) in cases {
        let kimi = kimi(&format!("usage={shape}")).await;
        let more = if asked { with_usage() } else { json!({}) };
        let chunks = post(&kimi, OPENAI, &chat_with("hello", true, &more)).await.chunks();
        let finish = chunks.iter().find(|one| !one["choices"][0]["finish_reason"].is_null());
        let finish = finish.unwrap();
        let last = chunks.last().filter(|chunk| chunk["choices"] == json!([]));
        let places = [
            Some(&finish["choices"][0]["usage"]),
            Some(&finish["usage"]),
            last.map(|chunk| &chunk["usage"]),
        ];
        let found = places.map(|place| place.filter(|usage| !usage.is_null()));
        assert_eq!(found.map(|usage| usage.is_some()), expected, "{shape}");
        for usage in found.into_iter().flatten() {
            let counted = if shape == "zero" { (0, 0) } else { logged(&kimi) };
            assert_eq!(counts(usage), counted, "{shape}");
        }
    }
}

#[tokio::test]
async fn cached_tokens_are_part_of_the_prompt_in_either_spelling() {
    let long = "word ".repeat(1000);
    for (spelling, top, details) in
        [("both", true, true), ("top", true, false), ("details", false, true)]
    {
        let kimi = kimi(&format!("cached=40 cached_as={spelling}")).await;
        let usage = post(&kimi, OPENAI, &chat(&long, false)).await.json()["usage"].take();
        let tokens = kimi.log()[0].tokens;
        let (prompt, _) = counts(&usage);
        assert_eq!(tokens.cached_input, prompt * 40 / 100);
        let spelled = [&usage["cached_tokens"], &usage["prompt_tokens_details"]["cached_tokens"]];
        let expected = [top, details].map(|has| has.then_some(tokens.cached_input));
        assert_eq!(spelled.map(Value::as_u64), expected, "{spelling}");
    }
    let kimi = kimi("cached=40").await;
    post(&kimi, OPENAI, &chat("short", false)).await;
    assert_eq!(kimi.log()[0].tokens.cached_input, 0);
}

#[tokio::test]
async fn reasoning_comes_first_where_thinking_is_on() {
    let kimi = kimi("frames=2 reasoning=3").await;
    let thinking = json!({ "thinking": { "type": "enabled" } });
    let chunks = post(&kimi, OPENAI, &chat_with("hello", true, &thinking)).await.chunks();
    let has = |name: &str| {
        let delta = |chunk: &Value| chunk["choices"][0]["delta"][name].is_string();
        chunks.iter().map(delta).collect::<Vec<_>>()
    };
    assert_eq!(has("reasoning_content"), [false, true, true, true, false, false, false]);
    assert_eq!(has("content"), [true, false, false, false, true, true, false]);
    let tokens = kimi.log()[0].tokens;
    assert!(tokens.reasoning > 0 && tokens.reasoning < tokens.output);
    let whole = post(&kimi, OPENAI, &chat_with("hello", false, &thinking)).await.json();
    assert_eq!(whole["choices"][0]["message"]["reasoning_content"].as_str().unwrap().len(), 144);
    let reasoning = whole["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64();
    assert_eq!(reasoning, Some(kimi.log()[1].tokens.reasoning));
}

#[tokio::test]
async fn an_answer_at_its_limit_finishes_by_length() {
    let kimi = kimi("frames=100").await;
    for field in ["max_tokens", "max_completion_tokens"] {
        for stream in [false, true] {
            let body = chat_with("hello", stream, &json!({ field: 30 }));
            let answered = post(&kimi, OPENAI, &body).await;
            assert!(answered.text.contains(r#""finish_reason":"length""#), "{}", answered.text);
            let output = kimi.log().last().unwrap().tokens.output;
            assert!((29..=30).contains(&output), "{output}");
        }
    }
}

#[tokio::test]
async fn a_tool_is_called_and_its_result_answered() {
    let kimi = kimi("").await;
    let tools = json!({ "tools": [{ "type": "function", "function": { "name": "look_up" } }] });
    let ask = chat_with("please tool:look_up now", false, &tools);
    let choice = post(&kimi, OPENAI, &ask).await.json()["choices"][0].take();
    assert_eq!(choice["finish_reason"], "tool_calls");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({ "name": "look_up", "arguments": r#"{"q":"sandbox"}"# }));

    let chunks = post(&kimi, OPENAI, &chat_with("tool:look_up", true, &tools)).await.chunks();
    let calls = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]);
    let calls: Vec<&Value> = calls.filter(|call| call.is_object()).collect();
    assert_eq!(calls[0]["function"]["name"], "look_up");
    let arguments: String =
        calls.iter().map(|call| call["function"]["arguments"].as_str().unwrap()).collect();
    assert_eq!(arguments, r#"{"q":"sandbox"}"#);

    let mut after = ask;
    let messages = after["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": null, "tool_calls": [call] }));
    messages.push(json!({ "role": "tool", "tool_call_id": call["id"], "content": "tool:look_up" }));
    let choice = post(&kimi, OPENAI, &after).await.json()["choices"][0].take();
    assert_eq!(choice["finish_reason"], "stop");
    assert!(choice["message"]["content"].is_string());
}

#[tokio::test]
async fn an_image_counts_1200_tokens() {
    let kimi = kimi("").await;
    let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AA" } });
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": [image, image] }] });
    assert_eq!(post(&kimi, OPENAI, &body).await.json()["usage"]["prompt_tokens"], 2400);
}

#[tokio::test]
async fn models_and_the_falling_balance_are_listed() {
    let kimi = kimi("").await;
    let models = get(&kimi, "/v1/models").await.json();
    assert_eq!(
        (&models["object"], &models["data"][0]["id"]),
        (&json!("list"), &json!("kimi-k2.5"))
    );
    let before = get(&kimi, "/v1/users/me/balance").await.json();
    let shape =
        json!({ "available_balance": 100.0, "voucher_balance": 0.0, "cash_balance": 100.0 });
    assert_eq!(before, json!({ "code": 0, "data": shape, "scode": "0x0", "status": true }));
    post(&kimi, OPENAI, &chat("hello", false)).await;
    let tokens = kimi.log()[0].tokens;
    let cost = (tokens.input * 600 + tokens.output * 3000).cast_signed();
    assert_eq!(kimi.stats().balance_nano_usd, 100_000_000_000 - cost);
    let after = get(&kimi, "/v1/users/me/balance").await.json();
    assert!(after["data"]["available_balance"].as_f64() < Some(100.0));
}
