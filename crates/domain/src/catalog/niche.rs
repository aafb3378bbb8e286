use serde::{Deserialize, Serialize};
use strum::{Display, VariantArray};

use super::{Embedded, Locale, ProviderId, Text, embedded};

named! {
    /// What an agent knows.
    #[serde(rename_all = "kebab-case")]
    #[strum(serialize_all = "kebab-case")]
    pub enum NicheId {
        /// Drugstores.
        Pharmacy,
        /// Law firms.
        Legal,
        /// Brokers.
        RealEstate,
        /// Accountants.
        Accounting,
        /// Kintone workflows.
        Kintone,
    }
}

/// A tool of OpenClaw that a niche lets its agent use. `exec` is none of them: no niche has a
/// shell.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Display,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Tool {
    /// A real browser, through the browser proxy.
    Browser,
    /// Reminders and scheduled work.
    Cron,
    /// Looks at pictures.
    Image,
    /// Sends messages on a channel unprompted.
    Message,
    /// Reads files of the workspace.
    Read,
    /// Fetches a page.
    WebFetch,
    /// Writes files of the workspace.
    Write,
}

/// One niche: how it is sold and what its agent may do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Niche {
    /// Its name for customers.
    pub title: Text,
    /// One line that sells it.
    pub pitch: Text,
    /// What it does, in a few sentences.
    pub description: Text,
    /// What the gateway may do.
    pub tools: Vec<Tool>,
    /// Connections that make it more useful.
    pub connections: Vec<ProviderId>,
    /// What the trade's rules demand of every answer.
    pub guard_rules: Vec<Text>,
    /// Requests that a customer may start with.
    pub examples: Vec<Text>,
}

/// The workspace files of a niche in one language, as Tera templates.
#[derive(Clone, Copy, Debug)]
pub struct Templates {
    /// Who the agent is and how it speaks.
    pub soul: &'static str,
    /// What it does and what it never does, with a part on tools.
    pub agents: &'static str,
    /// What is particular to this one tenant.
    pub identity: &'static str,
}

impl Templates {
    /// The names of the files in the workspace.
    pub const NAMES: [&str; 3] = ["SOUL.md", "AGENTS.md", "IDENTITY.md"];

    /// The files by name.
    pub fn files(self) -> [(&'static str, &'static str); 3] {
        let [soul, agents, identity] = Self::NAMES;
        [(soul, self.soul), (agents, self.agents), (identity, self.identity)]
    }
}

macro_rules! templates {
    ($niche:literal, $locale:literal) => {
        Templates {
            soul: include_str!(concat!("../../catalog/niches/", $niche, "/", $locale, "/SOUL.md")),
            agents: include_str!(concat!(
                "../../catalog/niches/",
                $niche,
                "/",
                $locale,
                "/AGENTS.md"
            )),
            identity: include_str!(concat!(
                "../../catalog/niches/",
                $niche,
                "/",
                $locale,
                "/IDENTITY.md"
            )),
        }
    };
}

macro_rules! niche {
    ($folder:literal) => {{
        static NICHE: Embedded<Niche> = Embedded::new(|| {
            embedded(
                concat!("niches/", $folder, "/niche.json"),
                include_str!(concat!("../../catalog/niches/", $folder, "/niche.json")),
            )
        });
        &NICHE
    }};
}

impl NicheId {
    /// What the niche is.
    pub fn get(self) -> &'static Niche {
        match self {
            Self::Pharmacy => niche!("pharmacy"),
            Self::Legal => niche!("legal"),
            Self::RealEstate => niche!("real-estate"),
            Self::Accounting => niche!("accounting"),
            Self::Kintone => niche!("kintone"),
        }
    }

    /// Its workspace files.
    pub fn templates(self, locale: Locale) -> Templates {
        match (self, locale) {
            (Self::Pharmacy, Locale::PtBr) => templates!("pharmacy", "pt-BR"),
            (Self::Pharmacy, Locale::En) => templates!("pharmacy", "en"),
            (Self::Legal, Locale::PtBr) => templates!("legal", "pt-BR"),
            (Self::Legal, Locale::En) => templates!("legal", "en"),
            (Self::RealEstate, Locale::PtBr) => templates!("real-estate", "pt-BR"),
            (Self::RealEstate, Locale::En) => templates!("real-estate", "en"),
            (Self::Accounting, Locale::PtBr) => templates!("accounting", "pt-BR"),
            (Self::Accounting, Locale::En) => templates!("accounting", "en"),
            (Self::Kintone, Locale::PtBr) => templates!("kintone", "pt-BR"),
            (Self::Kintone, Locale::En) => templates!("kintone", "en"),
        }
    }
}
