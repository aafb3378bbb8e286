//! The test clock: one for the whole account.

use serde_json::{Value, json};

use super::{
    error::Error,
    form::Params,
    state::{Clock, State},
};

const ID: &str = "clock_sandbox";

/// Answers `/v1/test_helpers/test_clocks`. Making the clock stops the time of the account.
pub(super) fn answer(
    state: &mut State,
    method: &str,
    path: &str,
    params: &mut Params,
) -> Result<Value, Error> {
    let segments: Vec<&str> = path.split('/').skip(2).collect();
    match (method, segments.as_slice()) {
        ("POST", []) => {
            params.ignore(&["name"]);
            let at = frozen_time(params)?;
            state.clock = Clock::Frozen(at);
            state.with(|_| ());
        }
        ("POST", [ID, "advance"]) => {
            let at = frozen_time(params)?;
            if at <= state.engine.now() {
                let message = "The frozen time must be later than the clock's.";
                return Err(Error::parameter("frozen_time", "parameter_invalid", message));
            }
            state.clock = Clock::Frozen(at);
            state.with(|_| ());
        }
        ("GET", [ID]) => params.finish()?,
        ("DELETE", [ID]) => {
            params.finish()?;
            state.clock = Clock::Wall(state.engine.now() - super::state::wall());
            return Ok(json!({ "id": ID, "object": "test_helpers.test_clock", "deleted": true }));
        }
        _ => return Err(Error::no_such("test clock", path)),
    }
    let now = state.engine.now();
    Ok(json!({
        "id": ID, "object": "test_helpers.test_clock", "created": now, "deletes_after": now,
        "frozen_time": now, "livemode": false, "name": null, "status": "ready",
        "status_details": {},
    }))
}

fn frozen_time(params: &mut Params) -> Result<i64, Error> {
    let at = params.one("frozen_time")?;
    params.finish()?;
    at.ok_or_else(|| Error::missing("frozen_time"))
}
