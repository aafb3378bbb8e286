//! The admin listener: health, metrics, log level. Only the platform's own network reaches it.

use std::{io, net::SocketAddr};

use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::{get, put},
};
use tokio::net::TcpListener;

use crate::{Lifecycle, telemetry::LogLevel};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Binds the listener and says where it is.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("the admin listener on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "admin listener");
    Ok(listener)
}

/// Serves to the very end, the drain included.
pub(crate) async fn serve(
    listener: TcpListener,
    lifecycle: Lifecycle,
    level: LogLevel,
) -> io::Result<()> {
    let router = Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(lifecycle)
        .route("/log-level", put(set_level).with_state(level));
    axum::serve(listener, router).await
}

/// 200 and an empty list, or 503 and the names of what is failing.
async fn ready(State(lifecycle): State<Lifecycle>) -> impl IntoResponse {
    let failing = lifecycle.failing();
    let status = if failing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(failing))
}

async fn metrics(State(lifecycle): State<Lifecycle>) -> impl IntoResponse {
    let text = lifecycle.metrics().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR);
    text.map(|text| ([(CONTENT_TYPE, OPEN_METRICS)], text))
}

/// The body is the directives, as in `RUST_LOG`.
async fn set_level(State(level): State<LogLevel>, body: String) -> impl IntoResponse {
    match level.set(body.trim()) {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err((StatusCode::BAD_REQUEST, format!("{error}\n"))),
    }
}
