//! Kubernetes' events.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use serde::Serialize;

/// One event: what was told of an object, and when last.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cluster) struct Told {
    pub at: Option<Timestamp>,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: String,
    pub reason: String,
    /// Kind and name of what it is about.
    pub object: String,
    pub message: String,
    /// How often it was told.
    pub count: i32,
}

impl Told {
    /// The two generations of event writers put times and counts into different fields.
    pub(super) fn of(event: &Event) -> Self {
        let series = event.series.as_ref();
        let micro = series.and_then(|series| series.last_observed_time.as_ref());
        let micro = micro.or(event.event_time.as_ref()).map(|time| time.0);
        let seconds = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref());
        let object = &event.involved_object;
        let object = [&object.kind, &object.name].map(|part| part.clone().unwrap_or_default());
        Self {
            at: micro.max(seconds.map(|time| time.0)),
            kind: event.type_.clone().unwrap_or_default(),
            reason: event.reason.clone().unwrap_or_default(),
            object: object.join(" "),
            message: event.message.clone().unwrap_or_default(),
            count: series.and_then(|series| series.count).or(event.count).unwrap_or(1),
        }
    }
}
