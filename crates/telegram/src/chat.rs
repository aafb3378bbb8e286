//! The numbers of chats.

use std::{fmt, num::NonZeroI64, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most that a chat's number can be: Telegram promises at most 52 significant bits.
const MAX: u64 = (1 << 52) - 1;

/// The number of a chat; that of a private chat is the number of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct ChatId(NonZeroI64);

/// This is not the number of a chat.
#[derive(Debug, thiserror::Error)]
#[error("not the number of a chat")]
pub struct NoChat;

impl ChatId {
    /// The number.
    pub fn get(self) -> i64 {
        self.0.get()
    }

    /// Reads a parameter: a whole number, or the one decimal text that such a number has. Telegram
    /// itself reads `12abc` and `+12` as 12; here they are nothing.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.as_i64()?.try_into().ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }
}

impl TryFrom<i64> for ChatId {
    type Error = NoChat;

    fn try_from(number: i64) -> Result<Self, NoChat> {
        let number = NonZeroI64::new(number).filter(|number| number.get().unsigned_abs() <= MAX);
        number.map(Self).ok_or(NoChat)
    }
}

impl From<ChatId> for i64 {
    fn from(chat: ChatId) -> Self {
        chat.get()
    }
}

impl FromStr for ChatId {
    type Err = NoChat;

    fn from_str(text: &str) -> Result<Self, NoChat> {
        let chat = Self::try_from(text.parse::<i64>().map_err(|_| NoChat)?)?;
        if chat.to_string() == text { Ok(chat) } else { Err(NoChat) }
    }
}

impl fmt::Display for ChatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_plain_numbers_are_chats() {
        for value in [json!(123), json!("123")] {
            assert_eq!(ChatId::read(&value).map(ChatId::get), Some(123), "{value}");
        }
        assert_eq!(ChatId::read(&json!("-100123")).map(ChatId::get), Some(-100_123));
        let most = (1_i64 << 52) - 1;
        assert_eq!(ChatId::read(&json!(most)).map(ChatId::get), Some(most));
        for text in [
            "",
            "0",
            "-0",
            "+1",
            "01",
            " 1",
            "1 ",
            "1.0",
            "1e2",
            "0x1",
            "1_0",
            "12abc",
            "@name",
            "١٢٣",
            "4503599627370496",
            "9223372036854775808",
            "-9223372036854775808",
            "1\0",
            "true",
        ] {
            assert!(ChatId::read(&json!(text)).is_none(), "{text:?}");
        }
        for json in
            ["0", "-0", "123.0", "1.23e2", "9223372036854775808", "true", "null", "[1]", "{}"]
        {
            let value = serde_json::from_str(json).unwrap();
            assert!(ChatId::read(&value).is_none(), "{json}");
        }
    }
}
