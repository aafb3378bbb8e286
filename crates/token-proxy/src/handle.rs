//! One request, from its route to its answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use oc_domain::{
    ModelId, RequestId,
    usage::{Outcome, Tokens},
};
use oc_platform_token::{Claims, Refused, Verifier};
use oc_streams::{Admitted, Look, Policy, Standing};
use serde_json::{Value, json};
use strum::VariantArray as _;
use tokio::{sync::Semaphore, task::JoinHandle};
use tracing::Instrument as _;

use crate::{
    admit::{Gatekeeper, Refusal, Wanted},
    answer::{Form, Problem, json_response},
    inspect::{Inspected, inspect},
    meter::{Account, Meter},
    relay::{Body, Parts, Relay, Times},
    request::{RequestBody, Room, credential, passed},
    route::{Closed, Dialect, Route},
    shape::{Grant, Output, output, shape},
    upstream::{Answer, Call, Client, Failure, Reply, kept},
    upstreams::Upstreams,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The warning header of old, kept: pods and scripts know it.
const WARNING: HeaderName = HeaderName::from_static("x-token-warning");

/// What every thread shares.
pub(crate) struct Shared {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) room: Room,
    pub(crate) upgrade_url: String,
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
        self.route(request).await.unwrap_or_else(|problem| {
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
        let (reservation, admitted) = match self.gatekeeper.admit(wanted).await {
            Ok(admitted) => admitted,
            Err(Refusal::Problem(problem)) => return Err(problem),
            Err(Refusal::Notice(notice, policy)) => {
                return Ok(self.notice(notice, policy, claims, &ask));
            }
        };
        let request = reservation.request;
        let account = self.shared.meter.open(self.gatekeeper.redis.clone(), reservation);
        let standing = admitted.standing;
        // A task of its own: the provider charges for what it began, so when the client leaves the
        // call goes on until its usage is known.
        let span = tracing::info_span!("llm.call", request.id = %request, model = %ask.model);
        let call = self.clone().call(ask, admitted, account, claims.clone()).instrument(span);
        let call: JoinHandle<_> = self.shared.meter.tasks.spawn(call);
        let mut response = call.await.unwrap_or(Err(Problem::Unavailable))?;
        stamp(response.headers_mut(), request, standing);
        Ok(response)
    }

    fn notice(
        &self,
        notice: crate::answer::Notice,
        policy: Policy,
        claims: &Claims,
        ask: &Ask,
    ) -> Response<Body> {
        if ask.counting {
            return json_response(&json!({"input_tokens": ask.asked.input_tokens}));
        }
        let link = format!("{}{}", self.shared.upgrade_url, claims.tenant);
        let options = ask.asked.stream_options.as_ref().and_then(|options| options.value);
        let form = Form {
            dialect: ask.dialect,
            stream: ask.asked.stream,
            usage: options.is_some_and(|options| options.include_usage == Some(true)),
            model: &ask.asked.model.value,
            now: self.shared.meter.clock.now(),
        };
        notice.response(policy.locale, &link, form)
    }

    /// Calls a provider; the account is settled whatever happens.
    async fn call(
        self,
        ask: Ask,
        admitted: Admitted,
        mut account: Account,
        claims: Claims,
    ) -> Result<Response<Body>, Problem> {
        let Ask { dialect, path, counting, model, mut headers, body, asked, output, began } = ask;
        let request = account.open.reservation.request;
        if let Ok(value) = HeaderValue::try_from(request.to_string()) {
            headers.insert(REQUEST_ID, value);
        }
        let mut withhold_usage = false;
        let thinking = admitted.policy.thinking;
        let call = Call {
            tenant: &claims.tenant,
            model,
            dialect,
            path,
            headers,
            body: |name: &str| {
                let grant = Grant { output, granted: admitted.output, thinking, model: name };
                if counting {
                    return crate::shape::rename(&body.bytes, &asked, name);
                }
                let shaped = shape(&body.bytes, &asked, dialect, grant);
                withhold_usage = shaped.withhold_usage;
                shaped.pieces
            },
            first_byte: self.shared.first_byte,
        };
        let sent = Instant::now();
        let pool = self.shared.upstreams.pool();
        // Until it is known, the account says that something was sent: see its drop.
        account.attempts = 1;
        let Reply { result, attempts, upstream } =
            call.make(&self.client, &pool, &account.meter.metrics).await;
        account.attempts = attempts;
        account.upstream = upstream;
        let (response, permit) = match result {
            Ok(Answer::Begun(response, permit)) => (response, permit),
            Ok(Answer::Refused(status, headers, body)) => {
                end(account, Outcome::Refused, Some(Tokens::default()), dialect);
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                return Ok(response);
            }
            Err(failure) => return Err(failed(account, failure, dialect)),
        };
        account.first_byte_ms = Some(account.meter.clock.unix_ms());
        let (parts, incoming) = response.into_parts();
        let stream = parts
            .headers
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if counting {
            return Ok(counted(account, permit, incoming, &parts.headers).await);
        }
        let relay = Relay::new(
            incoming,
            Parts {
                account,
                permit,
                dialect,
                stream,
                withhold_usage,
                times: Times { began, sent, answered: Instant::now() },
                idle: self.shared.idle,
                drains: Arc::clone(&self.shared.drains),
            },
        );
        let mut response = Response::new(Body::Relay(Box::new(relay)));
        *response.status_mut() = parts.status;
        *response.headers_mut() = kept(&parts.headers);
        if stream {
            // For whatever stands between: do not collect it.
            let no = HeaderValue::from_static("no");
            response.headers_mut().insert("x-accel-buffering", no);
        } else if let Some(length) = parts.headers.get(http::header::CONTENT_LENGTH) {
            response.headers_mut().insert(http::header::CONTENT_LENGTH, length.clone());
        }
        Ok(response)
    }

    /// The models that the tenant may use, in the form of the dialect that asks.
    async fn models(
        &mut self,
        claims: &Claims,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Problem> {
        let (models, ..) = self.known(claims).await?;
        let list = if headers.contains_key("anthropic-version") {
            let data: Vec<Value> = models
                .iter()
                .map(|model| {
                    json!({"type": "model", "id": model.get().alias,
                        "display_name": model.get().title, "created_at": "1970-01-01T00:00:00Z"})
                })
                .collect();
            let id = |model: Option<&ModelId>| model.map(|model| model.get().alias.clone());
            json!({"data": data, "has_more": false,
                "first_id": id(models.first()), "last_id": id(models.last())})
        } else {
            let data: Vec<Value> = models
                .iter()
                .map(|model| {
                    json!({"id": model.get().alias, "object": "model", "created": 0,
                        "owned_by": "openclaw"})
                })
                .collect();
            json!({"object": "list", "data": data})
        };
        Ok(json_response(&list))
    }

    async fn usage(&mut self, claims: &Claims) -> Result<Response<Body>, Problem> {
        let (_, policy, active, standing) = self.known(claims).await?;
        let quota = standing.map(|standing| {
            let Standing { limit, used, reserved, ends_ms } = standing;
            let ends = i64::try_from(ends_ms).ok();
            let ends = ends.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
            json!({
                "limit_tokens": limit, "used_tokens": used, "reserved_tokens": reserved,
                "remaining_tokens": limit.saturating_sub(used + reserved),
                "period_ends_at": ends.map(|ends| ends.to_string()),
            })
        });
        let tier = policy.tier.to_string();
        Ok(json_response(&json!({"tenant": claims.tenant, "tier": tier, "active": active,
            "quota": quota})))
    }

    async fn known(
        &mut self,
        claims: &Claims,
    ) -> Result<(Vec<ModelId>, Policy, bool, Option<Standing>), Problem> {
        match self.gatekeeper.look(claims).await {
            Ok(Look::Known { policy, active, models, standing }) => {
                Ok((models, policy, active, standing))
            }
            Err(Refusal::Problem(problem)) => Err(problem),
            Ok(Look::Other(_)) | Err(Refusal::Notice(..)) => Err(Problem::Unavailable),
        }
    }
}

/// The model that a client names: by its alias, as OpenClaw does, or by its full name.
fn model(name: &str) -> Option<ModelId> {
    ModelId::VARIANTS
        .iter()
        .copied()
        .find(|model| name == model.get().alias || name == <&str>::from(*model))
}

/// Settles a request that got no answer.
fn end(account: Account, outcome: Outcome, tokens: Option<Tokens>, dialect: Dialect) {
    account.meter.metrics.ended(outcome, dialect, false);
    let estimate = Tokens { input: account.open.reservation.input, ..Tokens::default() };
    account.settle(outcome, tokens.unwrap_or(estimate), tokens.is_some());
}

fn failed(account: Account, failure: Failure, dialect: Dialect) -> Problem {
    let nothing = Some(Tokens::default());
    let unsent = account.attempts == 0;
    match failure {
        Failure::TimedOut => {
            // It has the request, and may charge for it.
            end(account, Outcome::TimedOut, None, dialect);
            Problem::TimedOut
        }
        Failure::Unavailable => {
            let outcome = if unsent { Outcome::Unsent } else { Outcome::UpstreamFailed };
            end(account, outcome, nothing, dialect);
            Problem::Unavailable
        }
        Failure::Limited(pause) => {
            let outcome = if unsent { Outcome::Unsent } else { Outcome::UpstreamFailed };
            end(account, outcome, nothing, dialect);
            // Longer than five seconds would keep an agent silent for all that time.
            let seconds = u32::try_from(pause.as_secs() + 1).unwrap_or(5).clamp(1, 5);
            Problem::RateLimited(seconds)
        }
    }
}

/// The answer to a question for a count, read whole: it is small, and costs nothing.
async fn counted(
    account: Account,
    permit: crate::upstream::Permit,
    body: Incoming,
    headers: &HeaderMap,
) -> Response<Body> {
    use http_body_util::{BodyExt as _, Limited};
    let body = Limited::new(body, 64 << 10).collect().await;
    drop(permit);
    end(account, Outcome::Complete, Some(Tokens::default()), Dialect::Anthropic);
    match body {
        Ok(body) => {
            let mut response = Response::new(Body::from(body.to_bytes()));
            *response.headers_mut() = kept(headers);
            response
        }
        Err(_) => Problem::Unavailable.response(Dialect::Anthropic),
    }
}

/// The request's id, and what is left of the quota.
fn stamp(headers: &mut HeaderMap, request: RequestId, standing: Standing) {
    let Standing { limit, used, reserved, ends_ms } = standing;
    if let Ok(value) = HeaderValue::try_from(request.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert("x-quota-limit-tokens", limit.into());
    headers.insert("x-quota-remaining-tokens", limit.saturating_sub(used + reserved).into());
    headers.insert("x-quota-reset", (ends_ms / 1000).into());
    let warning = [90, 80].into_iter().find(|percent| used * 100 >= limit * percent);
    if let Some(percent) = warning.filter(|_| limit > 0)
        && let Ok(value) = HeaderValue::try_from(format!("{percent}%"))
    {
        headers.insert(WARNING, value);
    }
}
