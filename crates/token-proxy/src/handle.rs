//! One request, from its route to its answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use oc_domain::{ModelId, RequestId};
use oc_platform_token::{Claims, Link, LinkKey, Purpose, Refused, Verifier};
use oc_streams::{Policy, Standing};
use serde_json::json;
use strum::VariantArray as _;
use tokio::{sync::Semaphore, task::JoinHandle};
use tracing::Instrument as _;

use crate::{
    admit::{Gatekeeper, Refusal, Wanted},
    answer::{Form, Notice, Problem, json_response},
    bare,
    inspect::{Inspected, inspect},
    meter::{Meter, Settler},
    relay::Body,
    request::{RequestBody, Room, credential, passed},
    route::{Closed, Dialect, Route},
    shape::{Output, output},
    upstream::Client,
    upstreams::Upstreams,
};

mod call;
mod look;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Where Anthropic's clients look for it.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const QUOTA_LIMIT: HeaderName = HeaderName::from_static("x-quota-limit-tokens");
const QUOTA_REMAINING: HeaderName = HeaderName::from_static("x-quota-remaining-tokens");
const QUOTA_RESET: HeaderName = HeaderName::from_static("x-quota-reset");
/// The warning header of old, kept: pods and scripts know it.
const WARNING: HeaderName = HeaderName::from_static("x-token-warning");

/// What every thread shares.
pub(crate) struct Shared {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) room: Room,
    pub(crate) upgrade_url: String,
    pub(crate) links: LinkKey,
    pub(crate) first_byte: Duration,
    pub(crate) idle: Duration,
    /// Answers that are read on after their clients left, at once.
    pub(crate) drains: Arc<Semaphore>,
}

/// What one thread serves requests with.
#[derive(Clone)]
pub(crate) struct Handler {
    pub(crate) shared: Arc<Shared>,
    pub(crate) gatekeeper: Gatekeeper,
    pub(crate) settler: Settler,
    pub(crate) client: Client,
}

/// What is generated, or counted.
struct Ask {
    dialect: Dialect,
    path: &'static str,
    /// Tokens are counted, none generated.
    counting: bool,
    model: ModelId,
    headers: HeaderMap,
    body: RequestBody,
    asked: Inspected,
    output: Output,
    began: Instant,
}

impl Handler {
    /// Answers a request, whatever it is.
    pub(crate) async fn handle(mut self, request: Request<Incoming>) -> Response<Body> {
        let dialect = Dialect::of(request.uri().path());
        // Boxed: what hyper is given it copies, and keeps room for as long as the connection lives.
        Box::pin(self.route(request)).await.unwrap_or_else(|problem| {
            if problem == Problem::Unavailable {
                self.shared.meter.metrics.limited("unavailable");
            }
            problem.response(dialect)
        })
    }

    async fn route(&mut self, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
        let began = Instant::now();
        let route =
            Route::find(request.method(), request.uri().path()).map_err(|closed| match closed {
                Closed::NotFound => Problem::NotFound,
                Closed::Method(method) => Problem::Method(method),
            })?;
        let claims = self.authenticate(request.headers())?;
        let (dialect, path, counting) = match route {
            Route::Generate(dialect @ Dialect::OpenAi) => (dialect, "/v1/chat/completions", false),
            Route::Generate(dialect @ Dialect::Anthropic) => (dialect, "/v1/messages", false),
            Route::CountTokens => (Dialect::Anthropic, "/v1/messages/count_tokens", true),
            Route::Models => return self.models(&claims, request.headers()).await,
            Route::Usage => return self.usage(&claims).await,
        };
        let (parts, body) = request.into_parts();
        let body = self.shared.room.read(&claims.tenant, &parts.headers, body).await?;
        let asked = inspect(&body.bytes).map_err(Problem::NotARequest)?;
        let model = model(&asked.model.value)
            .ok_or_else(|| Problem::UnknownModel(asked.model.value.clone()))?;
        let output = if counting {
            Output { wanted: 0, least: 0 }
        } else {
            output(&asked, dialect, model.get()).map_err(Problem::NotARequest)?
        };
        let headers = passed(&parts.headers);
        let ask = Ask { dialect, path, counting, model, headers, body, asked, output, began };
        self.generate(&claims, ask).await
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Claims>, Problem> {
        if cfg!(feature = "bare") {
            return Ok(bare::claims());
        }
        let token = credential(headers).ok_or(Problem::Unauthenticated)?;
        self.shared.verifier.verify(token).map_err(|refused| match refused {
            Refused::Invalid(_) => Problem::Unauthenticated,
            Refused::Busy => Problem::RateLimited(1),
        })
    }

    async fn generate(&mut self, claims: &Claims, ask: Ask) -> Result<Response<Body>, Problem> {
        let wanted = Wanted {
            claims,
            model: ask.model,
            name: &ask.asked.model.value,
            // Counting costs nothing; only its rate is limited.
            input: if ask.counting { 0 } else { ask.asked.input_tokens },
            output: ask.output,
        };
        let admitted = if cfg!(feature = "bare") {
            Ok(bare::admit(wanted, self.shared.meter.clock))
        } else {
            self.gatekeeper.admit(wanted).await
        };
        let (reservation, admitted) = match admitted {
            Ok(admitted) => admitted,
            Err(Refusal::Problem(problem)) => return Err(problem),
            Err(Refusal::Notice(notice, policy)) => {
                return Ok(self.notice(notice, policy, claims, &ask));
            }
        };
        let request = reservation.request;
        let account = self.shared.meter.open(self.settler.clone(), reservation);
        let standing = admitted.standing;
        // A task of its own: the provider charges for what it began, so when the client leaves the
        // call goes on until its usage is known.
        let span = tracing::info_span!(target: oc_service::CALL, "llm.call", request.id = %request, model = %ask.model);
        let call = self.clone().call(ask, admitted, account, claims.clone()).instrument(span);
        let call: JoinHandle<_> = self.shared.meter.tasks.spawn(call);
        let mut response = call.await.unwrap_or(Err(Problem::Unavailable))?;
        stamp(response.headers_mut(), request, standing);
        Ok(response)
    }

    fn notice(&self, notice: Notice, policy: Policy, claims: &Claims, ask: &Ask) -> Response<Body> {
        if ask.counting {
            return json_response(&json!({"input_tokens": ask.asked.input_tokens}));
        }
        let now = self.shared.meter.clock.now();
        let link = Link {
            purpose: Purpose::Upgrade,
            tenant: claims.tenant.clone(),
            expires: link_expiry(now.as_second()),
        };
        let link = format!("{}{}", self.shared.upgrade_url, self.shared.links.sign(&link));
        let options = ask.asked.stream_options.as_ref().and_then(|options| options.value);
        let form = Form {
            dialect: ask.dialect,
            stream: ask.asked.stream,
            usage: options.is_some_and(|options| options.include_usage == Some(true)),
            model: &ask.asked.model.value,
            now,
        };
        notice.response(policy.locale, &link, form)
    }
}

/// A week, and the same for all of a day: an agent that asks again gets the same words.
fn link_expiry(now: i64) -> u32 {
    const DAY: i64 = 86_400;
    u32::try_from(now - now.rem_euclid(DAY) + 8 * DAY).unwrap_or(u32::MAX)
}

/// The model that a client names: by its alias, as OpenClaw does, or by its full name.
fn model(name: &str) -> Option<ModelId> {
    ModelId::VARIANTS
        .iter()
        .copied()
        .find(|model| name == model.get().alias || name == <&str>::from(*model))
}

/// The request's id, and what is left of the quota.
fn stamp(headers: &mut HeaderMap, request: RequestId, standing: Standing) {
    let Standing { limit, used, reserved, ends_ms } = standing;
    if let Ok(value) = HeaderValue::try_from(request.to_string()) {
        headers.insert(REQUEST_ID, value.clone());
        headers.insert(ANTHROPIC_REQUEST_ID, value);
    }
    headers.insert(QUOTA_LIMIT, limit.into());
    headers.insert(QUOTA_REMAINING, limit.saturating_sub(used + reserved).into());
    headers.insert(QUOTA_RESET, (ends_ms / 1000).into());
    let warning = [90, 80].into_iter().find(|percent| used * 100 >= limit * percent);
    if let Some(percent) = warning.filter(|_| limit > 0)
        && let Ok(value) = HeaderValue::try_from(format!("{percent}%"))
    {
        headers.insert(WARNING, value);
    }
}
