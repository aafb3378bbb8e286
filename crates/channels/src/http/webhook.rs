//! Telegram's deliveries.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use oc_service::chain;

use super::{read, text};
use crate::{digest::sha256, inbound::Arrived, relay::Relay};

/// The largest update.
const LARGEST: usize = 1 << 20;

impl Relay {
    /// Answers 200 to what is written down or of no interest, 404 to what is nobody's, 503 where it
    /// could not be written down: Telegram tries again, for a day.
    pub(super) async fn webhook(&self, path: &str, request: Request<Incoming>) -> StatusCode {
        let (tenant, desk) = match self.desks.at(path).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.metrics.arrived("refused");
                return StatusCode::NOT_FOUND;
            }
            Err(error) => {
                self.metrics.arrived("unavailable");
                tracing::warn!(error = %chain(&error), "a delivery has to come again");
                return StatusCode::SERVICE_UNAVAILABLE;
            }
        };
        let sent = text(request.headers(), "x-telegram-bot-api-secret-token").unwrap_or_default();
        let sent = sha256(sent.as_bytes());
        if verify_slices_are_equal(&sent, &desk.webhook_hash).is_err() {
            // The secret may have been changed in this moment.
            self.desks.forget(&tenant);
            self.metrics.arrived("refused");
            return StatusCode::UNAUTHORIZED;
        }
        let Some(number) = desk.bot.as_ref().map(|(bot, _)| bot.number) else {
            return StatusCode::NOT_FOUND;
        };
        let body = match read(request.into_body(), LARGEST).await {
            Ok(body) => body,
            Err(status) => {
                self.metrics.arrived("refused");
                return status;
            }
        };
        match self.arrive(&tenant, &desk, number, body.into()).await {
            Arrived::Done => StatusCode::OK,
            Arrived::Again => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
