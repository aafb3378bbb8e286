//! What can be asked of the relay: by pods as of Telegram, by Telegram, and by our own services.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use oc_domain::TenantId;
use oc_platform_token::Refused as BadToken;
use oc_service::chain;
use oc_store::bots::Desk;
use tokio::time::timeout;

use crate::{
    answer::{Body, Refused, empty},
    relay::Relay,
};

mod agent;
mod api;
mod forward;
mod internal;
mod updates;
mod webhook;

pub(crate) use api::Faces;

/// How long a small body may take.
const BODY: Duration = Duration::from_secs(10);

/// A pod that has proved who it is.
#[derive(Clone)]
struct Pod {
    tenant: TenantId,
    desk: Arc<Desk>,
}

/// Where a path leads.
enum Route<'a> {
    Method { token: &'a str, method: &'a str },
    File { token: &'a str, path: &'a str },
    Webhook(&'a str),
    Heartbeat,
    Internal(&'a str),
    Nowhere,
}

impl<'a> Route<'a> {
    fn find(path: &'a str) -> Self {
        // `bot<number>:<platform token>`. The number is for the gateway, which keeps what it has seen
        // of a bot under it: whichever it has, the tenant's bot is the one.
        let of_bot = |rest: &'a str| {
            let (name, rest) = rest.split_once('/')?;
            let (number, token) = name.split_once(':')?;
            let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then_some((token, rest))
        };
        if let Some(rest) = path.strip_prefix("/bot") {
            return match of_bot(rest) {
                Some((token, method)) => Self::Method { token, method },
                None => Self::Nowhere,
            };
        }
        if let Some(rest) = path.strip_prefix("/file/bot") {
            return match of_bot(rest) {
                Some((token, path)) => Self::File { token, path },
                None => Self::Nowhere,
            };
        }
        if let Some(path) = path.strip_prefix("/telegram/") {
            return Self::Webhook(path);
        }
        if let Some(rest) = path.strip_prefix("/internal/") {
            return Self::Internal(rest);
        }
        if path == "/agent/v1/heartbeat" { Self::Heartbeat } else { Self::Nowhere }
    }
}

/// Answers a request, whatever it is.
pub(crate) async fn answer(
    relay: Arc<Relay>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    // Boxed: what hyper is given it keeps room for as long as the connection lives.
    Ok(Box::pin(relay.route(request)).await)
}

impl Relay {
    /// Each step is boxed: a poll that waits keeps room for what is left of it alone.
    async fn route(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let answered = match Route::find(&path) {
            Route::Method { token, method } => match Box::pin(self.pod(token)).await {
                Ok(pod) => Box::pin(self.method(pod, method, request)).await,
                Err(refused) => Err(refused),
            },
            Route::File { token, path } => match Box::pin(self.pod(token)).await {
                Ok(pod) => Box::pin(self.file(&pod, path, &request)).await,
                Err(refused) => Err(refused),
            },
            Route::Webhook(path) if request.method() == Method::POST => {
                Ok(empty(Box::pin(self.webhook(path, request)).await))
            }
            Route::Heartbeat if request.method() == Method::POST => {
                Ok(empty(Box::pin(self.heartbeat(request)).await))
            }
            Route::Internal(rest) => Ok(Box::pin(self.internal(rest, request)).await),
            _ => Err(Refused::not_found()),
        };
        answered.unwrap_or_else(|refused| refused.response())
    }

    /// Whose token this is.
    async fn pod(&self, token: &str) -> Result<Pod, Refused> {
        let claims = self.verifier.verify(token).map_err(|refused| match refused {
            BadToken::Invalid(_) => Refused::unauthorized(),
            BadToken::Busy => Refused::too_many(Duration::from_secs(1)),
        })?;
        let tenant = &claims.tenant;
        let mut desk = self.desks.get(tenant).await.map_err(|error| unavailable(&error))?;
        // The token is newer than what is known, or older.
        if desk.as_ref().is_some_and(|desk| desk.generation != claims.generation) {
            desk = self.desks.fresh(tenant).await.map_err(|error| unavailable(&error))?;
        }
        let desk = desk.filter(|desk| desk.generation == claims.generation);
        let desk = desk.ok_or_else(Refused::unauthorized)?;
        Ok(Pod { tenant: tenant.clone(), desk })
    }
}

/// What went wrong with Postgres, for a pod.
fn unavailable(error: &oc_store::Error) -> Refused {
    if error.is_transient() {
        tracing::debug!(error = %chain(error), "a pod has to try again");
    } else {
        tracing::error!(error = %chain(error), "a pod was not answered");
    }
    Refused::bad_gateway()
}

/// A body of so many bytes at most, or the status that says why there is none.
async fn read(body: Incoming, most: usize) -> Result<Bytes, StatusCode> {
    let whole = timeout(BODY, Limited::new(body, most).collect()).await;
    let whole = whole.map_err(|_| StatusCode::REQUEST_TIMEOUT)?;
    Ok(whole.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?.to_bytes())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bots_path_is_a_number_a_token_and_a_method() {
        let Route::Method { token, method } = Route::find("/bot7:oc_a_1_x/getMe") else {
            panic!("no method");
        };
        assert_eq!((token, method), ("oc_a_1_x", "getMe"));
        let Route::File { token, path } = Route::find("/file/bot0:oc_a_1_x/photos/a.jpg") else {
            panic!("no file");
        };
        assert_eq!((token, path), ("oc_a_1_x", "photos/a.jpg"));
        for path in ["/bot:t/getMe", "/botx:t/getMe", "/bot7/getMe", "/bot7:t", "/", "/bot"] {
            assert!(matches!(Route::find(path), Route::Nowhere), "{path}");
        }
    }
}
