//! What we sell and what agents know: tiers, niches, providers, models, compiled into the binary.
//!
//! The data lies in `crates/domain/catalog/` as JSON and templates. Ids are enums, so a tier that
//! does not exist does not compile. Those of tiers and niches are made from the data by `build.rs`,
//! which refuses a catalog with a part missing; the tests below read every file of every id.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// An enum of names: the same in files, on the command line, in messages and in the schema.
macro_rules! named {
    ($(#[$attribute:meta])* pub enum $name:ident { $($variants:tt)* }) => {
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize, schemars::JsonSchema,
            strum::Display, strum::EnumString, strum::IntoStaticStr, strum::VariantArray,
        )]
        $(#[$attribute])*
        pub enum $name { $($variants)* }
    };
}

mod model;
mod niche;
mod provider;
mod tier;

pub use model::{Model, ModelId};
pub use niche::{Niche, NicheId, Templates, Tool};
pub use provider::{Auth, Mcp, Nango, Provider, ProviderId, Server, Transport};
pub use tier::{Family, Isolation, Limit, Range, Tier, TierId};

named! {
    /// A language that we speak.
    pub enum Locale {
        /// Portuguese as spoken in Brazil.
        #[serde(rename = "pt-BR")]
        #[strum(to_string = "pt-BR")]
        PtBr,
        /// English.
        #[serde(rename = "en")]
        #[strum(to_string = "en")]
        En,
    }
}

/// A text in every language.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    #[serde(rename = "pt-BR")]
    pt_br: String,
    en: String,
}

impl Text {
    /// The text in `locale`.
    pub fn get(&self, locale: Locale) -> &str {
        match locale {
            Locale::PtBr => &self.pt_br,
            Locale::En => &self.en,
        }
    }
}

named! {
    /// How long a model thinks before it answers, least first.
    #[serde(rename_all = "lowercase")]
    #[strum(serialize_all = "lowercase")]
    pub enum Thinking {
        /// Not at all.
        Off,
        /// As little as the model can.
        Minimal,
        /// A little.
        Low,
        /// The usual.
        Medium,
        /// Long, for hard questions.
        High,
    }
}

/// Data of the catalog, read once from the text compiled in.
fn embedded<T: DeserializeOwned>(name: &str, text: &str) -> T {
    #[expect(
        clippy::panic,
        reason = "a test reads every embedded file, so a build that passed has none that fails"
    )]
    serde_json::from_str(text).unwrap_or_else(|error| panic!("catalog/{name}: {error}"))
}

type Embedded<T> = LazyLock<T>;

#[cfg(test)]
mod tests;
