//! A call of a method by a pod: answered here, or forwarded.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use oc_domain::TenantId;
use oc_store::{tenants::State, updates};
use oc_telegram::{Method, Params, Refusal, Rule, params};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Pod, text, unavailable, updates::Ask};
use crate::{
    answer::{Body, Refused, of_bytes, result},
    relay::Relay,
};

/// How long the parameters may take, files not counted.
const PARAMS: Duration = Duration::from_secs(30);
/// How long a bot's face is true.
const FACE: Duration = Duration::from_mins(10);
/// Faces at most, half a kilobyte each.
const FACES: usize = 16_384;

/// What bots say of themselves: gateways ask again and again.
#[derive(Default)]
pub(crate) struct Faces(HashMap<TenantId, Face>);

struct Face {
    /// Of the bot.
    version: i64,
    since: Instant,
    answer: Bytes,
}

impl Faces {
    pub(super) fn get(&self, tenant: &TenantId, version: i64) -> Option<Bytes> {
        let face = self.0.get(tenant)?;
        let fresh = face.version == version && face.since.elapsed() < FACE;
        fresh.then(|| face.answer.clone())
    }

    pub(super) fn put(&mut self, tenant: &TenantId, version: i64, answer: Bytes) {
        if self.0.len() >= FACES {
            self.0.clear();
        }
        self.0.insert(tenant.clone(), Face { version, since: Instant::now(), answer });
    }
}

impl Relay {
    /// Answers a call of a pod.
    pub(super) async fn method(
        self: &Arc<Self>,
        pod: Pod,
        name: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Refused> {
        let method = Method::find(name).ok_or(Refusal::UnknownMethod)?;
        if method.rule == Rule::Refused {
            self.metrics.called("refused");
            return Err(Refusal::Method(method.name).into());
        }
        let params = Box::pin(read(request)).await?;
        if method.rule == Rule::Local {
            return self.local(pod, method, params).await;
        }
        if pod.desk.state == State::Suspended {
            self.metrics.called("held");
            return Err(Refused::new(StatusCode::FORBIDDEN, "Forbidden: the agent is suspended"));
        }
        let Some((bot, token)) = &pod.desk.bot else {
            self.metrics.called("held");
            return without_bot(method);
        };
        if method.name != "getMe" {
            return Box::pin(self.see_through(pod.clone(), method, params)).await;
        }
        if let Some(answer) = self.faces.lock().get(&pod.tenant, bot.version) {
            return Ok(of_bytes(StatusCode::OK, answer));
        }
        let (answer, _) = Box::pin(self.forward(&pod, bot, token, method, params)).await?;
        self.keep_face(&pod.tenant, bot.version, answer).await
    }

    /// What never reaches Telegram: whether it delivers to us is not for a pod to say.
    async fn local(
        self: &Arc<Self>,
        pod: Pod,
        method: &Method,
        params: Params,
    ) -> Result<Response<Body>, Refused> {
        match method.name {
            "getUpdates" => {
                let ask = Ask::read(&params)?;
                drop(params);
                self.updates(pod, ask).await
            }
            "getWebhookInfo" => {
                let count = Box::pin(updates::count(&self.office.store, &pod.tenant)).await;
                let count = count.map_err(|error| unavailable(&error))?;
                Ok(result(&json!({"url": "", "has_custom_certificate": false,
                    "pending_update_count": count})))
            }
            _ => Ok(result(&Value::Bool(true))),
        }
    }
}

async fn read(request: Request<Incoming>) -> Result<Params, Refused> {
    let (head, body) = request.into_parts();
    let kind = text(&head.headers, header::CONTENT_TYPE.as_str());
    let params = timeout(PARAMS, params::read(kind, head.uri.query(), body)).await;
    let late = |_| Refused::new(StatusCode::REQUEST_TIMEOUT, "Request Timeout");
    Ok(params.map_err(late)??)
}

/// A gateway whose tenant has no bot yet starts in peace, and waits.
fn without_bot(method: &Method) -> Result<Response<Body>, Refused> {
    match method.name {
        "getMe" => Ok(result(&json!({"id": 1, "is_bot": true, "first_name": "OpenClaw",
            "username": "no_bot"}))),
        "setMyCommands" | "deleteMyCommands" => Ok(result(&Value::Bool(true))),
        _ => Err(Refused::new(StatusCode::FORBIDDEN, "Forbidden: the agent has no bot")),
    }
}
