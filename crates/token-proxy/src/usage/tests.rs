use proptest::prelude::*;

use super::*;

const OPENAI: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
    ": comment\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"abcdefghijklmnopqrstuvwxyz0123456789\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":9,\"cached_tokens\":30,",
    "\"prompt_tokens_details\":{\"cached_tokens\":30}}}\n\n",
    "data: [DONE]\n\n",
);

const ANTHROPIC: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":70,",
    "\"cache_read_input_tokens\":30,\"cache_creation_input_tokens\":5,\"output_tokens\":1}}}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",",
    "\"text\":\"abcdefghijklmnopqrstuvwxyz0123456789\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},",
    "\"usage\":{\"output_tokens\":9}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

fn read(stream: &str) -> Seen {
    let mut events = Events::default();
    events.feed(stream.as_bytes());
    events.finish();
    events.seen
}

fn tokens(input: u64, cached_input: u64, output: u64) -> Tokens {
    Tokens { input, cached_input, output, reasoning: 0 }
}

#[test]
fn the_usage_of_both_dialects_is_read() {
    assert_eq!(read(OPENAI).measured(), Some(tokens(70, 30, 9)));
    assert_eq!(read(ANTHROPIC).measured(), Some(tokens(75, 30, 9)));
    assert!(read(OPENAI).finished && read(ANTHROPIC).finished);
}

#[test]
fn usage_is_found_in_the_finish_chunk_and_in_its_choice() {
    let finish = r#"data: {"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":0}}"#;
    assert_eq!(read(&[finish, "\n\ndata: [DONE]\n\n"].concat()).measured(), Some(tokens(5, 0, 0)));
    let choice = r#"data: {"choices":[{"finish_reason":"stop","usage":{"prompt_tokens":5,"completion_tokens":2}}]}"#;
    assert_eq!(read(choice).measured(), Some(tokens(5, 0, 2)));
}

#[test]
fn the_last_usage_wins_and_an_explicit_zero_is_a_value() {
    let two = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\n\
               data: {\"choices\":[],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}\n\n";
    assert_eq!(read(two).measured(), Some(tokens(0, 0, 0)));
    assert_eq!(read("data: {\"usage\":null}\n\ndata: [DONE]\n\n").measured(), None);
}

#[test]
fn a_cut_stream_is_counted() {
    let cut = OPENAI.split("data: {\"choices\":[{\"delta\":{},").next().unwrap();
    let seen = read(cut);
    assert_eq!(seen.measured(), None);
    assert!(!seen.finished);
    assert_eq!(seen.estimated(50), tokens(50, 0, 10));
    let cut = ANTHROPIC.split("event: message_delta").next().unwrap();
    assert_eq!(read(cut).measured(), None);
    assert_eq!(read(cut).estimated(50), tokens(75, 30, 10));
}

#[test]
fn an_answer_that_is_no_stream_is_read_whole() {
    let mut seen = Seen::default();
    seen.read(
        br#"{"choices":[{"message":{"content":"hi","tool_calls":[{"function":{"arguments":"{}"}}]},
        "finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4,
        "completion_tokens_details":{"reasoning_tokens":2}}}"#,
    );
    assert_eq!(
        seen.measured(),
        Some(Tokens { input: 3, cached_input: 0, output: 4, reasoning: 2 })
    );
    let mut seen = Seen::default();
    seen.read(br#"{"type":"message","stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":4}}"#);
    assert_eq!(seen.measured(), Some(tokens(3, 0, 4)));
}

#[test]
fn errors_inside_of_a_stream_are_seen() {
    assert!(read("data: {\"error\":{\"message\":\"x\"}}\n\n").failed);
    assert!(read("event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n").failed);
    assert!(!read(OPENAI).failed);
}

/// The stream in pieces, cut at `cuts`.
fn pieces<'a>(stream: &'a str, cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([stream.len()]);
    let mut from = 0;
    ends.map(|to| &stream.as_bytes()[std::mem::replace(&mut from, to)..to]).collect()
}

proptest! {
    #[test]
    fn usage_is_found_however_the_stream_is_cut_and_its_lines_end(
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        anthropic: bool,
    ) {
        let stream = if anthropic { ANTHROPIC } else { OPENAI }.replace('\n', end);
        let mut events = Events::default();
        for piece in pieces(&stream, &cuts) {
            events.feed(piece);
        }
        events.finish();
        let expected = if anthropic { tokens(75, 30, 9) } else { tokens(70, 30, 9) };
        prop_assert_eq!(events.seen.measured(), Some(expected));
    }

    #[test]
    fn nothing_but_the_usage_chunk_is_withheld_however_the_stream_is_cut(
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
    ) {
        let stream = OPENAI.replace('\n', end);
        let (mut events, mut withhold) = (Events::default(), Withhold::default());
        let mut out = Vec::new();
        for piece in pieces(&stream, &cuts) {
            out.extend_from_slice(&withhold.pass(&mut events, piece));
        }
        out.extend_from_slice(&withhold.finish(&mut events));
        events.finish();
        let at = stream.find("data: {\"choices\":[],").unwrap();
        let expected = [&stream[..at], &stream[stream.find("data: [DONE]").unwrap()..]].concat();
        prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        prop_assert_eq!(events.seen.measured(), Some(tokens(70, 30, 9)));
    }

    #[test]
    fn garbage_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut events = Events::default();
        events.feed(&bytes);
        events.finish();
        prop_assert_eq!(events.seen.measured(), None);
    }
}
