//! What the platform says to people, in their languages: `texts/`, a file each.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use jiff::{Timestamp, tz};
use oc_domain::Locale;
use serde_json::Value;
use strum::{Display, VariantArray};

/// What the relay says of its own accord; the other texts are named as the kinds of notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Text {
    /// To somebody who is not bound.
    Stranger,
    /// To somebody who came with a link that is none.
    NoSuchCode,
    /// To somebody for whom there is no place.
    Full,
    /// To somebody who is bound now.
    Bound,
    /// To somebody who writes to a suspended agent.
    SuspendedNow,
    /// To somebody whose message is held, since the plan has no more of them.
    MessagesHeld,
    /// To somebody whose message is not even held, since as many are as may.
    MessagesRefused,
    /// Whether what is held is to be answered, and the two answers.
    HeldQuestion,
    HeldReplay,
    HeldDrop,
    /// What was done then: all, as much as there was room for, or forgotten.
    HeldReplayed,
    HeldReplayedSome,
    HeldDropped,
    /// To somebody who answers a question that is not open any more.
    HeldOld,
}

/// The texts in every language.
#[derive(Debug)]
pub(crate) struct Texts {
    pt_br: BTreeMap<String, String>,
    en: BTreeMap<String, String>,
}

impl Texts {
    /// Those that are compiled in.
    pub(crate) fn read() -> Result<Self> {
        Ok(Self {
            pt_br: serde_json::from_str(include_str!("../texts/pt-BR.json")).context("pt-BR")?,
            en: serde_json::from_str(include_str!("../texts/en.json")).context("en")?,
        })
    }

    /// A text of our own.
    pub(crate) fn own(&self, text: Text, locale: Locale, link: &str) -> Option<String> {
        self.filled(text, &Value::Null, locale, link)
    }

    /// A text of our own, filled with what it tells.
    pub(crate) fn filled(
        &self,
        text: Text,
        told: &Value,
        locale: Locale,
        link: &str,
    ) -> Option<String> {
        self.fill(&text.to_string(), told, locale, link)
    }

    /// The text of a notice, filled with its payload; nothing where there is none of that kind.
    pub(crate) fn notice(
        &self,
        kind: &str,
        payload: &Value,
        locale: Locale,
        link: &str,
    ) -> Option<String> {
        let spent = payload.get("percent") == Some(&Value::from(100));
        self.fill(
            &if spent { format!("{kind}_spent") } else { kind.to_owned() },
            payload,
            locale,
            link,
        )
    }

    fn fill(&self, name: &str, told: &Value, locale: Locale, link: &str) -> Option<String> {
        let mut text = self.of(locale).get(name)?.replace("{link}", link);
        for (name, value) in told.as_object().into_iter().flatten() {
            text = text.replace(&format!("{{{name}}}"), &word(value, locale));
        }
        Some(text)
    }

    fn of(&self, locale: Locale) -> &BTreeMap<String, String> {
        match locale {
            Locale::PtBr => &self.pt_br,
            Locale::En => &self.en,
        }
    }
}

/// A value as people write it.
fn word(value: &Value, locale: Locale) -> String {
    match value {
        Value::String(text) => match text.parse() {
            Ok(at) => date(at, locale),
            Err(_) => text.clone(),
        },
        value => value.to_string(),
    }
}

/// A day as people write it.
fn date(at: Timestamp, locale: Locale) -> String {
    local(at, locale, "%d/%m/%Y", "%B %-d, %Y")
}

/// A time of day as people write it.
pub(crate) fn hour(at: Timestamp, locale: Locale) -> String {
    local(at, locale, "%H:%M", "%H:%M UTC")
}

/// Brazil has had one offset all year since 2019.
fn local(at: Timestamp, locale: Locale, pt_br: &str, en: &str) -> String {
    let (offset, format) = match locale {
        Locale::PtBr => (tz::offset(-3), pt_br),
        Locale::En => (tz::offset(0), en),
    };
    at.to_zoned(offset.to_time_zone()).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::notices::FOR_OPS;

    /// The variants of `enum Kind` in a source, as they are written into the outbox.
    fn kinds(source: &str) -> BTreeSet<String> {
        let body = source.split("enum Kind {").nth(1).unwrap().split('}').next().unwrap();
        let names = body.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        let snake = |name: &str| {
            let mut snake = String::new();
            for letter in name.trim_end_matches(',').chars() {
                if letter.is_uppercase() && !snake.is_empty() {
                    snake.push('_');
                }
                snake.extend(letter.to_lowercase());
            }
            snake
        };
        names.filter(|name| !name.is_empty()).map(snake).collect()
    }

    #[test]
    fn every_kind_that_is_written_anywhere_has_a_text_or_is_for_ops() {
        let mut written = kinds(include_str!("../../billing/src/decide/notices.rs"));
        written.extend(kinds(include_str!("../../operator/src/health/notices.rs")));
        assert!(include_str!("../../store/src/usage/quota.rs").contains("values ('quota',"));
        let counting = include_str!("../../../migrations/20261122000400_meter_messages.sql");
        assert!(counting.contains("select 'messages',"));
        written.extend(["quota", "messages"].map(str::to_owned));
        assert_eq!(written.len(), 14, "{written:?}");
        let own = Text::VARIANTS.iter().map(ToString::to_string);
        let own = own.chain(["quota_spent", "messages_spent"].map(str::to_owned));
        let texts = Texts::read().unwrap();
        let for_people = written.iter().filter(|kind| !FOR_OPS.contains(&kind.as_str())).cloned();
        let expected: BTreeSet<String> = for_people.chain(own).collect();
        for locale in [Locale::PtBr, Locale::En] {
            let there: BTreeSet<String> = texts.of(locale).keys().cloned().collect();
            assert_eq!(there, expected, "{locale}");
        }
        assert!(FOR_OPS.iter().all(|kind| written.contains(*kind)), "{written:?}");
    }

    #[test]
    fn both_languages_are_filled_with_the_same() {
        let texts = Texts::read().unwrap();
        let holes = |text: &str| -> BTreeSet<String> {
            text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()).collect()
        };
        for (name, text) in &texts.en {
            assert_eq!(holes(text), holes(&texts.pt_br[name]), "{name}");
        }
    }

    #[test]
    fn a_notice_says_its_days_and_numbers() {
        let texts = Texts::read().unwrap();
        let notice =
            |kind, payload: Value| texts.notice(kind, &payload, Locale::PtBr, "L").unwrap();
        let ending = notice("ending", json!({"at": "2026-12-02T01:00:00Z"}));
        assert!(ending.contains("01/12/2026") && ending.ends_with(": L"), "{ending}");
        assert!(notice("quota", json!({"percent": 90, "period": 7})).contains("90%"));
        assert!(notice("quota", json!({"percent": 100})).contains("pausa"));
        assert!(notice("messages", json!({"percent": 80})).contains("80% das mensagens"));
        assert!(notice("messages", json!({"percent": 100})).contains("espera"));
        assert!(texts.notice("new", &json!({}), Locale::En, "L").is_none());
        let noon = "2026-12-02T12:05:00Z".parse().unwrap();
        assert_eq!(
            (hour(noon, Locale::PtBr), hour(noon, Locale::En)),
            ("09:05".into(), "12:05 UTC".into())
        );
    }
}
