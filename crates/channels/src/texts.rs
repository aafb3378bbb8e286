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
        Some(self.of(locale).get(&text.to_string())?.replace("{link}", link))
    }

    /// The text of a notice, filled with its payload; nothing where there is none of that kind.
    pub(crate) fn notice(
        &self,
        kind: &str,
        payload: &Value,
        locale: Locale,
        link: &str,
    ) -> Option<String> {
        let spent = kind == "quota" && payload.get("percent") == Some(&Value::from(100));
        let template = self.of(locale).get(if spent { "quota_spent" } else { kind })?;
        let mut text = template.replace("{link}", link);
        for (name, value) in payload.as_object().into_iter().flatten() {
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

/// A day as people write it. Brazil has had one offset all year since 2019.
fn date(at: Timestamp, locale: Locale) -> String {
    let (offset, format) = match locale {
        Locale::PtBr => (tz::offset(-3), "%d/%m/%Y"),
        Locale::En => (tz::offset(0), "%B %-d, %Y"),
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
        written.insert("quota".to_owned());
        assert_eq!(written.len(), 13, "{written:?}");
        let own = Text::VARIANTS.iter().map(ToString::to_string);
        let own = own.chain(["quota_spent".to_owned()]);
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
        assert!(texts.notice("new", &json!({}), Locale::En, "L").is_none());
    }
}
