//! What is wrong with an input, where, and what to do about it.

use std::fmt;

use serde::Serialize;

/// How much a finding matters: an error refuses the input, a warning does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The input is refused.
    Error,
    /// The input is accepted, and probably not what its author wants.
    Warning,
}

/// One finding about one place in one file.
///
/// The order (file, pointer, severity, message) is the order in which findings are shown, so that
/// two runs over the same files print the same lines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// Path relative to the fleet's root.
    pub file: String,
    /// RFC 6901 pointer into the file; empty for the whole document.
    pub pointer: String,
    /// Error or warning.
    pub severity: Severity,
    /// What was found and what was expected.
    pub message: String,
    /// What to do, where that is known: the nearest valid name, the tier that would allow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at `pointer` in `file`.
    pub fn error(file: &str, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            pointer: pointer.into(),
            severity: Severity::Error,
            message: message.into(),
            help: None,
        }
    }

    /// A warning at `pointer` in `file`.
    pub fn warning(file: &str, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(file, pointer, message) }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds "did you mean" where one of `known` is near to `found`.
    #[must_use]
    pub fn suggest<'a>(self, found: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(found, known) {
            Some(name) => self.help(format!("did you mean {name:?}?")),
            None => self,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.file)?;
        if !self.pointer.is_empty() {
            write!(f, ": {}", self.pointer)?;
        }
        write!(f, ": {}", self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

/// The name of `known` that `found` is most likely a slip of: at most a third of its letters differ,
/// or it is the beginning of that name alone.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Text that is no name at all (a pasted file) is not worth comparing.
    if found.len() > 64 {
        return None;
    }
    let folded = found.to_lowercase();
    let allowed = (folded.chars().count() / 3).max(1);
    let known: Vec<&str> = known.into_iter().collect();
    let near = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&folded, &name.to_lowercase()), *name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name);
    let mut begun = known.iter().filter(|name| name.to_lowercase().starts_with(&folded));
    near.or_else(|| match (folded.len() > 2, begun.next(), begun.next()) {
        (true, Some(name), None) => Some(*name),
        _ => None,
    })
}

/// Appends `token` to an RFC 6901 pointer, escaped.
pub fn child(pointer: &str, token: &str) -> String {
    format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"))
}

/// `"a", "b" or "c"`: how a set of names reads in a message.
pub fn alternatives<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("{name:?}")).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_different_word_is_not() {
        let tiers = ["starter", "pro", "team"];
        assert_eq!(nearest("startr", tiers), Some("starter"));
        assert_eq!(nearest("PRO", tiers), Some("pro"));
        assert_eq!(nearest("star", tiers), Some("starter"));
        assert_eq!(nearest("platinum", tiers), None);
    }

    #[test]
    fn pointers_are_escaped() {
        assert_eq!(child("/nodes/0/labels", "a/b~c"), "/nodes/0/labels/a~1b~0c");
    }
}
