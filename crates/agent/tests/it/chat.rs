//! What `channels` is for a pod: the Bot API for one bot and one person, and an ear for heartbeats.

use std::{collections::VecDeque, future::IntoFuture as _, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
    routing::post,
};
use oc_domain::Heartbeat;
use oc_testkit::wait_for;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet, time::timeout};

/// The person's id, and that of the chat with them.
const PERSON: u64 = 777;

/// A running stand-in; it ends when it is dropped.
pub(crate) struct Chat {
    pub(crate) url: String,
    shared: Arc<Shared>,
    _server: JoinSet<std::io::Result<()>>,
}

#[derive(Default)]
struct Shared {
    book: Mutex<Book>,
    said: Notify,
}

#[derive(Default)]
struct Book {
    /// What the person wrote and the bot has not confirmed.
    updates: VecDeque<Value>,
    last: u64,
    /// What the bot wrote and the test has not read.
    replies: VecDeque<String>,
    /// The only platform token that is good.
    token: String,
    /// The numbers that stood before the token, in the order in which they first came.
    numbers: Vec<String>,
    heartbeats: Vec<Heartbeat>,
    /// Whether messages of the bot are taken without an answer.
    mute: bool,
}

impl Chat {
    /// Listens on a free port, for a pod with this platform token.
    pub(crate) async fn start(token: &str) -> Self {
        let shared = Arc::<Shared>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/agent/v1/heartbeat", post(heartbeat))
            .fallback(call)
            .with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(axum::serve(listener, router).into_future());
        let chat = Self { url, shared, _server: server };
        chat.rotate(token);
        chat
    }

    /// From now on only this token is good.
    pub(crate) fn rotate(&self, token: &str) {
        token.clone_into(&mut self.shared.book.lock().token);
    }

    /// The person writes.
    pub(crate) fn say(&self, text: &str) {
        let mut book = self.shared.book.lock();
        book.last += 1;
        let id = book.last;
        book.updates.push_back(json!({"update_id": id, "message": {
            "message_id": id,
            "date": 1_790_000_000,
            "chat": {"id": PERSON, "type": "private", "first_name": "Ana"},
            "from": {"id": PERSON, "is_bot": false, "first_name": "Ana"},
            "text": text,
        }}));
        self.shared.said.notify_waiters();
    }

    /// From now on messages of the bot are taken, and it never hears so; or it does again.
    pub(crate) fn mute(&self, mute: bool) {
        self.shared.book.lock().mute = mute;
    }

    /// What the bot writes next; an error if it writes nothing for so long.
    pub(crate) async fn reply(&self, limit: Duration) -> anyhow::Result<String> {
        let next = async || Ok(self.shared.book.lock().replies.pop_front());
        wait_for(limit, "a reply in the chat", next).await
    }

    /// Under which number the bot came last.
    pub(crate) fn number(&self) -> Option<String> {
        self.shared.book.lock().numbers.last().cloned()
    }

    /// The next heartbeat that is so; those before it are forgotten.
    pub(crate) async fn heartbeat(
        &self,
        limit: Duration,
        what: &str,
        so: impl Fn(&Heartbeat) -> bool,
    ) -> anyhow::Result<Heartbeat> {
        wait_for(limit, what, async || {
            let heartbeats = &mut self.shared.book.lock().heartbeats;
            let found = heartbeats.iter().position(&so);
            Ok(found.and_then(|found| heartbeats.drain(..=found).next_back()))
        })
        .await
    }

    /// The last heartbeat.
    pub(crate) fn last_heartbeat(&self) -> Option<Heartbeat> {
        self.shared.book.lock().heartbeats.last().cloned()
    }
}

async fn heartbeat(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(heartbeat): Json<Heartbeat>,
) -> StatusCode {
    let mut book = shared.book.lock();
    if headers.get("x-proxy-key").is_none_or(|key| key.as_bytes() != book.token.as_bytes()) {
        return StatusCode::UNAUTHORIZED;
    }
    book.heartbeats.push(heartbeat);
    StatusCode::NO_CONTENT
}

/// A call of the Bot API, `/bot<number>:<platform token>/<method>`.
async fn call(State(shared): State<Arc<Shared>>, uri: Uri, body: Bytes) -> Response {
    let method = uri.path().strip_prefix("/bot").and_then(|path| path.split_once('/'));
    let parts = method.and_then(|(bot, method)| Some((bot.split_once(':')?, method)));
    let Some(((number, _), method)) =
        parts.filter(|((_, token), _)| *token == shared.book.lock().token)
    else {
        let error = json!({"ok": false, "error_code": 401, "description": "Unauthorized"});
        return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
    };
    shared.note(number);
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let result = match method {
        "getMe" => json!({"id": 1, "is_bot": true, "first_name": "Bot", "username": "sandbox_bot"}),
        "getUpdates" => shared.updates(&body).await,
        "sendMessage" => {
            let sent = shared.sent(&body);
            if shared.book.lock().mute {
                std::future::pending::<()>().await;
            }
            sent
        }
        _ => json!(true),
    };
    Json(json!({"ok": true, "result": result})).into_response()
}

impl Shared {
    fn note(&self, number: &str) {
        let numbers = &mut self.book.lock().numbers;
        if !numbers.iter().any(|known| known == number) {
            numbers.push(number.to_owned());
        }
    }

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
        let updates = &mut self.book.lock().updates;
        updates.retain(|update| update["update_id"].as_u64() >= Some(offset));
        updates.iter().cloned().collect()
    }

    fn sent(&self, body: &Value) -> Value {
        let text = body["text"].as_str().unwrap_or_default();
        let mut book = self.book.lock();
        book.replies.push_back(text.to_owned());
        book.last += 1;
        json!({"message_id": book.last, "date": 1_790_000_000, "text": text,
            "chat": {"id": PERSON, "type": "private", "first_name": "Ana"}})
    }
}
