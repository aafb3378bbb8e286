//! The part of Telegram's Bot API that a gateway which polls needs: one bot, one person.

use std::{collections::VecDeque, future::IntoFuture as _, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri},
};
use oc_testkit::wait_for;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet, time::timeout};

/// The person's id, and that of the chat with them.
const PERSON: u64 = 777;

/// A running stand-in; it ends when it is dropped.
pub(crate) struct Telegram {
    /// What `apiRoot` is in the gateway's configuration.
    pub(crate) url: String,
    shared: Arc<Shared>,
    _server: JoinSet<std::io::Result<()>>,
}

struct Shared {
    /// The bot's token.
    token: String,
    chat: Mutex<Chat>,
    said: Notify,
}

#[derive(Default)]
struct Chat {
    /// What the person wrote and the bot has not confirmed.
    updates: VecDeque<Value>,
    last: u64,
    /// What the bot wrote and the test has not read.
    replies: VecDeque<String>,
}

impl Telegram {
    /// Listens on a free port, for the bot with this token.
    pub(crate) async fn start(token: String) -> Self {
        let shared = Arc::new(Shared { token, chat: Mutex::default(), said: Notify::new() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(call).with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(axum::serve(listener, router).into_future());
        Self { url, shared, _server: server }
    }

    /// The person writes.
    pub(crate) fn say(&self, text: &str) {
        let mut chat = self.shared.chat.lock();
        chat.last += 1;
        let id = chat.last;
        chat.updates.push_back(json!({"update_id": id, "message": {
            "message_id": id,
            "date": 1_790_000_000,
            "chat": {"id": PERSON, "type": "private", "first_name": "Ana"},
            "from": {"id": PERSON, "is_bot": false, "first_name": "Ana"},
            "text": text,
        }}));
        self.shared.said.notify_waiters();
    }

    /// What the bot writes next; an error if it writes nothing for so long.
    pub(crate) async fn reply(&self, limit: Duration) -> anyhow::Result<String> {
        let next = async || Ok(self.shared.chat.lock().replies.pop_front());
        wait_for(limit, "a reply in the chat", next).await
    }
}

/// A call of the Bot API, `/bot<token>/<method>`.
async fn call(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    body: Bytes,
) -> (StatusCode, Json<Value>) {
    let method = uri.path().strip_prefix("/bot").and_then(|path| path.split_once('/'));
    let Some((_, method)) = method.filter(|(token, _)| *token == shared.token) else {
        let error = json!({"ok": false, "error_code": 401, "description": "Unauthorized"});
        return (StatusCode::UNAUTHORIZED, Json(error));
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let result = match method {
        "getMe" => json!({"id": 1, "is_bot": true, "first_name": "Bot", "username": "sandbox_bot"}),
        "getUpdates" => shared.updates(&body).await,
        "sendMessage" => shared.sent(&body),
        _ => json!(true),
    };
    (StatusCode::OK, Json(json!({"ok": true, "result": result})))
}

impl Shared {
    /// The updates from `offset` on, which confirms those before; waits for one.
    async fn updates(&self, body: &Value) -> Value {
        let offset = body["offset"].as_u64().unwrap_or_default();
        let wait = Duration::from_secs(body["timeout"].as_u64().unwrap_or_default());
        let said = self.said.notified();
        let updates = self.pending(offset);
        if !updates.is_empty() {
            return updates.into();
        }
        let _ = timeout(wait, said).await;
        self.pending(offset).into()
    }

    fn pending(&self, offset: u64) -> Vec<Value> {
        let updates = &mut self.chat.lock().updates;
        updates.retain(|update| update["update_id"].as_u64() >= Some(offset));
        updates.iter().cloned().collect()
    }

    fn sent(&self, body: &Value) -> Value {
        let text = body["text"].as_str().unwrap_or_default();
        let mut chat = self.chat.lock();
        chat.replies.push_back(text.to_owned());
        chat.last += 1;
        json!({"message_id": chat.last, "date": 1_790_000_000, "text": text,
            "chat": {"id": PERSON, "type": "private", "first_name": "Ana"}})
    }
}
