use serde::{Deserialize, Serialize};
use strum::{Display, VariantArray};

use super::{Embedded, Locale, ProviderId, Text, embedded};

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
    /// Whom it is for, in one line: its description in schemas.
    pub summary: String,
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

/// A file of a niche, as text.
macro_rules! content {
    ($folder:literal, $path:expr) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/catalog/niches/", $folder, "/", $path))
    };
}

macro_rules! templates {
    ($folder:literal, $locale:literal) => {
        Templates {
            soul: content!($folder, concat!($locale, "/SOUL.md")),
            agents: content!($folder, concat!($locale, "/AGENTS.md")),
            identity: content!($folder, concat!($locale, "/IDENTITY.md")),
        }
    };
}

macro_rules! niche {
    ($folder:literal) => {{
        static NICHE: Embedded<Niche> = Embedded::new(|| {
            embedded(concat!("niches/", $folder, "/niche.json"), content!($folder, "niche.json"))
        });
        &NICHE
    }};
}

/// The ids, from what the build script found in `catalog/niches/`: a folder each.
macro_rules! niches {
    ($($variant:ident $folder:tt $summary:tt)*) => {
        named! {
            /// What an agent knows.
            pub enum NicheId {
                $(
                    #[doc = $summary]
                    #[serde(rename = $folder)]
                    #[strum(to_string = $folder)]
                    $variant,
                )*
            }
        }

        impl NicheId {
            /// What the niche is.
            pub fn get(self) -> &'static Niche {
                match self {
                    $(Self::$variant => niche!($folder),)*
                }
            }

            /// Its workspace files.
            pub fn templates(self, locale: Locale) -> Templates {
                match (self, locale) {
                    $(
                        (Self::$variant, Locale::PtBr) => templates!($folder, "pt-BR"),
                        (Self::$variant, Locale::En) => templates!($folder, "en"),
                    )*
                }
            }
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/niches.rs"));
