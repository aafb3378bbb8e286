use serde::{Deserialize, Serialize};

use super::{Embedded, embedded};

named! {
    /// An outside service that a tenant can connect.
    #[serde(rename_all = "lowercase")]
    #[strum(serialize_all = "lowercase")]
    pub enum ProviderId {
        /// GitHub.
        Github,
        /// Notion.
        Notion,
        /// Slack.
        Slack,
        /// Linear.
        Linear,
        /// Jira.
        Jira,
        /// Google Workspace.
        Google,
        /// Kintone.
        Kintone,
    }
}

/// How a customer proves to the provider that the agent may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// A consent page and a token that is refreshed.
    Oauth2,
    /// A key that the customer pastes.
    ApiKey,
    /// A user name and a token.
    Basic,
}

/// How Nango knows the provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nango {
    /// The key of our integration in Nango.
    pub integration: String,
    /// The template of Nango that the integration is made from.
    pub template: String,
}

/// How an MCP server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// One HTTP endpoint that may stream.
    StreamableHttp,
    /// Server-sent events.
    Sse,
}

/// A remote MCP server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mcp {
    /// Short name within the provider, which prefixes the names of its tools.
    pub name: String,
    /// Its endpoint.
    pub url: String,
    /// How it is spoken to.
    pub transport: Transport,
}

/// What the agent uses to reach the provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Server {
    /// Remote MCP servers of the provider.
    Mcp {
        /// The servers.
        servers: Vec<Mcp>,
    },
    /// An MCP server from npm that runs in the pod.
    McpPackage {
        /// Name on npm.
        package: String,
        /// Exact version.
        version: String,
    },
    /// A command or plain HTTP, without MCP.
    Native {
        /// The command.
        tool: String,
    },
}

/// One provider: how it is connected and which hosts it needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    /// Its name for customers.
    pub title: String,
    /// How it is authorised.
    pub auth: Auth,
    /// How Nango knows it.
    pub nango: Nango,
    /// What the agent uses.
    pub server: Server,
    /// Environment names that the seed's tools read their credential from.
    pub environment: Vec<String>,
    /// The hosts it needs, exact names: the egress list, and where the credential is put in.
    pub hosts: Vec<String>,
    /// Hosts that depend on the customer, with the part to fill in braces.
    pub tenant_hosts: Vec<String>,
    /// The day these facts were checked.
    pub checked: String,
    /// Where they come from.
    pub source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Providers {
    github: Provider,
    notion: Provider,
    slack: Provider,
    linear: Provider,
    jira: Provider,
    google: Provider,
    kintone: Provider,
}

static PROVIDERS: Embedded<Providers> =
    Embedded::new(|| embedded("providers.json", include_str!("../../catalog/providers.json")));

impl ProviderId {
    /// What the provider is.
    pub fn get(self) -> &'static Provider {
        match self {
            Self::Github => &PROVIDERS.github,
            Self::Notion => &PROVIDERS.notion,
            Self::Slack => &PROVIDERS.slack,
            Self::Linear => &PROVIDERS.linear,
            Self::Jira => &PROVIDERS.jira,
            Self::Google => &PROVIDERS.google,
            Self::Kintone => &PROVIDERS.kintone,
        }
    }
}
