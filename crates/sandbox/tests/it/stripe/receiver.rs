//! An endpoint for events.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use oc_sandbox::stripe::Endpoint;
use parking_lot::Mutex;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};

use super::http::id;

/// An endpoint: what it was sent, and what it will answer before it answers 200.
pub(crate) struct Receiver {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<(String, String)>>>,
    pub(crate) answers: Arc<Mutex<VecDeque<u16>>>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let mut tasks = JoinSet::new();
        let (kept, script) = (Arc::clone(&seen), Arc::clone(&answers));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (kept, script) = (Arc::clone(&kept), Arc::clone(&script));
                connections.spawn(async move {
                    let service = service_fn(|request| receive(&kept, &script, request));
                    let _ =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, seen, answers, _tasks: tasks }
    }

    pub(crate) fn endpoint(&self, secrets: &[&str]) -> Endpoint {
        let secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        Endpoint { url: self.url.clone(), secrets }
    }

    /// Signatures and bodies, in the order of their arrival.
    pub(crate) fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().clone()
    }

    /// The ids of events, in the order of their arrival.
    pub(crate) fn ids(&self) -> Vec<String> {
        let event = |body: &str| id(&serde_json::from_str(body).unwrap());
        self.seen().iter().map(|(_, body)| event(body)).collect()
    }
}

async fn receive(
    seen: &Mutex<Vec<(String, String)>>,
    answers: &Mutex<VecDeque<u16>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let signature = request.headers()["stripe-signature"].to_str().unwrap().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    seen.lock().push((signature, String::from_utf8(body.to_vec()).unwrap()));
    let status = answers.lock().pop_front().unwrap_or(200);
    Ok(Response::builder().status(status).body(Full::default()).unwrap())
}

/// Waits until something holds, half a minute at most.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), wait).await.unwrap();
}
