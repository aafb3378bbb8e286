//! Stripe's deliveries: checked, noted, acknowledged. What follows from them comes later.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
};
use oc_service::chain;
use oc_store::events::{self, Receipt, Received};
use oc_stripe::webhook::{Hint, verify};

use super::Shared;
use crate::trace;

/// Answers 200 to what is noted, known or of no interest, 400 to what is not Stripe's, and 503 where
/// it could not be noted: Stripe tries again, for days.
pub(super) async fn receive(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> (StatusCode, &'static str) {
    let metrics = &shared.reviewer.metrics;
    let refuse = |why: &str| {
        metrics.delivered("refused");
        tracing::warn!(why, "a delivery was refused");
        (StatusCode::BAD_REQUEST, "refused\n")
    };
    let Ok(body) = body else { return refuse("it is too large, or broke off") };
    let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    let now = shared.reviewer.clock.now();
    let hint = match verify(header, &body, &shared.webhook_secrets, now) {
        Ok(hint) => hint,
        Err(refused) => return refuse(&refused.to_string()),
    };
    let received = received(hint);
    match events::receive(&shared.reviewer.store, &received, now).await {
        Ok(Receipt::Known) => {
            metrics.delivered("known");
            (StatusCode::OK, "known\n")
        }
        Ok(Receipt::New) if received.ignored => {
            metrics.delivered("ignored");
            (StatusCode::OK, "ignored\n")
        }
        Ok(Receipt::New) => {
            metrics.delivered("new");
            let Received { id, kind, trace, .. } = &received;
            tracing::info!(event = id, kind, trace, "noted");
            shared.reviewer.due.notify_one();
            (StatusCode::OK, "noted\n")
        }
        Err(error) => {
            metrics.delivered("unavailable");
            tracing::error!(error = %chain(&error), "a delivery could not be noted");
            (StatusCode::SERVICE_UNAVAILABLE, "try again\n")
        }
    }
}

fn received(hint: Hint) -> Received {
    Received {
        ignored: !hint.is_handled(),
        id: hint.id,
        kind: hint.kind,
        api_version: hint.api_version,
        // A dispute names its customer by its charge alone.
        object: hint.charge.or(hint.object),
        customer: hint.customer,
        created_at: hint.created,
        trace: trace::new(),
    }
}
