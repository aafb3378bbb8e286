//! The Anthropic dialect.

use oc_domain::usage::Tokens;

use super::{
    answer::Usage,
    output::{Escaped, Piece},
    reply::{Events, Reply},
};

/// What stands for the signature of a thinking block.
const SIGNATURE: &str = "c2FuZGJveA==";

pub(super) fn whole(reply: &Reply) -> Vec<u8> {
    let Reply { number, model, output, .. } = reply;
    let thinking = match output.reasoning() {
        "" => String::new(),
        text => format!(r#"{{"type":"thinking","thinking":"{text}","signature":"{SIGNATURE}"}},"#),
    };
    let text = output.content();
    let content = match &output.tool {
        None => format!(r#"{{"type":"text","text":"{}"}}"#, Escaped(text)),
        // Cut arguments are no JSON, and a whole answer cannot hold what is none.
        Some(tool) => {
            let input = if output.truncated { "{}" } else { text };
            format!(
                r#"{{"type":"tool_use","id":"toolu_{number}","name":"{tool}","input":{input}}}"#
            )
        }
    };
    let usage = match reply.reported(false) {
        Some(tokens) => format!(r#","usage":{}"#, usage(reply, tokens, tokens.output)),
        None => String::new(),
    };
    let reason = stop_reason(reply);
    format!(
        r#"{{"id":"msg_{number}","type":"message","role":"assistant","model":{model},"content":[{thinking}{content}],"stop_reason":"{reason}","stop_sequence":null{usage}}}"#
    )
    .into_bytes()
}

pub(super) fn open(reply: &Reply, padding: &str, events: &mut Events<'_>) {
    let Reply { number, model, .. } = reply;
    let usage = match reply.reported(true) {
        Some(tokens) => format!(r#","usage":{}"#, usage(reply, tokens, tokens.output.min(1))),
        None => String::new(),
    };
    events.named("message_start", format_args!(
        r#"{{"type":"message_start","message":{{"id":"msg_{number}","type":"message","role":"assistant","model":{model},"content":[],"stop_reason":null,"stop_sequence":null{usage}}}}}"#
    ));
    events.named("ping", format_args!(r#"{{"type":"ping"}}"#));
    if !padding.is_empty() {
        events.named("ping", format_args!(r#"{{"type":"ping","padding":"{padding}"}}"#));
    }
}

pub(super) fn piece(reply: &Reply, index: u32, piece: Piece<'_>, events: &mut Events<'_>) {
    match (piece, &reply.output.tool) {
        (Piece::Reasoning(text), _) => {
            if index == 0 {
                let block = r#"{"type":"thinking","thinking":"","signature":""}"#;
                start_block(0, block, events);
            }
            delta(0, &format!(r#""thinking_delta","thinking":"{text}""#), events);
        }
        (Piece::Content(text), tool) => {
            let block = content_block(reply);
            if reply.output.begins_content(index) {
                if block > 0 {
                    stop_thinking(events);
                }
                start_content(reply, block, events);
            }
            let text = Escaped(text);
            let kind = if tool.is_some() {
                format!(r#""input_json_delta","partial_json":"{text}""#)
            } else {
                format!(r#""text_delta","text":"{text}""#)
            };
            delta(block, &kind, events);
        }
    }
}

pub(super) fn close(reply: &Reply, events: &mut Events<'_>) {
    if !reply.output.content().is_empty() {
        stop_block(content_block(reply), events);
    } else if !reply.output.reasoning().is_empty() {
        stop_thinking(events);
    }
    let reported = reply.reported(true);
    if let (Usage::Twice, Some(Tokens { output, .. })) = (reply.answer.usage, reported) {
        message_delta("null", Some(output / 2), events);
    }
    let reason = format!(r#""{}""#, stop_reason(reply));
    message_delta(&reason, reported.map(|tokens| tokens.output), events);
    events.named("message_stop", format_args!(r#"{{"type":"message_stop"}}"#));
}

/// The index of the block with the text or the tool call.
fn content_block(reply: &Reply) -> u32 {
    u32::from(!reply.output.reasoning().is_empty())
}

fn start_content(reply: &Reply, block: u32, events: &mut Events<'_>) {
    match &reply.output.tool {
        None => start_block(block, r#"{"type":"text","text":""}"#, events),
        Some(tool) => {
            let id = reply.number;
            let content =
                format!(r#"{{"type":"tool_use","id":"toolu_{id}","name":"{tool}","input":{{}}}}"#);
            start_block(block, &content, events);
        }
    }
}

fn start_block(index: u32, block: &str, events: &mut Events<'_>) {
    events.named(
        "content_block_start",
        format_args!(r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#),
    );
}

fn stop_thinking(events: &mut Events<'_>) {
    delta(0, &format!(r#""signature_delta","signature":"{SIGNATURE}""#), events);
    stop_block(0, events);
}

fn stop_block(index: u32, events: &mut Events<'_>) {
    let data = format_args!(r#"{{"type":"content_block_stop","index":{index}}}"#);
    events.named("content_block_stop", data);
}

fn delta(index: u32, kind: &str, events: &mut Events<'_>) {
    events.named(
        "content_block_delta",
        format_args!(
            r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":{kind}}}}}"#
        ),
    );
}

fn message_delta(reason: &str, output: Option<u64>, events: &mut Events<'_>) {
    let usage = match output {
        Some(output) => format!(r#","usage":{{"output_tokens":{output}}}"#),
        None => String::new(),
    };
    events.named("message_delta", format_args!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":{reason},"stop_sequence":null}}{usage}}}"#
    ));
}

fn stop_reason(reply: &Reply) -> &'static str {
    match (reply.output.truncated, &reply.output.tool) {
        (true, _) => "max_tokens",
        (false, Some(_)) => "tool_use",
        (false, None) => "end_turn",
    }
}

/// Here `input_tokens` is what is neither read from the cache nor written to it.
fn usage(reply: &Reply, tokens: Tokens, output: u64) -> String {
    let written = reply.prompt.written.min(tokens.input);
    let (input, cached) = (tokens.input - written, tokens.cached_input);
    format!(
        r#"{{"input_tokens":{input},"cache_creation_input_tokens":{written},"cache_read_input_tokens":{cached},"output_tokens":{output}}}"#
    )
}
