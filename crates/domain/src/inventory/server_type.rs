use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};

/// A processor architecture, as images and Kubernetes name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86, 64 bits.
    Amd64,
    /// Arm, 64 bits.
    Arm64,
}

/// What a server of a type has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerType {
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Gibibytes of memory.
    pub memory_gib: u32,
    /// Gibibytes of local disk.
    pub disk_gib: u32,
    /// Its processors.
    pub arch: Arch,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[expect(dead_code, reason = "for the reader of the file: when the table was true")]
    checked: String,
    #[expect(dead_code, reason = "for the reader of the file: who said so")]
    source: String,
    types: BTreeMap<String, ServerType>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_str!("../../catalog/server-types.json");
    #[expect(clippy::expect_used, reason = "a test reads the table")]
    serde_json::from_str(text).expect("catalog/server-types.json")
});

/// Every server type that we know, by name.
pub fn server_types() -> &'static BTreeMap<String, ServerType> {
    &TABLE.types
}

/// The server type of that name.
pub fn server_type(name: &str) -> Option<ServerType> {
    TABLE.types.get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read() {
        let cx43 = ServerType { vcpus: 8, memory_gib: 16, disk_gib: 160, arch: Arch::Amd64 };
        assert_eq!(server_type("cx43"), Some(cx43));
        assert!(server_types().len() > 10);
    }
}
