//! The versions of Stripe's API that the stand-in speaks.

use serde_json::{Map, Value};
use strum::EnumString;

/// How objects are spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Shape {
    /// 2025-02-24.acacia, before periods moved to items and the subscription of an invoice to its
    /// parent.
    Old,
    /// 2026-09-30.endive.
    #[default]
    New,
    /// A version from the future, with fields and values that nobody knows yet.
    Unknown,
}

impl Shape {
    /// The version as Stripe names it.
    pub fn version(self) -> &'static str {
        match self {
            Self::Old => "2025-02-24.acacia",
            Self::New => "2026-09-30.endive",
            Self::Unknown => "2027-09-29.unheard-of",
        }
    }

    /// The shape of a version that a request asks for.
    pub(super) fn of_version(version: &str) -> Self {
        if version < "2025-03-31" { Self::Old } else { Self::New }
    }

    /// Completes an object: fields that are always null here, and what only the future has.
    pub(super) fn finish(self, mut object: Value, nulls: &[&str]) -> Value {
        if let Some(fields) = object.as_object_mut() {
            for name in nulls {
                fields.entry(*name).or_insert(Value::Null);
            }
            if self == Self::Unknown {
                let nested = Map::from_iter([("kind".to_owned(), "unheard_of".into())]);
                fields.insert("unheard_of".to_owned(), Value::Object(nested));
            }
        }
        object
    }
}
