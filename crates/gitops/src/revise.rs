//! A tenant's file before and after a change: pure.

use oc_domain::{
    Diagnostic, TenantId, document,
    fleet::parse_tenant,
    tenant::{State, TenantFile},
};
use serde_json::Value;

use crate::{
    change::{Change, body},
    edit::{self, Node},
};

/// What a change makes of a tenant's file.
pub(crate) enum Revised {
    Unchanged,
    Invalid(String),
    /// The new text, and what the commit says of it.
    File {
        text: String,
        body: String,
    },
}

/// The two places of a tenant's file, the one for new files first.
pub(crate) fn paths(tenant: &TenantId) -> Vec<String> {
    let mut paths = vec![tenant.path(), format!("tenants/{tenant}.json")];
    paths.dedup();
    paths
}

/// Applies `change` to the file at `path`, which may not be there yet.
pub(crate) fn revise(change: &Change, path: &str, file: Option<&str>) -> Revised {
    let revised = match (file, &change.create) {
        (Some(text), _) => edited(change, path, text),
        (None, Some(create)) => created(change, path, create),
        (None, None) => Err(format!("tenant {} has no file", change.tenant)),
    };
    revised.unwrap_or_else(Revised::Invalid)
}

fn edited(change: &Change, path: &str, text: &str) -> Result<Revised, String> {
    // Whoever broke the file is told in the words that they know.
    let mut node: Node = serde_json::from_str(text).map_err(|error| {
        let found = parse_tenant(path, text.as_bytes()).err();
        found.map_or(error.to_string(), |found| diagnosed(&found))
    })?;
    let was_deleted = state(&node) == Some(State::Deleted.to_string());
    let changes = edit::apply(&mut node, &change.edits)?;
    if changes.is_empty() {
        return Ok(Revised::Unchanged);
    }
    if was_deleted && state(&node) != Some(State::Deleted.to_string()) {
        return Err(format!("{} is deleted, which is final: make a new tenant", change.tenant));
    }
    let text = document::text(&node).map_err(|error| error.to_string())?;
    parse_tenant(path, text.as_bytes()).map_err(|found| diagnosed(&found))?;
    Ok(Revised::File { text, body: body(&changes) })
}

/// A new file has the order of keys of `tenant new`, whatever the order that the database kept.
fn created(change: &Change, path: &str, create: &Value) -> Result<Revised, String> {
    let mut node = Node::from(create);
    edit::apply(&mut node, &change.edits)?;
    let text = document::text(&node).map_err(|error| error.to_string())?;
    let tenant = parse_tenant(path, text.as_bytes()).map_err(|found| diagnosed(&found))?;
    let text = document::text(&TenantFile::new(tenant.id, tenant.spec));
    let text = text.map_err(|error| error.to_string())?;
    Ok(Revised::File { text, body: format!("{path} is new.") })
}

fn state(node: &Node) -> Option<String> {
    Some(node.value().pointer("/spec/state")?.as_str()?.to_owned())
}

pub(crate) fn diagnosed(found: &[Diagnostic]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
