//! What our own services ask for: bots, links, chats.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use oc_domain::TenantId;
use oc_service::chain;
use oc_store::chats;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::read;
use crate::{
    answer::{Body, empty, of_json},
    office::Problem,
    relay::Relay,
};

/// The largest request.
const LARGEST: usize = 16 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBot {
    token: String,
}

impl Relay {
    /// Answers a request to `/internal/...`.
    pub(super) async fn internal(
        self: &Arc<Self>,
        path: &str,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let sent = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let sent = sent.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
        let own = self.internal_key.expose_secret().as_bytes();
        if verify_slices_are_equal(sent, own).is_err() {
            return problem(StatusCode::UNAUTHORIZED, "no valid key");
        }
        let nowhere = || problem(StatusCode::NOT_FOUND, "there is nothing at this path");
        let mut parts = path.split('/');
        let (Some("tenants"), Some(id), Some(what), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return nowhere();
        };
        let Ok(tenant) = id.parse::<TenantId>() else {
            return problem(StatusCode::BAD_REQUEST, "not the id of a tenant");
        };
        let method = request.method().clone();
        let done = match (&method, what) {
            (&Method::PUT, "bot") => match token(request).await {
                Ok(token) => self.set_bot(&tenant, &token).await,
                Err(response) => return response,
            },
            (&Method::GET, "bot") => self.show_bot(&tenant).await,
            (&Method::DELETE, "bot") => {
                let removed = self.office.remove_bot(&tenant).await;
                self.desks.forget(&tenant);
                match removed {
                    Ok(()) => return empty(StatusCode::NO_CONTENT),
                    Err(problem) => Err(problem),
                }
            }
            (&Method::POST, "links") => self.office.link(&tenant).await.map(|link| json!(link)),
            (&Method::GET, "chats") => {
                let list = chats::list(&self.office.store, &tenant).await;
                list.map(|list| json!(list)).map_err(Into::into)
            }
            _ => return nowhere(),
        };
        done.map_or_else(|problem| refused(&problem), |body| of_json(StatusCode::OK, &body))
    }

    async fn set_bot(&self, tenant: &TenantId, token: &SecretString) -> Result<Value, Problem> {
        let set = self.office.set_bot(tenant, token).await;
        self.desks.forget(tenant);
        let bot = set?;
        Ok(json!({"number": bot.number, "username": bot.username}))
    }

    async fn show_bot(&self, tenant: &TenantId) -> Result<Value, Problem> {
        let bot = self.office.bot(tenant).await?;
        Ok(json!({"number": bot.number, "username": bot.username}))
    }
}

async fn token(request: Request<Incoming>) -> Result<SecretString, Response<Body>> {
    let body = read(request.into_body(), LARGEST).await.map_err(empty)?;
    let bot: Result<NewBot, _> = serde_json::from_slice(&body);
    // Not the parser's words: they quote what is there.
    bot.map(|bot| bot.token.into())
        .map_err(|_| problem(StatusCode::BAD_REQUEST, "expected {\"token\": \"...\"}"))
}

fn problem(status: StatusCode, error: &str) -> Response<Body> {
    of_json(status, &json!({"error": error}))
}

fn refused(why: &Problem) -> Response<Body> {
    use oc_store::Error as Store;
    let status = match why {
        Problem::NoBot(_) | Problem::Store(Store::Unknown { .. }) => StatusCode::NOT_FOUND,
        Problem::UnknownToken => StatusCode::BAD_REQUEST,
        Problem::Store(Store::BotTaken(_)) => StatusCode::CONFLICT,
        Problem::Store(error) if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        Problem::Telegram(error) if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        Problem::Store(_) | Problem::Telegram(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if status.is_server_error() {
        tracing::error!(error = %chain(why), "a request was not served");
    }
    let words = match why {
        Problem::Store(error @ (Store::Unknown { .. } | Store::BotTaken(_))) => error.to_string(),
        _ if status == StatusCode::INTERNAL_SERVER_ERROR => {
            "an error of ours; it is in the log".to_owned()
        }
        _ if status.is_server_error() => "try again in a moment".to_owned(),
        why => why.to_string(),
    };
    problem(status, &words)
}
