//! A change of one tenant, and how git remembers it.

use std::{collections::BTreeMap, fmt::Write as _};

use oc_domain::TenantId;
use serde_json::Value;

use crate::{edit::Changed, oid::Oid};

/// The trailers of our commits.
pub(crate) const CHANGE_ID: &str = "Change-Id";
pub(crate) const EVENT: &str = "Event";
pub(crate) const TRACE: &str = "Trace";

/// The longest subject and the longest value in a message, in characters.
const LINE: usize = 100;

/// What shall become of a tenant, and why.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its row in `spec_changes`: no two commits carry the same.
    pub id: i64,
    /// The tenant.
    pub tenant: TenantId,
    /// JSON pointers into the tenant's file, and what is put there; nothing removes the field. They
    /// are applied in the order of the pointers. Lists are put as a whole.
    pub edits: BTreeMap<String, Option<Value>>,
    /// The whole file to begin with, where the tenant has none. Without it, a tenant without a file
    /// is [`Outcome::Invalid`].
    pub create: Option<Value>,
    /// Stripe's event, where one led here.
    pub event: Option<String>,
    /// The trace id of the story.
    pub trace: String,
    /// The subject line after the tenant's id, as `tier pro, state active`; no personal data.
    pub reason: String,
    /// The first tip that this change was attempted on, as the callback of
    /// [`Fleet::apply`](crate::Fleet::apply) was told; set for a change that may have been pushed
    /// by a call that did not return its outcome. The first: its commit may be anywhere since.
    pub attempted: Option<Oid>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on the remote's branch, by this commit.
    Committed(Oid),
    /// The file said so already; there is no commit.
    Unchanged,
    /// The file would not be a valid tenant, or the change means no file; there is no commit. For
    /// people: every error at once.
    Invalid(String),
}

impl Change {
    /// The commit message.
    pub(crate) fn message(&self, body: &str) -> String {
        let mut message = cut(&format!("{}: {}", self.tenant, line(&self.reason)));
        let _ = write!(message, "\n\n{body}\n\n{CHANGE_ID}: {}\n", self.id);
        for (name, value) in [(EVENT, self.event.as_deref()), (TRACE, Some(self.trace.as_str()))] {
            if let Some(value) = value.map(line).filter(|value| !value.is_empty()) {
                let _ = writeln!(message, "{name}: {value}");
            }
        }
        message
    }
}

/// The body of a commit that edits a file: a line for each field.
pub(crate) fn body(changes: &[Changed<'_>]) -> String {
    let value = |value: Option<&Value>| cut(&value.map_or("none".to_owned(), Value::to_string));
    let line = |change: &Changed<'_>| {
        format!("{}: {} -> {}", change.pointer, value(change.before.as_ref()), value(change.after))
    };
    changes.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// One line: a line end in it could look like a trailer.
fn line(text: &str) -> String {
    text.split(char::is_control).collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(LINE).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_change_makes_a_trailer() {
        let change = Change {
            id: 7,
            tenant: "c-7f3k2m9q".parse().unwrap(),
            edits: BTreeMap::new(),
            create: None,
            event: Some("evt_1\nChange-Id: 8".to_owned()),
            trace: "4bf9".to_owned(),
            reason: "tier pro\n\nChange-Id: 9\n".to_owned(),
            attempted: None,
        };
        assert_eq!(
            change.message("a body"),
            "c-7f3k2m9q: tier pro  Change-Id: 9\n\na body\n\nChange-Id: 7\n\
             Event: evt_1 Change-Id: 8\nTrace: 4bf9\n",
        );
    }
}
