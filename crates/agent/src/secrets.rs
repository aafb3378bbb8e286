//! What must not be seen: the tokens of this boot.

use std::borrow::Cow;

use parking_lot::Mutex;

/// What stands in the place of a token.
const HIDDEN: &str = "[token]";

/// All tokens that the gateway has been given since the agent began; old ones stay hidden.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<Vec<String>>);

impl Secrets {
    /// From now on `token` is hidden.
    pub(crate) fn hide(&self, token: &str) {
        let mut tokens = self.0.lock();
        if !token.is_empty() && !tokens.iter().any(|known| known == token) {
            tokens.push(token.to_owned());
        }
    }

    /// `text` without any token in it.
    pub(crate) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for token in self.0.lock().iter().filter(|token| !token.is_empty()) {
            if text.contains(token.as_str()) {
                text = Cow::Owned(text.replace(token.as_str(), HIDDEN));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_of_this_boot_is_hidden_in_urls_and_words() {
        let secrets = Secrets::default();
        assert_eq!(secrets.redact("GET /bot7:old-token/getMe"), "GET /bot7:old-token/getMe");
        secrets.hide("old-token");
        secrets.hide("new-token");
        secrets.hide("");
        let line = "GET http://channels/bot7:old-token/getMe, then new-token new-token";
        let hidden = "GET http://channels/bot7:[token]/getMe, then [token] [token]";
        assert_eq!(secrets.redact(line), hidden);
    }
}
