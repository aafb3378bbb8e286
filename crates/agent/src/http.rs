//! One request on a connection of its own, without TLS.

use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, StatusCode,
    body::Bytes,
    client::conn::http1::handshake,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// Bytes of an answer that are read.
const LONGEST: usize = 64 * 1024;

/// What is sent.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// With its port.
    pub(crate) host: String,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'static str, &'a str)],
    /// JSON.
    pub(crate) body: Vec<u8>,
}

/// The answer's status and body, if it is here within `limit`.
pub(crate) async fn send(request: Request<'_>, limit: Duration) -> Result<(StatusCode, Bytes)> {
    timeout(limit, exchange(request)).await.context("no answer in time")?
}

async fn exchange(request: Request<'_>) -> Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(&request.host).await.context("connecting")?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let mut head = hyper::Request::builder()
        .method(request.method)
        .uri(request.path)
        .header(HOST, request.host)
        .header(CONTENT_TYPE, "application/json");
    for (name, value) in request.headers {
        head = head.header(*name, *value);
    }
    let request = head.body(Full::new(Bytes::from(request.body)))?;
    let exchange = async move {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, LONGEST).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed).context("the answer's body")?;
        // The sender ends here, and with it the connection.
        anyhow::Ok((head.status, body.to_bytes()))
    };
    // What is wrong with the connection, the exchange says too.
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}
