//! Answers of the Bot API.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::Error;

#[derive(Deserialize)]
struct Answer<'a> {
    ok: bool,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error_code: Option<u16>,
    description: Option<String>,
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
}

/// The result of a call.
pub(super) fn read<T: DeserializeOwned>(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<T, Error> {
    let unreadable = || Error::Unreadable { status: status.as_u16() };
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|_| unreadable())?;
    if answer.ok {
        let result = answer.result.ok_or_else(unreadable)?;
        return serde_json::from_str(result.get()).map_err(|_| unreadable());
    }
    let header =
        headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let seconds = answer.parameters.and_then(|parameters| parameters.retry_after).or(header);
    Err(Error::Refused {
        code: answer.error_code.unwrap_or(status.as_u16()),
        description: answer.description.unwrap_or_default(),
        retry_after: seconds.map(Duration::from_secs),
    })
}
