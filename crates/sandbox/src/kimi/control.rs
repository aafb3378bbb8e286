//! What is asked besides answers: the provider's other routes, and the stand-in's own.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use serde_json::json;

use super::{
    Shared, answer::Answer, body::Body, failure::Failure, output::Tokenizer, reply::Dialect,
    request::Request, serve,
};

/// Entries that are copied while the log is locked.
const BATCH: usize = 10_000;
const MODELS: [&str; 4] = ["kimi-k2.5", "kimi-k2.6", "kimi-k3", "k2p5"];

/// The provider's routes that answer nothing a model said.
pub(super) fn provider(shared: &Shared, head: &Parts, path: &str, body: &Bytes) -> Response<Body> {
    let dialect =
        if path.starts_with("/v1/messages") { Dialect::Anthropic } else { Dialect::OpenAi };
    if let Err(failure) = shared.authenticate(serve::key(&head.headers).unwrap_or_default()) {
        return refuse(dialect, failure, &failure.message(0, 1));
    }
    let answer = match (&head.method, path) {
        (&Method::GET, "/v1/models") => models().to_string(),
        (&Method::GET, "/v1/users/me/balance") => balance(shared),
        (&Method::POST, "/v1/messages/count_tokens") => {
            let request: Request<'_> = match serde_json::from_slice(body) {
                Ok(request) => request,
                Err(error) => return refuse(dialect, Failure::InvalidRequestError, &error),
            };
            let tokenizer = Tokenizer::new(shared.seed, shared.next_number());
            let prompt = serve::prompt(&request, &Answer::default(), tokenizer);
            json!({ "input_tokens": prompt.tokens }).to_string()
        }
        _ => return refuse(dialect, Failure::ResourceNotFoundError, &"The route does not exist"),
    };
    serve::json(StatusCode::OK, Body::plain(answer))
}

fn refuse(dialect: Dialect, failure: Failure, message: &impl ToString) -> Response<Body> {
    let status = StatusCode::from_u16(failure.status()).unwrap_or_default();
    serve::json(status, Body::plain(serve::error(dialect, failure, message.to_string())))
}

fn models() -> serde_json::Value {
    let model = |id| json!({ "id": id, "object": "model", "created": 1_780_000_000, "owned_by": "moonshot", "context_length": 262_144, "supports_image_in": true, "supports_reasoning": true });
    json!({ "object": "list", "data": MODELS.map(model) })
}

/// Dollars with five digits after the point, as the provider states them.
fn balance(shared: &Shared) -> String {
    let units = shared.ledger.lock().stats.balance_nano_usd / 10_000;
    let (sign, units) = (if units < 0 { "-" } else { "" }, units.unsigned_abs());
    let dollars = format!("{sign}{}.{:05}", units / 100_000, units % 100_000);
    format!(
        r#"{{"code":0,"data":{{"available_balance":{dollars},"voucher_balance":0.0,"cash_balance":{dollars}}},"scode":"0x0","status":true}}"#
    )
}

/// The stand-in's own routes, which ask for no key.
pub(super) fn answer(shared: &Shared, head: &Parts, body: &Bytes) -> Response<Body> {
    let words = std::str::from_utf8(body).unwrap_or_default();
    let done = match (&head.method, head.uri.path()) {
        (&Method::GET, "/_log") => return log(shared, head.uri.query().unwrap_or_default()),
        (&Method::GET, "/_stats") => {
            let stats = shared.ledger.lock().stats;
            let text = serde_json::to_string(&stats).unwrap_or_default();
            return serve::json(StatusCode::OK, Body::plain(text));
        }
        (&Method::POST, "/_control") => shared.change(words),
        (&Method::POST, "/_script") => words
            .lines()
            .map(|line| shared.ledger.lock().answer.with(line))
            .collect::<Result<Vec<_>, _>>()
            .map(|answers| shared.ledger.lock().script.extend(answers)),
        _ => return plain(StatusCode::NOT_FOUND, "no such route of the stand-in\n".to_owned()),
    };
    match done {
        Ok(()) => plain(StatusCode::OK, String::new()),
        Err(error) => plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

fn log(shared: &Shared, query: &str) -> Response<Body> {
    let since = query.strip_prefix("since=").map_or(Ok(0), str::parse);
    let Ok(mut since) = since else {
        return plain(StatusCode::BAD_REQUEST, "since: expected a number\n".to_owned());
    };
    let mut lines = Vec::new();
    loop {
        let entries = shared.ledger.lock().entries(since, BATCH);
        let Some(last) = entries.last() else { break };
        since = last.number + 1;
        for entry in &entries {
            // Writing to memory cannot fail.
            let _ = serde_json::to_writer(&mut lines, entry);
            lines.push(b'\n');
        }
    }
    plain(StatusCode::OK, lines)
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::plain(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
