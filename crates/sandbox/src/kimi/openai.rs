//! The `OpenAI` dialect as Moonshot speaks it.

use oc_domain::usage::Tokens;

use super::{
    answer::{Cached, Usage},
    output::{Escaped, Piece},
    reply::{Events, Reply},
};

pub(super) fn whole(reply: &Reply) -> Vec<u8> {
    let Reply { number, created, model, output, .. } = reply;
    let reasoning = match output.reasoning() {
        "" => String::new(),
        text => format!(r#","reasoning_content":"{text}""#),
    };
    let content = match &output.tool {
        None => format!(r#""content":"{}"{reasoning}"#, Escaped(output.content())),
        Some(tool) => format!(
            r#""content":null{reasoning},"tool_calls":[{{"id":"call_{number}","type":"function","function":{{"name":"{tool}","arguments":"{}"}}}}]"#,
            Escaped(output.content()),
        ),
    };
    let usage = match reply.reported(false) {
        Some(tokens) => format!(r#","usage":{}"#, usage(reply, tokens)),
        None => String::new(),
    };
    let finish = finish_reason(reply);
    format!(
        r#"{{"id":"chatcmpl-{number}","object":"chat.completion","created":{created},"model":{model},"choices":[{{"index":0,"message":{{"role":"assistant",{content}}},"finish_reason":"{finish}"}}]{usage}}}"#
    )
    .into_bytes()
}

pub(super) fn open(reply: &Reply, padding: &str, events: &mut Events<'_>) {
    delta(reply, r#""role":"assistant","content":"""#, events);
    if !padding.is_empty() {
        let choices = r#"[{"index":0,"delta":{},"finish_reason":null}]"#;
        chunk(reply, choices, &format!(r#","padding":"{padding}""#), events);
    }
}

pub(super) fn piece(reply: &Reply, index: u32, piece: Piece<'_>, events: &mut Events<'_>) {
    let (text, tool) = match piece {
        Piece::Reasoning(text) => {
            return delta(reply, &format!(r#""reasoning_content":"{text}""#), events);
        }
        Piece::Content(text) => (text, &reply.output.tool),
    };
    let Some(tool) = tool else {
        return delta(reply, &format!(r#""content":"{}""#, Escaped(text)), events);
    };
    if reply.output.begins_content(index) {
        let number = reply.number;
        let call = format!(
            r#""tool_calls":[{{"index":0,"id":"call_{number}","type":"function","function":{{"name":"{tool}","arguments":""}}}}]"#
        );
        delta(reply, &call, events);
    }
    let text = Escaped(text);
    let call = format!(r#""tool_calls":[{{"index":0,"function":{{"arguments":"{text}"}}}}]"#);
    delta(reply, &call, events);
}

pub(super) fn close(reply: &Reply, events: &mut Events<'_>) {
    let finish = finish_reason(reply);
    let reported = reply.reported(true).map(|tokens| usage(reply, tokens));
    let usage = match &reported {
        Some(usage) => format!(r#","usage":{usage}"#),
        None => String::new(),
    };
    let place = reply.answer.usage;
    let in_choice = if place == Usage::Choice { &usage } else { "" };
    let on_top = if matches!(place, Usage::Finish | Usage::Twice) { &usage } else { "" };
    let choices = format!(r#"[{{"index":0,"delta":{{}},"finish_reason":"{finish}"{in_choice}}}]"#);
    chunk(reply, &choices, on_top, events);
    if matches!(place, Usage::Last | Usage::Zero | Usage::Twice) && reported.is_some() {
        chunk(reply, "[]", &usage, events);
    }
    events.data(format_args!("[DONE]"));
}

fn delta(reply: &Reply, delta: &str, events: &mut Events<'_>) {
    let choices = format!(r#"[{{"index":0,"delta":{{{delta}}},"finish_reason":null}}]"#);
    chunk(reply, &choices, "", events);
}

fn chunk(reply: &Reply, choices: &str, rest: &str, events: &mut Events<'_>) {
    let Reply { number, created, model, .. } = reply;
    events.data(format_args!(
        r#"{{"id":"chatcmpl-{number}","object":"chat.completion.chunk","created":{created},"model":{model},"choices":{choices}{rest}}}"#
    ));
}

fn finish_reason(reply: &Reply) -> &'static str {
    match (reply.output.truncated, &reply.output.tool) {
        (true, _) => "length",
        (false, Some(_)) => "tool_calls",
        (false, None) => "stop",
    }
}

fn usage(reply: &Reply, tokens: Tokens) -> String {
    let Tokens { input, cached_input: cached, output, reasoning } = tokens;
    let prompt = input + cached;
    let spelling = reply.answer.cached_as;
    let top = match spelling {
        Cached::Details => String::new(),
        Cached::Both | Cached::Top => format!(r#","cached_tokens":{cached}"#),
    };
    let details = match spelling {
        Cached::Top => String::new(),
        Cached::Both | Cached::Details => {
            format!(r#","prompt_tokens_details":{{"cached_tokens":{cached}}}"#)
        }
    };
    let total = prompt + output;
    format!(
        r#"{{"prompt_tokens":{prompt},"completion_tokens":{output},"total_tokens":{total}{top}{details},"completion_tokens_details":{{"reasoning_tokens":{reasoning}}}}}"#
    )
}
