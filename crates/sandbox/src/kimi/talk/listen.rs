//! What a person has said, without what OpenClaw puts around it.

const BEGIN: &str = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>";
const END: &str = "<<<END_OPENCLAW_INTERNAL_CONTEXT>>>";
/// What heads a block of facts about the message.
const FACTS: [&str; 2] = ["(untrusted metadata):", "⟦openclaw:ctx⟧"];
/// What follows a message with facts about the client.
const RUNTIME: &str = "\n\nRuntime: agent=";

/// What the person has said in a message; nothing, if the client alone speaks in it.
pub(super) fn listen(message: &str) -> Option<String> {
    let mut text = message.to_owned();
    while let Some(start) = text.find(BEGIN) {
        let end =
            text.get(start..).and_then(|rest| rest.find(END)).map(|end| start + end + END.len());
        text.replace_range(start..end.unwrap_or(text.len()), "");
    }
    if let Some(end) = text.find(RUNTIME) {
        text.truncate(end);
    }
    text = without_envelope(text.trim()).to_owned();
    while let Some((at, facts)) = FACTS.iter().find_map(|facts| Some((text.find(facts)?, facts))) {
        let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |line| line + 1);
        let fence = |from: usize| text.get(from..)?.find("```").map(|found| from + found + 3);
        let end = fence(at).and_then(fence).unwrap_or(at + facts.len());
        text.replace_range(start..end, "");
    }
    let text = without_envelope(text.trim());
    // The last has it go on with what the person has said before.
    let ours = [
        "OpenClaw runtime",
        "Continue the OpenClaw",
        "[System] Your previous turn was interrupted",
    ];
    let ours = ours.iter().any(|start| text.starts_with(start));
    (!text.is_empty() && !ours).then(|| text.to_owned())
}

/// `[Telegram Ana id:7 Sun 2026-11-22 00:00 UTC] text` is `text`.
fn without_envelope(text: &str) -> &str {
    let envelope = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match envelope {
        Some((head, rest))
            if head.bytes().any(|byte| byte.is_ascii_digit()) && head.contains(' ') =>
        {
            rest.trim()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_adds_is_not_heard() {
        for (message, said) in [
            ("oi", Some("oi")),
            ("[Telegram Ana id:7 Sun 2026-11-22 00:00 UTC] oi", Some("oi")),
            ("[aviso] chegou", Some("[aviso] chegou")),
            (
                "Sender (untrusted metadata):\n```json\n{\"id\":\"7\"}\n```\n\noi, tudo bem?",
                Some("oi, tudo bem?"),
            ),
            (
                "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\nx\n<<<END_OPENCLAW_INTERNAL_CONTEXT>>>\n",
                None,
            ),
            (
                "[Sun 2026-11-22 02:06 UTC] Conversation info: ⟦openclaw:ctx⟧\n```json\n{\"name\":\"Ana\"}\n\
                 ```\n\noi?\n\nRuntime: agent=main | channel=telegram",
                Some("oi?"),
            ),
            ("oi\n<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\nx", Some("oi")),
            ("OpenClaw runtime context for the immediately preceding user message.\nx", None),
            ("[System] Your previous turn was interrupted by a gateway restart while", None),
        ] {
            assert_eq!(listen(message).as_deref(), said, "{message}");
        }
    }
}
