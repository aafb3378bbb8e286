//! Answers that make sense, in both dialects, streamed and whole.

use serde_json::{Value, json};

use crate::support::{ANTHROPIC, OPENAI, chat, chat_with, kimi, post};

fn tools(dialect: &str) -> Value {
    let schema = json!({ "type": "object", "required": ["path", "content"], "properties": {
        "path": { "type": "string" }, "content": { "type": "string" } } });
    match dialect {
        OPENAI => {
            json!({ "tools": [{ "type": "function", "function": { "name": "write", "parameters": schema } }] })
        }
        _ => json!({ "tools": [{ "name": "write", "input_schema": schema }] }),
    }
}

/// What the deltas of a stream say together.
fn text(chunks: &[Value]) -> String {
    let openai =
        |chunk: &Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    let anthropic = |chunk: &Value| chunk["delta"]["text"].as_str().map(str::to_owned);
    chunks.iter().filter_map(|chunk| openai(chunk).or_else(|| anthropic(chunk))).collect()
}

fn arguments(chunks: &[Value]) -> String {
    let openai = |chunk: &Value| {
        let call = &chunk["choices"][0]["delta"]["tool_calls"][0];
        call["function"]["arguments"].as_str().map(str::to_owned)
    };
    let anthropic = |chunk: &Value| chunk["delta"]["partial_json"].as_str().map(str::to_owned);
    chunks.iter().filter_map(|chunk| openai(chunk).or_else(|| anthropic(chunk))).collect()
}

#[tokio::test]
async fn a_sum_is_answered_in_words_of_any_alphabet() {
    let kimi = kimi("talk").await;
    let ask = "some \"isto\": quanto é 1500,5 + 2?";
    for path in [OPENAI, ANTHROPIC] {
        let whole = post(&kimi, path, &chat(ask, false)).await.json();
        let said = match path {
            OPENAI => &whole["choices"][0]["message"]["content"],
            _ => &whole["content"][0]["text"],
        };
        assert_eq!(said, "Dá 1502,5.");
        let stream = post(&kimi, path, &chat(ask, true)).await;
        assert_eq!(text(&stream.chunks()), "Dá 1502,5.");
        let long = post(
            &kimi,
            path,
            &chat("A pressão \"subiu\" às três da manhã \\ e não baixou 😀", true),
        )
        .await;
        assert!(
            text(&long.chunks())
                .contains("A pressão \"subiu\" às três da manhã \\ e não baixou 😀")
        );
    }
}

#[tokio::test]
async fn a_tool_is_called_with_what_was_said() {
    let kimi = kimi("talk").await;
    for path in [OPENAI, ANTHROPIC] {
        let ask = chat_with("anote que a \"reunião\" é às 15h", true, &tools(path));
        let stream = post(&kimi, path, &ask).await;
        let told: Value = serde_json::from_str(&arguments(&stream.chunks())).unwrap();
        assert_eq!(told, json!({ "path": "notas.md", "content": "- a \"reunião\" é às 15h\n" }));
        let whole = post(&kimi, path, &chat_with("anote que sim, é às 15h", false, &tools(path)))
            .await
            .json();
        let content = match path {
            OPENAI => {
                let call = &whole["choices"][0]["message"]["tool_calls"][0]["function"];
                serde_json::from_str::<Value>(call["arguments"].as_str().unwrap()).unwrap()["content"].clone()
            }
            _ => whole["content"][0]["input"]["content"].clone(),
        };
        assert_eq!(content, "- sim, é às 15h\n");
    }
}

#[tokio::test]
async fn an_answer_ends_where_its_tokens_do_and_never_within_a_character() {
    let kimi = kimi("talk").await;
    for max in 1..40 {
        let ask = chat_with(
            "ããããããããããããããã çççççççççç õõõõõõõõõõõ",
            false,
            &json!({ "max_tokens": max }),
        );
        let whole = post(&kimi, OPENAI, &ask).await.json();
        assert!(whole["usage"]["completion_tokens"].as_u64().unwrap() <= max, "{whole}");
        assert!(whole["choices"][0]["message"]["content"].is_string());
    }
}
