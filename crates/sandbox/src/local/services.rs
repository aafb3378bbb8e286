//! Our own services of a local stack: in what order they start, and with which options.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use serde_json::json;

use super::{Keys, Programs, outside::Outside};
use crate::Service;

/// What all of them are given.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    pub(super) programs: &'a Programs,
    pub(super) keys: &'a Keys,
    /// Where clones and logs lie.
    pub(super) folder: &'a Path,
    pub(super) database: &'a str,
    pub(super) redis: &'a str,
    pub(super) remote: &'a Path,
    pub(super) kubeconfig: &'a Path,
    pub(super) outside: &'a Outside,
    /// The usual ports, where they are free.
    pub(super) usual_ports: bool,
}

/// The services by name.
pub(super) type Services = BTreeMap<&'static str, Service>;

/// What is run, and at which port people expect it. Billing first: others tell where its links are.
const ALL: [(&str, u16); 4] =
    [("billing", 8093), ("token-proxy", 8080), ("channels", 8092), ("operator", 0)];

impl Setting<'_> {
    /// Starts them all, and waits until each says that it is ready.
    pub(super) async fn start(&self) -> Result<Services> {
        fs::create_dir_all(self.folder.join("logs"))?;
        self.write_upstreams()?;
        let mut services = Services::new();
        for (name, usual) in ALL {
            let port = if self.usual_ports { usual } else { 0 };
            let service = self.spawn(name, port, &services)?;
            services.insert(name, service);
        }
        try_join_all(services.iter().map(async |(name, service)| {
            service.ready().await.with_context(|| self.explain(name))
        }))
        .await?;
        Ok(services)
    }

    /// Starts one of them again at its address, after it has ended.
    pub(super) fn respawn(&self, name: &'static str, services: &mut Services) -> Result<()> {
        let gone = services.remove(name).with_context(|| format!("no service {name}"))?;
        let port = gone.port()?;
        drop(gone);
        let service = self.spawn(name, port, services)?;
        services.insert(name, service);
        Ok(())
    }

    fn spawn(&self, name: &str, port: u16, others: &Services) -> Result<Service> {
        let program = self.programs.find(&format!("oc-{name}"))?;
        let links = others.get("billing").map(|billing| format!("{}/u/", billing.url));
        let arguments = |port| self.arguments(name, port, links.unwrap_or_default());
        let kubeconfig = [("KUBECONFIG", self.kubeconfig)];
        let environment = if name == "operator" { &kubeconfig[..] } else { &[] };
        Service::spawn_at(port, &program, arguments, environment, &self.log(name))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }

    fn explain(&self, name: &str) -> String {
        let text = fs::read_to_string(self.log(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        let last = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
        format!("{name}; its log ends with\n{last}")
    }

    fn arguments(&self, name: &str, port: u16, links: String) -> Vec<String> {
        let key = |name: &str| self.keys.path(name).display().to_string();
        let file = |name: &str| self.folder.join(name).display().to_string();
        let listen = ("--listen", format!("127.0.0.1:{port}"));
        let database = ("--database-url", self.database.to_owned());
        let redis = ("--redis-url", self.redis.to_owned());
        let link_key = ("--link-key-file", key("links"));
        let upgrade = ("--upgrade-url", links);
        let internal = ("--internal-key-file", key("internal"));
        let remote = ("--fleet-remote", self.remote.display().to_string());
        let clone = ("--fleet-directory", file(&format!("{name}-fleet")));
        let url = format!("http://127.0.0.1:{port}");
        let own = match name {
            "token-proxy" => vec![
                listen,
                ("--name", name.to_owned()),
                ("--upstreams", file("upstreams.json")),
                ("--public-keys", key("public")),
                upgrade,
                link_key,
            ],
            "channels" => vec![
                listen,
                ("--public-keys", key("public")),
                ("--envelope-key-file", key("envelope")),
                ("--telegram-root", self.outside.telegram_root()),
                upgrade,
                internal,
                link_key,
            ],
            "billing" => vec![
                listen,
                ("--public-url", url.clone()),
                ("--webhook-secrets", key("webhook")),
                ("--admin-key-file", key("admin")),
                ("--stripe-key-file", key("stripe")),
                ("--stripe-url", self.outside.stripe_url()),
                internal,
                link_key,
                remote,
                clone,
            ],
            _ => vec![("--signing-key-file", key("signing")), remote, clone],
        };
        // The real Telegram reaches nothing here: it is polled then.
        let reached = name == "channels" && self.outside.telegram.is_some();
        let webhook = reached.then_some(("--public-url", url));
        let shared = [database, redis, ("--grace", "5s".to_owned())];
        let all = own.into_iter().chain(webhook).chain(shared);
        // It has no other verb.
        let verb = Some("serve").filter(|_| name != "token-proxy");
        let verb = verb.map(str::to_owned).into_iter();
        verb.chain(all.flat_map(|(name, value)| [name.to_owned(), value])).collect()
    }

    fn write_upstreams(&self) -> Result<()> {
        let root = self.outside.kimi_root();
        let upstreams = json!({"upstreams": [{
            "name": "moonshot",
            "openai": format!("{root}/v1"),
            "anthropic": format!("{root}/anthropic"),
            "balance": format!("{root}/v1/users/me/balance"),
            "keys": [{"name": "a", "file": self.keys.path("kimi")}],
            "models": {"kimi-coding/k2p5": {"name": "kimi-k2.6", "prices": [
                {"from": "2026-01-01", "input": 600, "cachedInput": 100, "output": 3000}]}},
        }]});
        Ok(fs::write(self.folder.join("upstreams.json"), upstreams.to_string())?)
    }
}
