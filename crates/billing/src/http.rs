//! What can be asked of billing: Stripe's webhook and short links by anybody, the rest by our own
//! services with a key.

mod api;
mod links;
mod webhook;

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use oc_platform_token::LinkKey;
use oc_service::chain;
use oc_stripe::webhook::MAX_BYTES;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::review::{Failure, Reviewer};

/// What requests are answered with.
pub(crate) struct Shared {
    pub(crate) reviewer: Reviewer,
    pub(crate) webhook_secrets: Vec<SecretString>,
    pub(crate) internal_key: SecretString,
    pub(crate) admin_key: SecretString,
    pub(crate) links: LinkKey,
    pub(crate) public_url: String,
}

/// Why a request is not answered as its sender hoped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{0}")]
    Invalid(String),
    #[error("no valid key")]
    Unauthenticated,
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Declined(String),
    #[error("try again in a moment")]
    Unavailable(#[source] Failure),
    #[error("an error of ours; it is in the log")]
    Internal(#[source] Failure),
}

/// Every route. All are closed but those of `open`.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let open = Router::new()
        .route("/webhooks/stripe", post(webhook::receive))
        .route("/u/{link}", get(links::follow))
        .route("/back", get(links::back));
    let internal = Router::new()
        .route("/internal/checkout", post(api::checkout))
        .route("/internal/portal", post(api::portal))
        .route("/internal/tier", post(api::tier))
        .route("/internal/cancel", post(api::cancel))
        .route("/internal/tenants", post(api::tenants))
        .layer(from_fn_with_state(Arc::clone(&shared), is_internal));
    let admin = Router::new()
        .route("/internal/provision", post(api::provision))
        .layer(from_fn_with_state(Arc::clone(&shared), is_admin));
    open.merge(internal).merge(admin).layer(DefaultBodyLimit::max(MAX_BYTES)).with_state(shared)
}

async fn is_internal(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // Whoever may do more may do this too.
    if !bears(request.headers(), &shared.internal_key)
        && !bears(request.headers(), &shared.admin_key)
    {
        return Err(Problem::Unauthenticated);
    }
    Ok(next.run(request).await)
}

async fn is_admin(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !bears(request.headers(), &shared.admin_key) {
        return Err(Problem::Unauthenticated);
    }
    Ok(next.run(request).await)
}

fn bears(headers: &HeaderMap, key: &SecretString) -> bool {
    let sent = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let sent = sent.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
    verify_slices_are_equal(sent, key.expose_secret().as_bytes()).is_ok()
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        use oc_store::Error as Store;
        use oc_stripe::Error as Stripe;
        match failure {
            Failure::Store(Store::Unknown { what, id }) => {
                Self::NotFound(format!("there is no {what} {id}"))
            }
            Failure::Stripe(Stripe::Declined(message)) => Self::Declined(message),
            failure if failure.is_transient() => Self::Unavailable(failure),
            Failure::Problem(problem) => Self::Conflict(problem.to_string()),
            failure => Self::Internal(failure),
        }
    }
}

impl From<oc_store::Error> for Problem {
    fn from(error: oc_store::Error) -> Self {
        Failure::from(error).into()
    }
}

impl From<oc_stripe::Error> for Problem {
    fn from(error: oc_stripe::Error) -> Self {
        Failure::from(error).into()
    }
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Declined(_) => StatusCode::PAYMENT_REQUIRED,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Self::Unavailable(failure) | Self::Internal(failure) = &self {
            tracing::error!(error = %chain(failure), "a request was not served");
        }
        let body = axum::Json(json!({"error": self.to_string()}));
        (self.status(), body).into_response()
    }
}
