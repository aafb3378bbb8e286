//! The methods of the Bot API.

mod table;

pub use table::{LISTED, METHODS};

/// A method of the Bot API.
#[derive(Debug, PartialEq, Eq)]
pub struct Method {
    /// As the documentation spells it.
    pub name: &'static str,
    /// What becomes of a call.
    pub rule: Rule,
    /// Where chats and users are named, `a.b` being field `b` of parameter `a`; the first must be
    /// there.
    pub chats: &'static [&'static str],
    /// Parameters that hold files.
    pub media: &'static [&'static str],
    /// The other parameters that it may have, in groups.
    pub(crate) others: &'static [&'static [&'static str]],
}

/// What becomes of a call of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It goes to Telegram once it is checked.
    Forward,
    /// The relay answers it itself.
    Local,
    /// It never reaches Telegram.
    Refused,
}

impl Method {
    /// The method of that name in any case, as Telegram reads it.
    pub fn find(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.name.eq_ignore_ascii_case(name))
    }

    /// Whether it may have a parameter of that name.
    pub(crate) fn has(&self, parameter: &str) -> bool {
        let named = |names: &[&str]| !parameter.contains('.') && names.contains(&parameter);
        named(self.chats) || named(self.media) || self.others.iter().any(|names| named(names))
    }

    /// Whether Telegram would make a preview of its text.
    pub(crate) fn previews(&self) -> bool {
        self.has("link_preview_options")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::shape::Shape;

    #[test]
    fn names_are_unique_and_found_in_any_case() {
        let names: HashSet<_> = METHODS.iter().map(|m| m.name.to_ascii_lowercase()).collect();
        assert_eq!(names.len(), METHODS.len());
        assert_eq!(Method::find("SENDmessage").unwrap().name, "sendMessage");
        assert_eq!(Method::find("sendMessag"), None);
        assert_eq!(Method::find("sendMe\u{17f}\u{17f}age"), None);
    }

    #[test]
    fn every_parameter_of_a_forwarded_method_has_a_shape_that_suits_it() {
        for method in METHODS.iter().filter(|method| method.rule == Rule::Forward) {
            let name = method.name;
            for chat in method.chats.iter().filter(|chat| !chat.contains('.')) {
                assert!(matches!(Shape::of(chat), Shape::Chat), "{name} {chat}");
            }
            for media in method.media {
                let shape = Shape::of(media);
                assert!(matches!(shape, Shape::File | Shape::Many(_)), "{name} {media}");
            }
            for other in method.others.iter().copied().flatten() {
                let shape = Shape::of(other);
                assert!(!matches!(shape, Shape::Chat | Shape::File), "{name} {other}");
            }
        }
    }

    #[test]
    fn what_is_not_forwarded_has_no_parameters_to_check() {
        for method in METHODS.iter().filter(|method| method.rule != Rule::Forward) {
            assert!(method.chats.is_empty() && method.media.is_empty(), "{}", method.name);
        }
    }
}
