//! What the kubelet asks.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use oc_domain::heartbeat::GatewayPhase;
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

use crate::status::{Status, View};

/// For so long the agent may try to bring a gateway back before the kubelet starts the pod anew: a
/// hang is noticed within 45 s and a start may take 5 minutes, so there is time for a second one.
const HOPE: Duration = Duration::from_mins(12);
/// For a client that is slow to ask.
const HEAD: Duration = Duration::from_secs(5);

/// Serves `/livez` and `/readyz`.
pub(crate) async fn serve(listener: TcpListener, status: Arc<Status>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let status = Arc::clone(&status);
                let answer = service_fn(move |request| {
                    let answer = answer(&request, &status.view());
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD)
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), answer);
                // A client that goes away is its own affair.
                connections.spawn(async move { drop(connection.await) });
            }
            Err(error) => refused(&error).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// No file is left for a connection, or its client has left: neither lasts.
async fn refused(error: &io::Error) {
    crate::output::say("warn", &format!("a probe's connection: {error}"));
    sleep(Duration::from_secs(1)).await;
}

fn answer(request: &Request<Incoming>, view: &View) -> Response<Full<Bytes>> {
    let good = match (request.method(), request.uri().path()) {
        (&Method::GET, "/livez") => Some(live(view)),
        (&Method::GET, "/readyz") => Some(view.phase == GatewayPhase::Ready),
        _ => None,
    };
    let status = match good {
        Some(true) => StatusCode::OK,
        Some(false) => StatusCode::SERVICE_UNAVAILABLE,
        None => StatusCode::NOT_FOUND,
    };
    let mut response = Response::new(Full::new(Bytes::from(format!("{}\n", view.phase))));
    *response.status_mut() = status;
    response
}

/// A gateway that drains need not answer: the grace is its limit.
fn live(view: &View) -> bool {
    view.phase == GatewayPhase::Draining || view.answered.elapsed() < HOPE
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_kubelet_acts_only_when_the_agent_could_not_help() {
        let status = Status::new();
        status.phase(GatewayPhase::Down);
        advance(HOPE.checked_sub(Duration::from_secs(1)).unwrap()).await;
        assert!(live(&status.view()));
        advance(Duration::from_secs(1)).await;
        assert!(!live(&status.view()));
        status.phase(GatewayPhase::Draining);
        assert!(live(&status.view()));
    }
}
