//! Connections: tens of thousands that wait, so each has small buffers.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use oc_service::Impatient;
use tokio::{
    net::{TcpListener, TcpStream},
    select,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{http::answer, relay::Relay};

/// Connections at once.
const MOST: usize = 32_768;
/// A head that is larger is refused.
const MAX_HEAD_BYTES: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// How long a head may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(75);
/// How long a pod may take no byte of its answer.
const STALLED: Duration = Duration::from_mins(1);

/// Serves until the drain, and then until every connection has ended, and every call of a pod.
pub(crate) async fn serve(
    address: SocketAddr,
    relay: Arc<Relay>,
    draining: CancellationToken,
) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| address.to_string())?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let tasks = TaskTracker::new();
    let room = Arc::new(Semaphore::new(MOST));
    while let Some(accepted) = draining.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
                let (relay, draining) = (Arc::clone(&relay), draining.clone());
                tasks.spawn(connection(stream, relay, draining, place));
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "accept");
                // Out of files: somebody has to end first.
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
    relay.calls.close();
    relay.calls.wait().await;
    Ok(())
}

async fn connection(
    stream: TcpStream,
    relay: Arc<Relay>,
    draining: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(
            TokioIo::new(Impatient::new(stream, STALLED)),
            service_fn(move |request| answer(Arc::clone(&relay), request)),
        );
    let mut connection = std::pin::pin!(connection);
    select! {
        _ = &mut connection => return,
        () = draining.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
