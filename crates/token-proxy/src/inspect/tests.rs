use serde_json::json;

use super::*;

fn read(body: &serde_json::Value) -> Inspected {
    inspect(body.to_string().as_bytes()).unwrap()
}

#[test]
fn parameters_are_found_with_their_places() {
    let body = br#"{"messages":[{"role":"user","content":"x","model":"no"}], "model" : "k2p5",
        "stream":true,"max_tokens":7,"n":2,"thinking":{"type":"enabled","budget_tokens":2048}}"#;
    let read = inspect(body).unwrap();
    assert_eq!(read.model.value, "k2p5");
    assert_eq!(body.get(read.model.at.clone()), Some(br#""k2p5""#.as_slice()));
    assert!(read.stream);
    assert_eq!(read.max_tokens.map(|cap| cap.value), Some(Some(7)));
    assert_eq!(read.choices, 2);
    assert_eq!(read.thinking.unwrap().value.unwrap().budget_tokens, Some(2048));
}

#[test]
fn what_is_no_request_is_named() {
    let error = |body: &str| inspect(body.as_bytes()).unwrap_err();
    assert_eq!(error("{"), NotARequest::NotJson { at: 1 });
    assert_eq!(error("3"), NotARequest::Missing("model"));
    assert_eq!(error("[]"), NotARequest::NotAnObject);
    assert_eq!(error("[{\"model\":1}]"), NotARequest::NotAnObject);
    assert_eq!(error("{}"), NotARequest::Missing("model"));
    assert_eq!(error(r#"{"model":"a","model":"b"}"#), NotARequest::Twice("model"));
    assert_eq!(error(r#"{"model":"a","max_t\u006fkens":1}"#), NotARequest::EscapedName);
    assert_eq!(
        error(r#"{"model":"a","n":0}"#),
        NotARequest::Invalid("n", "a number from 1 to 128")
    );
    assert!(matches!(error(r#"{"model":"a","max_tokens":-1}"#), NotARequest::Invalid(..)));
    assert!(matches!(error(r#"{"model":"a","max_tokens":1.5}"#), NotARequest::Invalid(..)));
    assert_eq!(inspect(b"{\"model\":\"\xff\"}").unwrap_err(), NotARequest::NotText);
}

#[test]
fn a_picture_counts_the_same_whatever_its_size_and_text_that_looks_like_one_is_text() {
    let data = "A".repeat(100_000);
    let openai = |url: &str| {
        read(&json!({"model": "m", "messages": [{"role": "user", "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": url}}]}]}))
        .input_tokens
    };
    let picture = openai(&["data:image/png;base64,", &data].concat());
    assert!((1_200..1_300).contains(&picture), "{picture}");
    assert!(openai(&data) > 27_000);
    let anthropic = read(&json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "tool_result", "content": [
            {"type": "image", "source": {"type": "base64", "data": data}}]},
        {"type": "image", "source": {"type": "base64", "data": data}}]}]}));
    assert!((2_400..2_600).contains(&anthropic.input_tokens));
    let hidden = read(&json!({"model": "m", "messages": [{"role": "assistant", "content": [
        {"type": "tool_use", "input": {"source": {"data": data}}}]}]}));
    assert!(hidden.input_tokens > 27_000);
}

#[test]
fn a_lean_turn_is_about_nine_thousand_tokens() {
    let body =
        json!({"model": "k2p5", "messages": [{"role": "system", "content": "x".repeat(32_900)}]});
    assert!((8_900..9_300).contains(&read(&body).input_tokens));
}
