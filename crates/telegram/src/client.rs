//! The client: what tenants' calls are forwarded by and our own are made with.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;
use tokio::time::timeout;

use crate::{Call, CallBody, Error};

mod answer;
mod typed;

pub use typed::{Bot, File, Message, SetWebhook};

const CONNECT: Duration = Duration::from_secs(5);
/// For an answer to one of our own calls.
const ANSWER: Duration = Duration::from_secs(20);
/// For the head of the answer to a tenant's call, after all of its files are sent.
const FORWARD: Duration = Duration::from_mins(5);
/// The bytes of an answer to one of our own calls: a hundred updates are far less.
const LONGEST: usize = 16 << 20;

/// A Bot API. Cheap to clone; clones share their connections. Addresses hold tokens, so none is ever
/// logged or part of an error.
#[derive(Clone)]
pub struct Client {
    root: String,
    http: legacy::Client<HttpsConnector<HttpConnector>, CallBody>,
}

impl Client {
    /// The Bot API at `root`: `https://api.telegram.org`, or a stand-in's address.
    pub fn new(root: &str) -> Result<Self, Error> {
        let root = root.trim_end_matches('/').to_owned();
        let _: Uri = root.parse().map_err(Error::unusable)?;
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT));
        http.enforce_http(false);
        let tls = rustls::ClientConfig::builder().try_with_platform_verifier();
        let tls = tls.map_err(Error::unusable)?.with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(50))
            .pool_max_idle_per_host(256)
            .build(connector);
        Ok(Self { root, http })
    }

    /// Sends a tenant's call with the bot's own token, and gives the answer as it comes. A call in
    /// which the client broke its word about files ends here as [`Error::Unreachable`], with the
    /// [`Refusal`](crate::Refusal) among its sources.
    pub async fn forward(
        &self,
        token: &SecretString,
        call: Call,
    ) -> Result<Response<Incoming>, Error> {
        let method = call.method().name;
        let (kind, body) = call.into_body();
        let request = Request::post(self.address("bot", token, method)?)
            .header(header::CONTENT_TYPE, kind)
            .body(body)
            .map_err(Error::unusable)?;
        self.send(request, FORWARD).await
    }

    /// The content of a file at the path that `getFile` told, as it comes.
    pub async fn file(
        &self,
        token: &SecretString,
        path: &str,
        range: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_name = |name: &str| name.bytes().all(plain) && !matches!(name, "" | "." | "..");
        if !path.split('/').all(is_name) {
            return Err(Error::unusable("not the path of a file"));
        }
        let mut request = Request::get(self.address("file/bot", token, path)?);
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        self.send(request.body(empty()).map_err(Error::unusable)?, FORWARD).await
    }

    /// Makes a call of our own; gives its result.
    pub async fn call(
        &self,
        token: &SecretString,
        method: &str,
        params: &impl Serialize,
    ) -> Result<Value, Error> {
        self.typed(token, method, params, ANSWER).await
    }

    async fn typed<T: serde::de::DeserializeOwned>(
        &self,
        token: &SecretString,
        method: &str,
        params: &impl Serialize,
        patience: Duration,
    ) -> Result<T, Error> {
        let body = Full::from(serde_json::to_vec(params).map_err(Error::unusable)?);
        let request = Request::post(self.address("bot", token, method)?)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_err(|never| match never {}).boxed_unsync())
            .map_err(Error::unusable)?;
        let whole = async {
            let (head, body) = self.send(request, patience).await?.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(Error::Unreachable)?;
            answer::read(head.status, &head.headers, &body.to_bytes())
        };
        timeout(patience, whole).await.map_err(|_| Error::TimedOut)?
    }

    async fn send(
        &self,
        request: Request<CallBody>,
        patience: Duration,
    ) -> Result<Response<Incoming>, Error> {
        let answered = timeout(patience, self.http.request(request)).await;
        answered.map_err(|_| Error::TimedOut)?.map_err(|error| Error::Unreachable(error.into()))
    }

    fn address(&self, prefix: &str, token: &SecretString, path: &str) -> Result<Uri, Error> {
        let address = format!("{}/{prefix}{}/{path}", self.root, token.expose_secret());
        // The parser's errors say what is wrong, not where.
        address.parse().map_err(Error::unusable)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("root", &self.root).finish_non_exhaustive()
    }
}

fn empty() -> CallBody {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync()
}
