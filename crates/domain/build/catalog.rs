//! Reads the folder `catalog/` as a whole: the ids of its tiers and niches, or everything that
//! somebody forgot.
//!
//! The build script and the test that forgets one part after the other share it, so it says what to
//! add and not only what is wrong. What it leaves to serde and to the catalog's tests is whether each
//! value is of its kind.

use std::{fs, path::Path};

use serde::de::DeserializeOwned;

mod niche;
mod tier;

/// An id that data brings: `real-estate` becomes `RealEstate`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Id {
    /// As files and messages have it.
    pub name: String,
    /// One line for those who write specs.
    pub summary: String,
}

/// The ids of a complete catalog, in the order in which they are shown.
#[derive(Debug)]
pub(crate) struct Ids {
    tiers: Vec<Id>,
    niches: Vec<Id>,
}

/// The ids of the catalog in `folder`, or each part that is missing with what to add.
pub(crate) fn read(folder: &Path) -> Result<Ids, Vec<String>> {
    let mut findings = Findings(Vec::new());
    let tiers = tier::read(folder, &mut findings);
    let niches = niche::read(folder, &mut findings);
    if findings.0.is_empty() { Ok(Ids { tiers, niches }) } else { Err(findings.0) }
}

impl Ids {
    /// The code that makes `TierId`.
    pub(crate) fn tiers(&self) -> String {
        code("tiers", &self.tiers)
    }

    /// The code that makes `NicheId`.
    pub(crate) fn niches(&self) -> String {
        code("niches", &self.niches)
    }
}

/// `tiers! { Starter "starter" "One person who tries." }`: the macros beside the types know the rest.
fn code(name: &str, ids: &[Id]) -> String {
    let line = |id: &Id| format!("    {} {:?} {:?}\n", variant(&id.name), id.name, id.summary);
    format!("{name}! {{\n{}}}\n", ids.iter().map(line).collect::<String>())
}

fn variant(name: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    };
    name.split('-').map(capital).collect()
}

/// What was found to be missing, each with the file that it belongs to.
struct Findings(Vec<String>);

impl Findings {
    fn add(&mut self, path: &str, message: impl AsRef<str>) {
        self.0.push(format!("{path}: {}", message.as_ref()));
    }

    /// The text of a file that must be there and say something; `what` says what belongs into it.
    fn text(&mut self, folder: &Path, path: &str, what: &str) -> Option<String> {
        match fs::read_to_string(folder.join(path)) {
            Ok(text) if !text.trim().is_empty() => return Some(text),
            Ok(_) => self.add(path, format!("is empty: write {what}")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.add(path, format!("is missing: add {what}"));
            }
            Err(error) => self.add(path, error.to_string()),
        }
        None
    }

    /// The same as JSON.
    fn json<T: DeserializeOwned>(&mut self, folder: &Path, path: &str, what: &str) -> Option<T> {
        let text = self.text(folder, path, what)?;
        serde_json::from_str(&text).map_err(|error| self.add(path, error.to_string())).ok()
    }

    /// Refuses a name that cannot be an id.
    fn name(&mut self, path: &str, name: &str) {
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if !first || !name.split('-').all(word) {
            self.add(path, "is no id: write lower-case words with dashes, like real-estate");
        }
    }

    /// The line that becomes the id's description in schemas.
    fn summary(&mut self, path: &str, value: Option<&serde_json::Value>) -> String {
        let summary = value.and_then(serde_json::Value::as_str).unwrap_or_default();
        if summary.trim().is_empty() || summary.contains('\n') {
            self.add(path, "has no \"summary\": add one line in English that says whom it is for");
        }
        summary.to_owned()
    }
}
