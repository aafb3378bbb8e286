//! The configuration of the OpenClaw gateway, `openclaw.json`.
//!
//! Keys and values as measured on `openclaw@2026.9.6`; its own schema is strict. `${NAME}` is
//! OpenClaw's syntax for a variable: the agent fills these in when it writes the file, so that no
//! secret is in a ConfigMap and a rotated token needs no restart.

use oc_domain::{
    TenantSpec,
    catalog::{Server, Tool, Transport},
};
use serde_json::{Map, Value, json};

use super::{Context, data_plane};

/// The provider's id in the gateway: a neutral one, since a known name makes the gateway fetch a
/// plugin.
const PROVIDER: &str = "platform";
const TOKEN: &str = "${OPENCLAW_PLATFORM_TOKEN}";

impl Context<'_> {
    /// The file's text.
    pub(super) fn gateway(self) -> String {
        let mut config = json!({
            "gateway": {
                "mode": "local",
                "port": 18789,
                "bind": "loopback",
                "auth": { "mode": "token", "token": "${OPENCLAW_GATEWAY_TOKEN}" },
                "controlUi": { "enabled": false },
                "reload": { "mode": "hybrid" },
            },
            // The console is the log: files of it would fill `/tmp`.
            "logging": { "level": "silent", "consoleLevel": "info", "consoleStyle": "json" },
            "update": { "checkOnStart": false, "auto": { "enabled": false } },
            "telemetry": { "enabled": false },
            "discovery": { "mdns": { "mode": "off" } },
            "plugins": { "allow": ["telegram", "browser"], "slots": { "memory": "none" } },
            "models": self.models(),
            "agents": { "defaults": {
                "workspace": "${OPENCLAW_WORKSPACE_DIR}",
                "skipBootstrap": true,
                "model": {
                    "primary": format!("{PROVIDER}/{}", self.spec.model().get().alias),
                    "fallbacks": [],
                },
                "thinkingDefault": self.spec.thinking(),
                "timeoutSeconds": 300,
                "skills": [],
                "heartbeat": { "every": "0m" },
            }},
            "tools": tools(self.spec),
            // One session per person: by default all who write to a bot share one.
            "session": { "dmScope": "per-channel-peer" },
            "commands": {
                "native": false, "nativeSkills": false, "restart": false, "bash": false,
                "config": false, "plugins": false, "mcp": false, "debug": false,
            },
        });
        let mut add = |key: &str, value: Value| {
            if let Some(object) = config.as_object_mut() {
                object.insert(key.to_owned(), value);
            }
        };
        if self.spec.niche.get().tools.contains(&Tool::Browser) {
            add("browser", self.browser());
        }
        let servers = mcp_servers(self.spec);
        if !servers.is_empty() {
            add("mcp", json!({ "servers": servers }));
        }
        if self.spec.channels.telegram.enabled {
            add("channels", json!({ "telegram": self.telegram() }));
        }
        format!("{config:#}\n")
    }

    fn models(self) -> Value {
        let model = self.spec.model().get();
        let [token_proxy, ..] = data_plane(&self.inventory.cluster.data_plane);
        let input: &[&str] = if model.images { &["text", "image"] } else { &["text"] };
        json!({
            "mode": "replace",
            "catalogRefresh": { "enabled": false },
            "providers": { PROVIDER: {
                "baseUrl": format!("{}/v1", token_proxy.url()),
                "api": "openai-completions",
                // A header of our own and no key: a refusal then never puts the provider into
                // OpenClaw's cool-down.
                "headers": { "x-proxy-key": TOKEN },
                "timeoutSeconds": 300,
                "models": [{
                    "id": model.alias,
                    "name": model.title,
                    "reasoning": model.reasoning,
                    "input": input,
                    "cost": { "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0 },
                    "contextWindow": model.context_tokens,
                    "maxTokens": model.max_output_tokens,
                    "compat": { "maxTokensField": "max_tokens", "supportsReasoningEffort": true },
                }],
            }},
        })
    }

    fn browser(self) -> Value {
        let [_, _, browser_proxy, _] = data_plane(&self.inventory.cluster.data_plane);
        let (host, port) = (browser_proxy.host(), browser_proxy.port);
        json!({
            "enabled": true,
            "defaultProfile": "remote",
            "evaluateEnabled": false,
            "ssrfPolicy": { "allowedHostnames": [host] },
            "profiles": { "remote": {
                // The user name is for the log; the password is what counts.
                "cdpUrl": format!("http://agent:{TOKEN}@{host}:{port}"),
                "attachOnly": true,
            }},
        })
    }

    fn telegram(self) -> Value {
        let [_, channels, ..] = data_plane(&self.inventory.cluster.data_plane);
        json!({
            "enabled": true,
            // `<number>:<platform token>`: the relay knows the bot's real one.
            "botToken": "${OPENCLAW_TELEGRAM_TOKEN}",
            "apiRoot": channels.url(),
            // The relay alone decides who may speak: Telegram ids are personal data.
            "dmPolicy": "open",
            "allowFrom": ["*"],
            "groupPolicy": "disabled",
            "configWrites": false,
            "streaming": { "mode": "off" },
            "errorPolicy": "always",
        })
    }
}

/// Only what the niche lists, and the tools of the tenant's connections; never a shell.
fn tools(spec: &TenantSpec) -> Value {
    let mut allowed: Vec<String> = spec.niche.get().tools.iter().map(ToString::to_string).collect();
    if !mcp_servers(spec).is_empty() {
        allowed.push("bundle-mcp".to_owned());
    }
    json!({
        "profile": "minimal",
        "alsoAllow": allowed,
        "toolSearch": false,
        "exec": { "mode": "deny" },
        // `read` would otherwise open the agent's own secret.
        "fs": { "workspaceOnly": true },
    })
}

/// The MCP servers of the tenant's connections. The egress proxy puts the customer's own
/// credential in the place of the platform token.
fn mcp_servers(spec: &TenantSpec) -> Map<String, Value> {
    let mut servers = Map::new();
    for id in &spec.connections {
        let Server::Mcp { servers: remote } = &id.get().server else { continue };
        for server in remote {
            let transport = match server.transport {
                Transport::StreamableHttp => "streamable-http",
                Transport::Sse => "sse",
            };
            let entry = json!({
                "url": server.url,
                "transport": transport,
                "headers": { "Authorization": format!("Bearer {TOKEN}") },
            });
            servers.insert(server.name.clone(), entry);
        }
    }
    servers
}
