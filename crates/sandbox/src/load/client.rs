//! One connection that asks again and again.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::Instant};

use super::{Plan, Target, TokenHeader, scan::Scanner};

/// A client of one target.
pub(super) struct Client {
    address: SocketAddr,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    token_header: HeaderName,
    tokens: Arc<[HeaderValue]>,
    /// The place of the next token.
    next: usize,
    gap: Duration,
    stream: bool,
    connection: Option<SendRequest<Full<Bytes>>>,
    /// What drives the connection.
    driver: JoinSet<Result<(), hyper::Error>>,
}

/// What a request brought.
pub(super) struct Answered {
    pub(super) status: u16,
    /// From the start to the last byte.
    pub(super) latency: Duration,
    /// What there was to see of a stream.
    pub(super) stream: Option<Streamed>,
}

/// What a stream was like.
pub(super) struct Streamed {
    /// From the start to the first frame with text.
    pub(super) first: Option<Duration>,
    /// What each later frame came after its beat.
    pub(super) late: Vec<Duration>,
    /// Numbers that were missing between others.
    pub(super) lost: u64,
}

/// Why a request brought no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The target cannot be connected to.
    #[error("no connection")]
    Unconnected(#[source] std::io::Error),
    /// The connection ended.
    #[error("the connection ended before the answer")]
    Broken(#[source] hyper::Error),
    /// A stream ended without saying so.
    #[error("the stream ended before its end")]
    Unfinished,
}

impl Client {
    pub(super) fn new(
        target: &Target,
        uri: &Uri,
        body: &Bytes,
        plan: &Plan,
        tokens: Arc<[HeaderValue]>,
        first: usize,
    ) -> Self {
        let mut headers = target.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(host) = HeaderValue::try_from(target.address.to_string()) {
            headers.insert(HOST, host);
        }
        Self {
            address: target.address,
            uri: uri.clone(),
            headers,
            body: body.clone(),
            token_header: match plan.token_header {
                TokenHeader::Bearer => AUTHORIZATION,
                TokenHeader::XProxyKey => HeaderName::from_static("x-proxy-key"),
            },
            tokens,
            next: first,
            gap: plan.gap,
            stream: plan.stream,
            connection: None,
            driver: JoinSet::new(),
        }
    }

    /// Asks once and reads the answer to its end; time counts from `start`.
    pub(super) async fn ask(&mut self, start: Instant) -> Result<Answered, Failure> {
        let answered = self.read(start).await;
        if answered.is_err() {
            self.connection = None;
        }
        answered
    }

    async fn read(&mut self, start: Instant) -> Result<Answered, Failure> {
        let response = self.send().await?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut scanner = (self.stream && status == 200).then(|| Scanner::new(start, self.gap));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(Failure::Broken)?;
            if let (Some(scanner), Some(bytes)) = (&mut scanner, frame.data_ref()) {
                scanner.read(bytes, Instant::now());
            }
        }
        let latency = start.elapsed();
        let stream = match scanner {
            Some(scanner) => Some(scanner.finish().ok_or(Failure::Unfinished)?),
            None => None,
        };
        Ok(Answered { status, latency, stream })
    }

    async fn send(&mut self) -> Result<Response<Incoming>, Failure> {
        let request = self.request();
        let mut connection = match self.connection.take().filter(|kept| !kept.is_closed()) {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        connection.ready().await.map_err(Failure::Broken)?;
        let response = connection.send_request(request).await.map_err(Failure::Broken)?;
        self.connection = Some(connection);
        Ok(response)
    }

    fn request(&mut self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(token) = self.tokens.get(self.next % self.tokens.len().max(1)) {
            request.headers_mut().insert(self.token_header.clone(), token.clone());
            self.next += 1;
        }
        request
    }
    async fn connect(&mut self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let stream = TcpStream::connect(self.address).await.map_err(Failure::Unconnected)?;
        stream.set_nodelay(true).map_err(Failure::Unconnected)?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(Failure::Broken)?;
        // The errors of a connection are those of its requests.
        self.driver = JoinSet::new();
        self.driver.spawn(connection);
        Ok(sender)
    }
}
