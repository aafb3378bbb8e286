//! Answers that make sense, without a model: greetings, names, sums, the time, what was said before,
//! and tools that are asked for. In Portuguese or English, as the person writes.

use super::request::{Request, Speaker, Tool};

mod call;
mod language;
mod listen;
mod reply;
mod sum;

use language::Language;
use listen::listen;

/// What the model does.
#[derive(Debug, PartialEq)]
pub(super) enum Speech {
    /// It answers with a text.
    Says(String),
    /// It calls a tool with arguments, a JSON object.
    Calls { tool: String, arguments: String },
}

/// A conversation as the model understands it.
struct Conversation {
    /// The operator's instructions.
    system: String,
    /// What the person has said, the last being what is to be answered; without what the client adds.
    said: Vec<String>,
    /// The result of a tool that was called for it.
    result: Option<String>,
    language: Language,
    tools: Vec<Tool>,
    /// Seconds after 1970.
    now: i64,
}

/// What is answered to a request at a time in seconds after 1970.
pub(super) fn speak(request: &Request<'_>, now: i64) -> Speech {
    let conversation = Conversation::of(request, now);
    if let Some(result) = &conversation.result {
        return Speech::Says(conversation.report(result));
    }
    match conversation.call() {
        Some((tool, arguments)) => Speech::Calls { tool, arguments: arguments.to_string() },
        None => Speech::Says(conversation.reply()),
    }
}

impl Conversation {
    fn of(request: &Request<'_>, now: i64) -> Self {
        let (mut system, mut said, mut result) = (String::new(), Vec::new(), None);
        for (speaker, text) in request.said() {
            match speaker {
                Speaker::System => {
                    system.push_str(&text);
                    system.push('\n');
                }
                Speaker::Person => {
                    if let Some(text) = listen(&text) {
                        said.push(text);
                        result = None;
                    }
                }
                Speaker::Tool => result = Some(text.into_owned()),
                Speaker::Model => {}
            }
        }
        let language = Language::of(said.iter().rev().map(String::as_str), &system);
        Self { system, said, result, language, tools: request.tools(), now }
    }

    /// What is to be answered.
    fn last(&self) -> &str {
        self.said.last().map_or("", String::as_str)
    }

    /// One of two texts.
    fn either<'a>(&self, portuguese: &'a str, english: &'a str) -> &'a str {
        match self.language {
            Language::Portuguese => portuguese,
            Language::English => english,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CONTEXT: &str = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\nOpenClaw runtime context for the active user \
        request in this turn. Do not reply.\nhello what is your name\n<<<END_OPENCLAW_INTERNAL_CONTEXT>>>";

    /// A turn as OpenClaw sends it: history, what the person says, its own context.
    fn turn(history: &[(&str, &str)], text: &str) -> Speech {
        let mut messages = vec![json!({ "role": "system", "content":
            "You are a personal assistant running inside OpenClaw.\n## SOUL.md\n# Alma\n\nVocê é o assistente da \
             equipe de uma farmácia comunitária no Brasil: dono e atendentes." })];
        messages
            .extend(history.iter().map(|(role, text)| json!({ "role": role, "content": text })));
        messages.push(json!({ "role": "user", "content": text }));
        messages.push(json!({ "role": "user", "content": CONTEXT }));
        speech(&messages)
    }

    fn speech(messages: &[Value]) -> Speech {
        let path = json!({ "type": "string" });
        let tools = json!([
            { "type": "function", "function": { "name": "session_status", "parameters": { "type": "object", "properties": {} } } },
            { "type": "function", "function": { "name": "read", "parameters": { "type": "object", "required": ["path"],
                "properties": { "path": path, "limit": { "type": "number" } } } } },
            { "type": "function", "function": { "name": "write", "parameters": { "type": "object", "required": ["path", "content"],
                "properties": { "path": path, "content": { "type": "string" } } } } },
        ]);
        let body = json!({ "model": "m", "messages": messages, "tools": tools }).to_string();
        let request: Request<'_> = serde_json::from_str(&body).unwrap();
        speak(&request, 1_795_305_600)
    }

    fn says(history: &[(&str, &str)], text: &str) -> String {
        match turn(history, text) {
            Speech::Says(text) => text,
            calls @ Speech::Calls { .. } => panic!("{calls:?}"),
        }
    }

    fn calls(text: &str) -> (String, Value) {
        match turn(&[], text) {
            Speech::Calls { tool, arguments } => (tool, serde_json::from_str(&arguments).unwrap()),
            Speech::Says(text) => panic!("{text}"),
        }
    }

    #[test]
    fn people_are_answered_in_their_language_and_not_in_that_of_the_context() {
        assert!(says(&[], "Bom dia!").starts_with("Bom dia!"), "{}", says(&[], "Bom dia!"));
        assert!(says(&[], "Hi there").starts_with("Hello!"));
        assert!(says(&[], "O que você sabe fazer?").contains("farmácia"));
        assert!(says(&[], "What can you do?").contains("farmácia"));
        assert!(says(&[], "quanto é 12 vezes 7?").contains("84"));
        assert!(says(&[], "what is (2 + 3) * 1.5?").contains("7.5"));
        assert!(says(&[], "quanto é 10 / 4").contains("2,5"));
        assert!(says(&[], "que horas são?").contains("21:00"), "{}", says(&[], "que horas são?"));
        let told = says(&[], "A geladeira das vacinas parou ontem à noite");
        assert!(
            told.contains("geladeira das vacinas parou ontem") && told.ends_with('?'),
            "{told}"
        );
    }

    #[test]
    fn names_and_facts_are_remembered() {
        let history =
            [("user", "Oi, meu nome é Ana Souza."), ("assistant", "Olá!"), ("user", CONTEXT)];
        assert!(says(&history, "qual é o meu nome?").contains("Ana Souza"));
        assert!(says(&[], "qual é o meu nome?").contains("ainda não"));
        let history = [("user", "My name is Bob and I like tea"), ("assistant", "ok")];
        assert!(says(&history, "What's my name?").contains("Bob."));
        let history = [("user", "o código do armário é 4711"), ("assistant", "ok")];
        assert!(says(&history, "qual é o código do armário?").contains("4711"));
    }

    #[test]
    fn tools_are_called_with_arguments_that_fit() {
        assert_eq!(calls("use a ferramenta session_status").0, "session_status");
        assert_eq!(calls("tool:session_status"), ("session_status".to_owned(), json!({})));
        let (tool, arguments) = calls("anote que a reunião é às 15h \"em ponto\"");
        assert_eq!(tool, "write");
        assert_eq!(arguments["path"], "notas.md");
        assert_eq!(arguments["content"], "- a reunião é às 15h \"em ponto\"\n");
        assert_eq!(
            calls("leia o arquivo dados/lista.txt"),
            ("read".to_owned(), json!({ "path": "dados/lista.txt" }))
        );
        assert_eq!(calls("leia as minhas notas").1, json!({ "path": "notas.md" }));
    }

    #[test]
    fn the_result_of_a_tool_is_answered_and_not_asked_for_again() {
        let result = |text: &str, result: &str| {
            speech(&[
                json!({ "role": "user", "content": text }),
                json!({ "role": "user", "content": CONTEXT }),
                json!({ "role": "assistant", "content": null, "tool_calls": [] }),
                json!({ "role": "tool", "tool_call_id": "c", "content": result }),
            ])
        };
        let Speech::Says(text) = result("leia as minhas notas", "- a reunião é às 15h") else {
            panic!()
        };
        assert!(text.contains("a reunião é às 15h"), "{text}");
        let Speech::Says(text) = result("anote: comprar pão", "ok, 14 bytes") else { panic!() };
        assert!(text.starts_with("Anotado"), "{text}");
    }
}
