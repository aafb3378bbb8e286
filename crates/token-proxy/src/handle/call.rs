//! An admitted request at its provider: whatever comes of it, its account is settled.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use oc_domain::usage::{Outcome, Tokens};
use oc_platform_token::Claims;
use oc_streams::Admitted;

use super::{Ask, Handler, REQUEST_ID};
use crate::{
    answer::Problem,
    meter::Account,
    relay::{Body, Parts, Relay, Times},
    route::Dialect,
    shape::{Grant, rename, shape},
    upstream::{Answer, Call, Failure, Permit, Reply, kept},
};

impl Handler {
    /// Calls a provider.
    pub(super) async fn call(
        self,
        ask: Ask,
        admitted: Admitted,
        mut account: Account,
        claims: Claims,
    ) -> Result<Response<Body>, Problem> {
        let sent = Instant::now();
        // Until it is known, the account says that something was sent: see its drop.
        account.attempts = 1;
        let (reply, withhold_usage) = self.ask(&ask, &admitted, &account, &claims).await;
        let Reply { result, attempts, upstream } = reply;
        account.attempts = attempts;
        account.upstream = upstream;
        let (response, permit) = match result {
            Ok(Answer::Begun(response, permit)) => (response, permit),
            Ok(Answer::Refused(status, headers, body)) => {
                end(account, Outcome::Refused, Some(Tokens::default()), ask.dialect);
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                return Ok(response);
            }
            Err(failure) => return Err(failed(account, failure, ask.dialect)),
        };
        account.first_byte_ms = Some(account.meter.clock.unix_ms());
        if ask.counting {
            return Ok(counted(account, permit, response).await);
        }
        let times = Times { began: ask.began, sent, answered: Instant::now() };
        Ok(self.relay(response, withhold_usage, times, ask.dialect, account, permit))
    }

    /// Asks the providers; says also whether the usage chunk is to be kept back.
    async fn ask(
        &self,
        ask: &Ask,
        admitted: &Admitted,
        account: &Account,
        claims: &Claims,
    ) -> (Reply, bool) {
        let mut headers = ask.headers.clone();
        if let Ok(value) = HeaderValue::try_from(account.open.reservation.request.to_string()) {
            headers.insert(REQUEST_ID, value);
        }
        let mut withhold_usage = false;
        let body = |model: &str| -> Vec<Bytes> {
            if ask.counting {
                return rename(&ask.body.bytes, &ask.asked, model);
            }
            let thinking = admitted.policy.thinking;
            let grant = Grant { output: ask.output, granted: admitted.output, thinking, model };
            let shaped = shape(&ask.body.bytes, &ask.asked, ask.dialect, grant);
            withhold_usage = shaped.withhold_usage;
            shaped.pieces
        };
        let call = Call {
            tenant: &claims.tenant,
            model: ask.model,
            dialect: ask.dialect,
            path: ask.path,
            headers,
            body,
            first_byte: self.shared.first_byte,
        };
        let pool = self.shared.upstreams.pool();
        let reply = call.make(&self.client, &pool, &account.meter.metrics).await;
        (reply, withhold_usage)
    }

    /// The provider's answer on its way to the client.
    fn relay(
        &self,
        response: Response<Incoming>,
        withhold_usage: bool,
        times: Times,
        dialect: Dialect,
        account: Account,
        permit: Permit,
    ) -> Response<Body> {
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE);
        let stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let relay = Parts {
            account,
            permit,
            dialect,
            stream,
            withhold_usage,
            times,
            idle: self.shared.idle,
            drains: Arc::clone(&self.shared.drains),
        };
        let mut response = Response::new(Body::Relay(Box::new(Relay::new(body, relay))));
        *response.status_mut() = parts.status;
        let headers = response.headers_mut();
        *headers = kept(&parts.headers);
        if stream {
            // For whatever stands between: do not collect it.
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        } else if let Some(length) = parts.headers.get(header::CONTENT_LENGTH) {
            headers.insert(header::CONTENT_LENGTH, length.clone());
        }
        response
    }
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
async fn counted(account: Account, permit: Permit, response: Response<Incoming>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, 64 << 10).collect().await;
    drop(permit);
    end(account, Outcome::Complete, Some(Tokens::default()), Dialect::Anthropic);
    match body {
        Ok(body) => {
            let mut response = Response::new(Body::from(body.to_bytes()));
            *response.headers_mut() = kept(&parts.headers);
            response
        }
        Err(_) => Problem::Unavailable.response(Dialect::Anthropic),
    }
}
