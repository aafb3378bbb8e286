//! Why a call is not forwarded.

use serde_json::{Value, json};

/// Why a call is not forwarded. The text is for the caller and holds nothing but its own names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Refusal {
    /// The method is not on the list.
    #[error("Not Found: method not found")]
    UnknownMethod,
    /// The method is on the list of those that are never forwarded.
    #[error("Forbidden: {0} is not available to this bot")]
    Method(&'static str),
    /// A parameter, or a field of one, that the method is not known to have here.
    #[error("Bad Request: {0} is not accepted")]
    Unknown(String),
    /// A parameter that does not have the form that Telegram describes, and that form alone.
    #[error("Bad Request: {0} is not understood")]
    Unclear(String),
    /// A parameter that is said twice.
    #[error("Bad Request: {0} is given more than once")]
    Twice(String),
    /// A chat that is not given.
    #[error("Bad Request: {0} is empty")]
    Missing(String),
    /// A chat that is not bound to the tenant.
    #[error("Bad Request: chat not found ({0})")]
    Chat(String),
    /// Media that is neither uploaded nor a `file_id`.
    #[error("Bad Request: {0} must be an upload or a file_id")]
    Media(String),
    /// The data of a button that begins as those of our own do.
    #[error("Bad Request: {0} begins with a reserved word")]
    Reserved(String),
    /// A file that no parameter mentions.
    #[error("Bad Request: no parameter refers to the file {0}")]
    File(String),
    /// The body is not what its type says, or of no type that the Bot API has.
    #[error("Bad Request: the body is not understood")]
    Body,
    /// The text is not UTF-8, or says that it is not.
    #[error("Bad Request: strings must be encoded in UTF-8")]
    Charset,
    /// The parameters are longer than [`params::MAX_TEXT`](crate::params::MAX_TEXT).
    #[error("Request Entity Too Large")]
    TooLong,
    /// A parameter follows a file: what is not read before the files cannot be checked.
    #[error("Bad Request: {0} must precede the files")]
    Late(String),
    /// The client left before the end.
    #[error("Bad Request: the body has no end")]
    Cut,
}

impl Refusal {
    /// The HTTP status and `error_code` of the answer.
    pub fn code(&self) -> u16 {
        match self {
            Self::UnknownMethod => 404,
            Self::Method(_) => 403,
            Self::TooLong => 413,
            _ => 400,
        }
    }

    /// The answer in Telegram's shape.
    pub fn answer(&self) -> Value {
        json!({ "ok": false, "error_code": self.code(), "description": self.to_string() })
    }
}
