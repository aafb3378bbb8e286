//! Calls on their way to Telegram, and what it says on its way back.

use std::{
    error::Error as _,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use oc_domain::TenantId;
use oc_service::chain;
use oc_store::{
    bots::{Bot, Desk},
    tenants::State,
};
use oc_telegram::{Call, ChatId, Error, Method, Params, Refusal, check};
use secrecy::SecretString;
use serde::Deserialize;
use tokio::{sync::oneshot, time::timeout};

use super::Pod;
use crate::{
    answer::{Body, Refused, of_bytes},
    digest::sha256,
    relay::Relay,
};

/// The largest answer to a call, and the largest file, as Telegram has them.
const ANSWER: usize = 4 << 20;
const FILE: usize = 20 << 20;
/// How long a send whose end nobody knows is remembered.
const REPEAT: Duration = Duration::from_mins(2);
/// How long Redis may take to remember it.
const NOTE: Duration = Duration::from_millis(200);
/// Where Telegram says nothing better.
const PAUSE: Duration = Duration::from_secs(1);

/// What is remembered of a send until its end is known.
type Note = String;

impl Relay {
    /// Makes a pod's call to its end, even if the pod dies meanwhile: what waits here for its turn is an
    /// answer that a person waits for, and its gateway will not know whether it came.
    pub(super) async fn see_through(
        self: &Arc<Self>,
        pod: Pod,
        method: &'static Method,
        params: Params,
    ) -> Result<Response<Body>, Refused> {
        let relay = Arc::clone(self);
        let (pods, heard) = oneshot::channel();
        self.calls.spawn(async move {
            let Some((bot, token)) = &pod.desk.bot else { return };
            let (answer, note) = match relay.forward(&pod, bot, token, method, params).await {
                Ok((answer, note)) => (Ok(answer), note),
                Err(refused) => (Err(refused), None),
            };
            // Whoever does not hear the end may send it again, which the note lets us count.
            if let Some(note) = note.filter(|_| !pods.is_closed()) {
                let _ = timeout(NOTE, relay.presence.release(&note)).await;
            }
            let _ = pods.send(answer);
        });
        heard.await.unwrap_or_else(|_| Err(Refused::bad_gateway()))
    }

    /// Makes a pod's call with the bot's own token. The note is to be released once the pod has its answer.
    pub(super) async fn forward(
        &self,
        pod: &Pod,
        bot: &Bot,
        token: &SecretString,
        method: &'static Method,
        params: Params,
    ) -> Result<(Response<Body>, Option<Note>), Refused> {
        let began = Instant::now();
        let call = check(method, params, |chat| is_own(&pod.desk, chat));
        let call = call.inspect_err(|refusal| {
            self.metrics.called("refused");
            tracing::info!(tenant = %pod.tenant, method = method.name,
                refusal = <&str>::from(refusal), "a call was refused");
        })?;
        if let Some(chat) = call.chat().filter(|_| is_message(method)) {
            self.pace.turn(bot.number, Some(chat.get())).await.map_err(|wait| {
                self.metrics.called("limited");
                Refused::too_many(wait)
            })?;
        }
        let note = self.note(&pod.tenant, &call).await;
        let answer = self.office.telegram.forward(token, call).await;
        let answer = answer.map_err(|error| self.failed(method, &error))?;
        self.metrics.call_time(began.elapsed());
        Ok((self.passed_on(bot, answer).await?, note))
    }

    /// Remembers a send until its end is known, and counts it if one like it had none.
    async fn note(&self, tenant: &TenantId, call: &Call) -> Option<Note> {
        let json = call.json().filter(|_| call.method().name.starts_with("send"))?;
        if call.method().name == "sendChatAction" {
            return None;
        }
        let text = [tenant.as_str().as_bytes(), call.method().name.as_bytes(), json].join(&0);
        let name = format!("send:{}", hex::encode(sha256(&text)));
        let first = timeout(NOTE, self.presence.claim(&name, REPEAT)).await.ok()?.ok()?;
        if !first {
            self.metrics.repeated_sends.inc();
        }
        Some(name)
    }

    fn failed(&self, method: &Method, error: &Error) -> Refused {
        let mut sources = std::iter::successors(error.source(), |&error| error.source());
        if let Some(refusal) = sources.find_map(|source| source.downcast_ref::<Refusal>()) {
            self.metrics.called("refused");
            return refusal.clone().into();
        }
        self.metrics.called("failed");
        tracing::warn!(method = method.name, error = %chain(error), "Telegram did not answer");
        match error {
            Error::TimedOut => Refused::new(StatusCode::GATEWAY_TIMEOUT, "Gateway Timeout"),
            Error::Unusable(_) => Refused::new(StatusCode::BAD_REQUEST, "Bad Request"),
            _ => Refused::bad_gateway(),
        }
    }

    /// Telegram's answer; where it is one of silence, the bot keeps it.
    async fn passed_on(
        &self,
        bot: &Bot,
        answer: Response<Incoming>,
    ) -> Result<Response<Body>, Refused> {
        if answer.status() != StatusCode::TOO_MANY_REQUESTS {
            self.metrics.called("answered");
            return Ok(relayed(answer, ANSWER));
        }
        self.metrics.called("limited");
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER).collect().await;
        let body = body.map_err(|_| Refused::bad_gateway())?.to_bytes();
        self.pace.pause(bot.number, retry_after(&head.headers, &body).unwrap_or(PAUSE));
        Ok(of_bytes(head.status, body))
    }

    /// Keeps what a bot says of itself, if it does.
    pub(super) async fn keep_face(
        &self,
        tenant: &TenantId,
        version: i64,
        answer: Response<Body>,
    ) -> Result<Response<Body>, Refused> {
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|_| Refused::bad_gateway())?.to_bytes();
        if head.status.is_success() {
            self.faces.lock().put(tenant, version, body.clone());
        }
        Ok(of_bytes(head.status, body))
    }

    /// A file that somebody has sent to the bot.
    pub(super) async fn file(
        &self,
        pod: &Pod,
        path: &str,
        request: &Request<Incoming>,
    ) -> Result<Response<Body>, Refused> {
        let bot = pod.desk.bot.as_ref().filter(|_| pod.desk.state == State::Active);
        let (_, token) = bot.ok_or_else(Refused::not_found)?;
        let range = request.headers().get(header::RANGE).cloned();
        match self.office.telegram.file(token, path, range).await {
            Ok(answer) => Ok(relayed(answer, FILE)),
            Err(Error::Unusable(_)) => Err(Refused::not_found()),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "Telegram gave no file");
                Err(Refused::bad_gateway())
            }
        }
    }
}

/// Whether a chat or a user is the tenant's.
fn is_own(desk: &Desk, id: ChatId) -> bool {
    desk.chats.iter().any(|chat| chat.chat_id == id.get() || chat.user_id == id.get())
}

/// Whether Telegram counts it as a message.
fn is_message(method: &Method) -> bool {
    let name = method.name;
    ["send", "copy", "forward", "editMessage"].iter().any(|prefix| name.starts_with(prefix))
        && name != "sendChatAction"
}

/// Telegram's answer as it comes, so many bytes at most.
fn relayed(answer: Response<Incoming>, most: usize) -> Response<Body> {
    let (head, body) = answer.into_parts();
    let mut response = Response::new(Body::Relayed(Box::new(Limited::new(body, most))));
    *response.status_mut() = head.status;
    for name in [
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::ACCEPT_RANGES,
        header::RETRY_AFTER,
    ] {
        if let Some(value) = head.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

fn retry_after(headers: &HeaderMap, body: &Bytes) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Answer {
        parameters: Parameters,
    }
    #[derive(Deserialize)]
    struct Parameters {
        retry_after: u64,
    }
    let said = serde_json::from_slice::<Answer>(body).ok();
    let said = said.map(|answer| answer.parameters.retry_after);
    let header = || super::text(headers, header::RETRY_AFTER.as_str())?.parse().ok();
    said.or_else(header).map(Duration::from_secs)
}
