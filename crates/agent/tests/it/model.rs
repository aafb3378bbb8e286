//! What `token-proxy` is for a pod: takes the platform token, keeps what it was asked, and passes it
//! on to the stand-in for Kimi.

use std::{future::IntoFuture as _, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use oc_sandbox::kimi::{Kimi, Options};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

/// A running stand-in; it ends when it is dropped.
pub(crate) struct Model {
    /// With the path that the provider's base has.
    pub(crate) url: String,
    shared: Arc<Shared>,
    _server: JoinSet<std::io::Result<()>>,
}

struct Shared {
    kimi: Kimi,
    client: reqwest::Client,
    asked: Mutex<Vec<Asked>>,
}

/// A request.
#[derive(Clone)]
pub(crate) struct Asked {
    /// Its `x-proxy-key`.
    pub(crate) key: String,
    pub(crate) body: Value,
}

impl Asked {
    /// The whole request, as text to look for words in.
    pub(crate) fn text(&self) -> String {
        self.body.to_string()
    }
}

impl Model {
    /// Listens on a free port.
    pub(crate) async fn start() -> Self {
        let kimi = Kimi::start(Options::default()).await.unwrap();
        let client = reqwest::Client::new();
        let shared = Arc::new(Shared { kimi, client, asked: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new().fallback(call).with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(axum::serve(listener, router).into_future());
        Self { url, shared, _server: server }
    }

    /// Everything that it was asked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().clone()
    }
}

async fn call(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let key = headers.get("x-proxy-key").map(|key| key.to_str().unwrap().to_owned());
    let key = key.unwrap_or_default();
    let asked = Asked { key, body: serde_json::from_slice(&body).unwrap_or_default() };
    shared.asked.lock().push(asked);
    let url = format!("http://{}{}", shared.kimi.addr(), uri.path());
    let request = shared.client.post(url).bearer_auth("key").body(body);
    let answer = request.header("content-type", "application/json").send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (status, [("content-type", kind)], Body::from_stream(answer.bytes_stream())).into_response()
}
