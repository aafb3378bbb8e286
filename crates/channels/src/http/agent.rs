//! What agents say of themselves.

use http::{Request, StatusCode};
use hyper::body::Incoming;
use oc_domain::Heartbeat;
use oc_service::chain;
use oc_streams::Noted;

use super::{read, text};
use crate::relay::Relay;

/// The largest heartbeat.
const LARGEST: usize = 16 << 10;

impl Relay {
    /// Notes a heartbeat: 204, or 401 for a token that is none, 400 for what is none itself, 503 where
    /// it could not be noted.
    pub(super) async fn heartbeat(&self, request: Request<Incoming>) -> StatusCode {
        let token = text(request.headers(), "x-proxy-key").unwrap_or_default();
        let pod = match self.pod(token).await {
            Ok(pod) => pod,
            Err(refused) if refused.code == StatusCode::BAD_GATEWAY => {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            Err(refused) => return refused.code,
        };
        let body = match read(request.into_body(), LARGEST).await {
            Ok(body) => body,
            Err(status) => return status,
        };
        let Ok(heartbeat) = serde_json::from_slice::<Heartbeat>(&body) else {
            return StatusCode::BAD_REQUEST;
        };
        self.metrics.heartbeat();
        let noted = Noted { heartbeat, at_ms: self.office.clock.unix_ms() };
        match self.presence.note(&pod.tenant, &noted).await {
            Ok(()) => StatusCode::NO_CONTENT,
            Err(error) => {
                tracing::debug!(error = %chain(&error), "a heartbeat is not noted");
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}
