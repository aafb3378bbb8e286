//! A tenant: one agent installation, and the one file that says what it should be.
//!
//! [`TenantSpec`] is the file's `spec` and the spec of the custom resource at once; [`TenantFile`]
//! is the envelope as git holds it, stricter than Kubernetes' own: ids and choices, nothing else.

use std::{borrow::Cow, fmt, str::FromStr, sync::LazyLock};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;
use strum::{Display, VariantArray};

use crate::{
    catalog::{Locale, ModelId, NicheId, ProviderId, Thinking, TierId},
    diagnostic::Diagnostic,
    document::{self, Document},
};

/// The API group and version of [`Tenant`].
pub const API_VERSION: &str = "openclaw.cloud/v1alpha1";

/// The largest tenant file that is read, in bytes; a real one has about 400.
pub const MAX_FILE_BYTES: usize = 64 * 1024;

/// The name of a tenant: a DNS label of at most 40 characters.
///
/// Ids that we draw are `c-` and eight characters of Crockford's base32, see [`TenantId::draw`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TenantId(String);

/// The text that is no tenant id.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidTenantId(String);

impl TenantId {
    /// What an id looks like, for messages.
    pub const EXPECTED: &str = "at most 40 lower-case letters, digits and dashes that start and \
                                end with a letter or digit, like c-7f3k2m9q";
    const MAX: usize = 40;
    const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    /// The id that 40 random bits stand for.
    pub fn draw(random: [u8; 5]) -> Self {
        let bits = random.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let letters = (0..8).rev().map(|position| {
            let index = usize::try_from(bits >> (5 * position) & 31).unwrap_or_default();
            Self::CROCKFORD.get(index).copied().map_or('0', char::from)
        });
        Self(["c-".to_owned(), letters.collect()].concat())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The namespace of the tenant.
    pub fn namespace(&self) -> String {
        format!("customer-{self}")
    }

    /// Where `tenant new` puts the file, relative to the fleet's root.
    ///
    /// Drawn ids go to a folder by their first two characters, which keeps folders of a large fleet
    /// small; others lie flat.
    pub fn path(&self) -> String {
        match self.0.strip_prefix("c-").filter(|rest| rest.len() == 8).and_then(|r| r.get(..2)) {
            Some(folder) => format!("tenants/{folder}/{self}.json"),
            None => format!("tenants/{self}.json"),
        }
    }
}

impl FromStr for TenantId {
    type Err = InvalidTenantId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidTenantId(text.to_owned())) }
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidTenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a tenant id: expected {}", self.0, TenantId::EXPECTED)
    }
}

impl std::error::Error for InvalidTenantId {}

impl<'de> Deserialize<'de> for TenantId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for TenantId {
    fn schema_name() -> Cow<'static, str> {
        "TenantId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "tenant-id",
            "maxLength": Self::MAX,
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            "description": "The tenant's id, equal to the file's name without .json.",
        })
    }
}

/// A tenant file as git holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "Tenant")]
pub struct TenantFile {
    /// Always `openclaw.cloud/v1alpha1`.
    pub api_version: ApiVersion,
    /// Always `Tenant`.
    pub kind: Kind,
    /// The tenant's name and nothing else: labels and annotations would be a place for personal
    /// data.
    pub metadata: TenantMetadata,
    /// What the tenant should be.
    pub spec: TenantSpec,
}

/// The one API version of tenant files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ApiVersion {
    /// The first version.
    #[serde(rename = "openclaw.cloud/v1alpha1")]
    V1Alpha1,
}

/// The one kind of tenant files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Kind {
    /// A tenant.
    Tenant,
}

/// The metadata of a tenant file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantMetadata {
    /// The tenant's id.
    pub name: TenantId,
}

impl Document for TenantFile {
    fn schema() -> &'static Value {
        static SCHEMA: LazyLock<Value> = LazyLock::new(document::schema::<TenantFile>);
        &SCHEMA
    }

    /// What the schema demands beyond the types: the length of a reason, no connection twice.
    fn is_plain(&self) -> bool {
        let TenantSpec { connections, hold, .. } = &self.spec;
        let twice = |(at, one)| connections.iter().take(at).any(|other| other == one);
        hold.is_none() && !connections.iter().enumerate().any(twice)
    }
}

impl TenantFile {
    /// The file of a tenant.
    pub fn new(name: TenantId, spec: TenantSpec) -> Self {
        let metadata = TenantMetadata { name };
        Self { api_version: ApiVersion::V1Alpha1, kind: Kind::Tenant, metadata, spec }
    }

    /// Reads the bytes of the file at `path`.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        document::parse(path, bytes, MAX_FILE_BYTES)
    }
}

/// What a tenant should be: what was bought, what the agent knows, how it is reached.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "openclaw.cloud",
    version = "v1alpha1",
    kind = "Tenant",
    status = "TenantStatus",
    shortname = "oct",
    category = "openclaw",
    doc = "One agent installation: its desired state, as the fleet repository holds it.",
    printcolumn(name = "Tier", type_ = "string", json_path = ".spec.tier"),
    printcolumn(name = "Niche", type_ = "string", json_path = ".spec.niche"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(
        name = "Revision",
        type_ = "string",
        json_path = ".status.revision",
        priority = 1
    ),
    printcolumn(
        name = "Commit",
        type_ = "string",
        json_path = ".status.specCommit",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(
        "size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')"
    )
    .message("a tenant's name is a DNS label of at most 40 characters"),
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("oldSelf.state != 'deleted' || self.state == 'deleted'")
        .message("deleted is final: a later payment draws a new id")
)]
pub struct TenantSpec {
    /// What was bought.
    pub tier: TierId,
    /// What the agent knows.
    pub niche: NicheId,
    /// The language of prompts and messages.
    pub locale: Locale,
    /// The model, where it is not the catalog's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// How long the model thinks, where it is less than the tier allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// How people reach the agent.
    #[serde(default)]
    pub channels: Channels,
    /// Outside services that the agent may use; no duplicates.
    #[serde(default)]
    #[x_kube(merge_strategy = kube::core::ListMerge::Set)]
    #[schemars(extend("uniqueItems" = true))]
    pub connections: Vec<ProviderId>,
    /// Whether the agent runs, rests or is gone.
    pub state: State,
    /// Set by people alone: a held tenant is suspended whatever its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

/// The ways to reach an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// A Telegram bot of the tenant's own.
    #[serde(default)]
    pub telegram: Telegram,
}

/// The Telegram channel: its bot token lives in Postgres, never here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telegram {
    /// Whether the channel is on.
    pub enabled: bool,
}

/// The desired state of a tenant.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Display, VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum State {
    /// The agent runs.
    Active,
    /// Everything is there, nothing runs.
    Suspended,
    /// The namespace is removed. Final.
    Deleted,
}

/// Why people stopped a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The reason, without personal data: the file lies in git for ever.
    #[schemars(length(min = 1, max = 200))]
    pub reason: String,
}

impl TenantSpec {
    /// Whether the agent's pod should exist.
    pub fn runs(&self) -> bool {
        self.state == State::Active && self.hold.is_none()
    }

    /// The model that the agent uses.
    pub fn model(&self) -> ModelId {
        self.model.unwrap_or_default()
    }

    /// How long the model thinks: the tenant's choice, else the tier's.
    pub fn thinking(&self) -> Thinking {
        self.thinking.unwrap_or(self.tier.get().thinking)
    }
}

/// What the operator saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    /// Where in its life the tenant is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// What holds true of it, with reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that the rest describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The commit of the fleet repository that the spec came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec_commit: Option<String>,
    /// The gateway image that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The revision of the renderer that was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When that revision came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revised_at: Option<Time>,
    /// A digest of the objects that were applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rendered: Option<String>,
    /// A digest of the fields that the operator owned right after that: another one is drift.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<String>,
}

/// Where in its life a tenant is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Display, VariantArray,
)]
pub enum Phase {
    /// Seen, nothing applied yet.
    Pending,
    /// Applied, not ready for the first time.
    Provisioning,
    /// Answers.
    Ready,
    /// Was ready and is not now.
    Degraded,
    /// Nothing runs, data kept.
    Suspended,
    /// On its way out.
    Deleting,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_ids_are_valid_and_sorted_into_folders() {
        assert_eq!(TenantId::draw([0; 5]).as_str(), "c-00000000");
        let last = TenantId::draw([255; 5]);
        assert_eq!(last.as_str(), "c-zzzzzzzz");
        assert_eq!(last.as_str().parse(), Ok(last.clone()));
        assert_eq!(last.path(), "tenants/zz/c-zzzzzzzz.json");
        assert_eq!("acme".parse::<TenantId>().unwrap().path(), "tenants/acme.json");
    }

    #[test]
    fn names_that_kubernetes_would_refuse_are_no_ids() {
        for text in ["", "-a", "a-", "A", "a.b", "a_b", "ç", &"a".repeat(41)] {
            assert!(text.parse::<TenantId>().is_err(), "{text:?}");
        }
    }
}
