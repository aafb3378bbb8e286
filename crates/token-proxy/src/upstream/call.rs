//! One call of a model: keys and providers in turn, until one answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use oc_domain::{ModelId, TenantId};
use rand::RngExt as _;

use super::{
    Lane, Permit, Pieces, Pool, Upstream,
    attempt::{Attempt, request, send},
    verdict::{UNUSABLE, Verdict, judge},
};
use crate::{metrics::Metrics, route::Dialect};

/// Connections to providers, those of one thread.
pub(crate) type Client = legacy::Client<HttpsConnector<HttpConnector>, Pieces>;

/// Requests that are sent for one that comes, at most.
const ATTEMPTS: u32 = 3;
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(3);

/// What is asked.
pub(crate) struct Call<'a, B> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) model: ModelId,
    pub(crate) dialect: Dialect,
    /// The client's path.
    pub(crate) path: &'static str,
    pub(crate) headers: HeaderMap,
    /// The body, given the model's name there.
    pub(crate) body: B,
    /// How long the first byte may take.
    pub(crate) first_byte: Duration,
}

/// What came of it.
pub(crate) struct Reply {
    pub(crate) result: Result<Answer, Failure>,
    /// How often a provider was asked.
    pub(crate) attempts: u32,
    /// Who was asked last, as the ledger names it.
    pub(crate) upstream: Option<(Arc<Upstream>, Arc<Lane>)>,
}

/// What a provider said.
pub(crate) enum Answer {
    /// An answer has begun; the place is taken until it has ended.
    Begun(Response<Incoming>, Permit),
    /// The request is at fault.
    Refused(StatusCode, HeaderMap, Bytes),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No provider is whole, or has the model.
    Unavailable,
    /// Every provider says: too much. Not before so long.
    Limited(Duration),
    /// The provider took too long.
    TimedOut,
}

/// Connections for the calling thread.
pub(crate) fn client() -> Result<Client, rustls::Error> {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    http.enforce_http(false);
    let tls = rustls::ClientConfig::builder().try_with_platform_verifier()?.with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(50))
        // Repeats are ours to decide on: they are counted.
        .retry_canceled_requests(false)
        .build(connector))
}

/// A place with a provider.
struct Place {
    upstream: Arc<Upstream>,
    lane: Arc<Lane>,
    permit: Permit,
}

impl<B: FnMut(&str) -> Vec<Bytes>> Call<'_, B> {
    /// Asks until a provider answers.
    pub(crate) async fn make(mut self, client: &Client, pool: &Pool, metrics: &Metrics) -> Reply {
        pool.budget.earn();
        let mut tried: Vec<Arc<Lane>> = Vec::new();
        let mut reply = Reply { result: Err(Failure::Unavailable), attempts: 0, upstream: None };
        while reply.attempts < ATTEMPTS {
            let again = reply.attempts > 0;
            let Some(place) = self.place(pool, &tried).await else {
                if !again {
                    reply.result = Err(self.why_none(pool));
                }
                return reply;
            };
            if again && !pool.budget.spend() {
                return reply;
            }
            if tried.iter().any(|lane| Arc::ptr_eq(lane, &place.lane)) {
                let pause = rand::rng().random_range(50..150) * u64::from(reply.attempts);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            reply.attempts += 1;
            reply.upstream = Some((Arc::clone(&place.upstream), Arc::clone(&place.lane)));
            tried.push(Arc::clone(&place.lane));
            match self.attempt(client, place, metrics).await {
                Ok(answer) => {
                    reply.result = Ok(answer);
                    return reply;
                }
                Err(failure) => reply.result = Err(failure),
            }
            // It may be working on it still: to ask again would be to pay twice.
            if reply.result.as_ref().is_err_and(|failure| *failure == Failure::TimedOut) {
                return reply;
            }
        }
        reply
    }

    fn can(&self, upstream: &Upstream) -> bool {
        upstream.speaks(self.dialect) && upstream.offer(self.model).is_some()
    }

    /// A place with the first provider that has one: with a key not tried yet, else with any.
    async fn place(&self, pool: &Pool, tried: &[Arc<Lane>]) -> Option<Place> {
        for fresh in [true, false] {
            for upstream in pool.upstreams.iter().filter(|upstream| self.can(upstream)) {
                let usable = |index: usize| {
                    upstream.lanes.get(index).is_some_and(|lane| {
                        let known = tried.iter().any(|tried| Arc::ptr_eq(tried, lane));
                        known != fresh && lane.breaker.allows(Instant::now())
                    })
                };
                if !(0..upstream.lanes.len()).any(usable) {
                    continue;
                }
                if let Some(permit) = upstream.gate.enter(self.tenant, TURN, usable).await
                    && let Some(lane) = upstream.lanes.get(permit.lane)
                {
                    let (upstream, lane) = (Arc::clone(upstream), Arc::clone(lane));
                    return Some(Place { upstream, lane, permit });
                }
            }
        }
        None
    }

    fn why_none(&self, pool: &Pool) -> Failure {
        let now = Instant::now();
        let able = pool.upstreams.iter().filter(|upstream| self.can(upstream));
        let pauses =
            able.flat_map(|upstream| &upstream.lanes).map(|lane| lane.breaker.open_for(now));
        match pauses.min() {
            None => Failure::Unavailable,
            // Whole, but every place was taken for all the time that one waits.
            Some(None) => Failure::Limited(Duration::from_secs(2)),
            Some(Some(pause)) => Failure::Limited(pause),
        }
    }

    async fn attempt(
        &mut self,
        client: &Client,
        place: Place,
        metrics: &Metrics,
    ) -> Result<Answer, Failure> {
        let Place { upstream, lane, permit } = place;
        let name = upstream.offer(self.model).map_or("", |offer| &offer.name);
        let body = (self.body)(name).into();
        let address = upstream.address(self.dialect, self.path).ok_or(Failure::Unavailable)?;
        let request = request(address, &lane, self.dialect, &self.headers, body)
            .ok_or(Failure::Unavailable)?;
        lane.breaker.sent(Instant::now());
        let attempt = send(client, request, self.first_byte).await;
        metrics.upstream_response(&upstream.name, &lane.name, class(&attempt));
        let now = Instant::now();
        match attempt {
            Attempt::Answer(response) => {
                lane.breaker.succeeded();
                Ok(Answer::Begun(response, permit))
            }
            Attempt::Broken => {
                lane.breaker.failed(now);
                Err(Failure::Unavailable)
            }
            Attempt::TimedOut => {
                lane.breaker.failed(now);
                Err(Failure::TimedOut)
            }
            Attempt::Error(status, headers, body) => match judge(status, &headers, &body) {
                Verdict::Refused => {
                    lane.breaker.succeeded();
                    let body = lane.key.scrub(&body).map_or(body, Bytes::from);
                    Ok(Answer::Refused(status, kept(&headers), body))
                }
                Verdict::Failed => {
                    lane.breaker.failed(now);
                    Err(Failure::Unavailable)
                }
                Verdict::Limited(pause) => {
                    lane.breaker.trip(now, pause);
                    Err(Failure::Limited(pause))
                }
                Verdict::Unusable => {
                    tracing::error!(
                        key = lane.name,
                        status = status.as_u16(),
                        "a key is of no use"
                    );
                    lane.breaker.trip(now, UNUSABLE);
                    Err(Failure::Unavailable)
                }
            },
        }
    }
}

fn class(attempt: &Attempt) -> &'static str {
    match attempt {
        Attempt::Answer(_) => "2xx",
        Attempt::Error(status, ..) if status.as_u16() == 429 => "429",
        Attempt::Error(status, ..) if status.is_client_error() => "4xx",
        Attempt::Error(..) => "5xx",
        Attempt::Broken => "broken",
        Attempt::TimedOut => "timed_out",
    }
}

/// The headers of a provider's answer that a client gets.
pub(crate) fn kept(headers: &HeaderMap) -> HeaderMap {
    // Room for those that are added: the request's id, the quota, the length.
    let mut kept = HeaderMap::with_capacity(16);
    for name in [header::CONTENT_TYPE, header::CACHE_CONTROL] {
        if let Some(value) = headers.get(&name) {
            kept.insert(name, value.clone());
        }
    }
    kept
}
