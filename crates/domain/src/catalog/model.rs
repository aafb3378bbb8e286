use serde::{Deserialize, Serialize};

use super::{Embedded, embedded};

named! {
    /// A model that tenants may use, by the name that specs and old configurations know it by.
    #[derive(Default)]
    pub enum ModelId {
        /// Kimi for coding, the default.
        #[default]
        #[serde(rename = "kimi-coding/k2p5")]
        #[strum(to_string = "kimi-coding/k2p5")]
        KimiK2p5,
    }
}

/// One model: what the gateway has to know of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Model {
    /// Its name for people.
    pub title: String,
    /// The name that pods ask the token proxy for.
    pub alias: String,
    /// Tokens that fit into one request and its answer.
    pub context_tokens: u32,
    /// Tokens of one answer at most.
    pub max_output_tokens: u32,
    /// What a cached input token counts against a quota, in percent of an uncached one: the ratio
    /// of their prices (the dearest of the Kimi models that tenants may get: 0.19 to 0.95 US
    /// dollars a million, `LiteLLM` 1.106's price table).
    pub cached_input_percent: u32,
    /// Whether it can think before it answers.
    pub reasoning: bool,
    /// Whether it can look at pictures.
    pub images: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Models {
    #[serde(rename = "kimi-coding/k2p5")]
    kimi_k2p5: Model,
}

static MODELS: Embedded<Models> =
    Embedded::new(|| embedded("models.json", include_str!("../../catalog/models.json")));

impl ModelId {
    /// What the model is.
    pub fn get(self) -> &'static Model {
        match self {
            Self::KimiK2p5 => &MODELS.kimi_k2p5,
        }
    }
}
