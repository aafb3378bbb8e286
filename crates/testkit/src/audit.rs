//! The API server's audit log.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::Value;

/// One write to the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Who: the impersonated user where there is one.
    pub user: String,
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The plural, with its subresource: `pods`, `pods/status`.
    pub resource: String,
    /// Empty for what belongs to no namespace.
    pub namespace: String,
    /// Empty where the server draws the name.
    pub name: String,
    /// The HTTP status of the answer.
    pub status: u16,
}

/// All writes of a log; a line that is still being written is left out.
pub(crate) fn writes(log: &Path) -> Result<Vec<Write>> {
    let mut reader =
        BufReader::new(File::open(log).with_context(|| format!("opening {}", log.display()))?);
    let mut writes = Vec::new();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        writes
            .push(Write::from(&serde_json::from_slice(&line).context("a line of the audit log")?));
        line.clear();
    }
    Ok(writes)
}

impl From<&Value> for Write {
    fn from(event: &Value) -> Self {
        let find = |pointer| event.pointer(pointer).and_then(Value::as_str);
        let text = |pointer| find(pointer).unwrap_or_default().to_owned();
        let mut resource = text("/objectRef/resource");
        if let Some(part) = find("/objectRef/subresource") {
            resource = format!("{resource}/{part}");
        }
        let user = find("/impersonatedUser/username").or(find("/user/username"));
        let status =
            event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default();
        Self {
            user: user.unwrap_or_default().to_owned(),
            verb: text("/verb"),
            resource,
            namespace: text("/objectRef/namespace"),
            name: text("/objectRef/name"),
            status: status.try_into().unwrap_or_default(),
        }
    }
}
