//! `tenant show ID --cluster`: one page.

use anstyle::{AnsiColor, Style};
use comfy_table::Table;
use jiff::Timestamp;
use oc_domain::TenantId;
use serde_json::Value;

use super::{
    Cluster,
    list::{since, state},
    story::{ContainerStory, PodStory, Story},
    text, times,
};
use crate::{
    check::print_json,
    failure::Failure,
    tenant::{print, table},
};

const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default().bold();

/// Prints all that the cluster knows of a tenant, for people or as JSON.
pub(crate) fn show(id: &TenantId, json: bool) -> Result<(), Failure> {
    let cluster = Cluster::new()?;
    let story = cluster.wait(&format!("show {id}"), Story::read(cluster.client(), id))?;
    if story.is_empty() {
        return Err(Failure::Usage(format!("no tenant {id} in this cluster")));
    }
    if json {
        return print_json(&story);
    }
    Page { now: times::now() }.print(&story);
    Ok(())
}

/// A page of one moment.
struct Page {
    now: Timestamp,
}

impl Page {
    fn print(&self, story: &Story) {
        self.tenant(story);
        let conditions = story.tenant.as_ref().and_then(|t| t.pointer("/status/conditions"));
        self.conditions(conditions.and_then(Value::as_array).map_or(&[], Vec::as_slice));
        self.objects(story);
        self.pods(&story.pods);
        volumes(story);
        self.events(story);
    }

    fn tenant(&self, story: &Story) {
        let mut rows = table(["", ""]);
        let mut row = |name: &str, value: &str| {
            if !value.is_empty() {
                rows.add_row([name, value]);
            }
        };
        row("id", story.id.as_str());
        if let Some(tenant) = &story.tenant {
            let at = |pointer| text(tenant, pointer);
            row("phase", at("/status/phase"));
            row("state", &state(&tenant["spec"]));
            for name in ["tier", "niche", "locale", "model", "thinking"] {
                row(name, text(&tenant["spec"], &format!("/{name}")));
            }
            row("connections", &words(tenant.pointer("/spec/connections")));
            row("commit", at("/status/specCommit"));
            row("revision", at("/status/revision"));
            row("image", at("/status/image"));
            row("generation", &generation(tenant));
            row("age", &since(at("/metadata/creationTimestamp"), self.now));
            row("deleting", &since(at("/metadata/deletionTimestamp"), self.now));
        } else {
            row("tenant", "no such object: only what is left of it is shown");
        }
        match &story.namespace {
            Some(namespace) => {
                let revision = namespace.revision.as_deref();
                let revision = revision.map(|revision| format!(", on revision {revision}"));
                let phase = format!("{}{}", namespace.phase, revision.unwrap_or_default());
                row("namespace", &format!("{}: {phase}", namespace.name));
            }
            None => row("namespace", "none"),
        }
        print(&mut rows);
    }

    fn conditions(&self, conditions: &[Value]) {
        let mut rows = table(["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"]);
        for condition in conditions {
            let at = |field| text(condition, field).to_owned();
            let time = since(text(condition, "/lastTransitionTime"), self.now);
            rows.add_row([at("/type"), at("/status"), at("/reason"), time, at("/message")]);
        }
        section("conditions", rows);
    }

    fn objects(&self, story: &Story) {
        let mut rows = table(["KIND", "NAME", "AGE", ""]);
        for object in &story.objects {
            let deleting = if object.deleting { "on its way out" } else { "" };
            let age = self.age(object.created);
            rows.add_row([&object.kind, &object.name, &age, deleting]);
        }
        section("objects", rows);
    }

    fn pods(&self, pods: &[PodStory]) {
        let mut rows = table(["POD", "PHASE", "READY", "NODE", "AGE", ""]);
        for pod in pods {
            let ready = if pod.ready { "yes" } else { "no" };
            let deleting = if pod.deleting { "on its way out" } else { "" };
            let (node, age) = (pod.node.as_deref().unwrap_or("none"), self.age(pod.created));
            rows.add_row([&pod.name, &pod.phase, ready, node, &age, deleting]);
        }
        section("pods", rows);
        for pod in pods {
            for problem in &pod.problems {
                anstream::println!("  {RED}{problem}{RED:#}");
            }
            for container in &pod.containers {
                anstream::println!("  {}", self.container(container));
            }
        }
    }

    /// `gateway registry/image:1, ready, running since 5m, 2 restarts, last ended: OOMKilled, exit
    /// code 137, 6m ago`.
    fn container(&self, container: &ContainerStory) -> String {
        let ContainerStory { name, image, ready, restarts, state, .. } = container;
        let ready = if *ready { "ready" } else { "not ready" };
        let mut line = format!("{BOLD}{name}{BOLD:#} {image}: {ready}, {state}");
        if container.since.is_some() {
            line = format!("{line} since {}", self.age(container.since));
        }
        if *restarts > 0 {
            line = format!("{line}, restarts: {restarts}");
        }
        match &container.ended {
            Some(ended) => {
                format!("{line}, before that {ended}, {} ago", self.age(container.ended_at))
            }
            None => line,
        }
    }

    fn events(&self, story: &Story) {
        let mut rows = table(["AGO", "TYPE", "REASON", "ABOUT", "COUNT", "MESSAGE"]);
        for event in &story.events {
            rows.add_row([
                &self.age(event.at),
                &event.kind,
                &event.reason,
                &event.object,
                &event.count.to_string(),
                &event.message,
            ]);
        }
        section("events", rows);
    }

    fn age(&self, then: Option<Timestamp>) -> String {
        then.map(|then| times::age(then, self.now)).unwrap_or_default()
    }
}

/// Claims, and volumes below them.
fn volumes(story: &Story) {
    let mut rows = table(["CLAIM", "PHASE", "ASKED", "GIVEN", "CLASS", "VOLUME"]);
    for claim in &story.claims {
        rows.add_row([
            &claim.name,
            &claim.phase,
            &claim.asked,
            &claim.given,
            &claim.class,
            &claim.volume,
        ]);
    }
    section("claims", rows);
    let mut rows = table(["VOLUME", "PHASE", "SIZE", "AFTER ITS CLAIM", "CLAIM"]);
    for volume in &story.volumes {
        rows.add_row([
            &volume.name,
            &volume.phase,
            &volume.size,
            &volume.reclaim_policy,
            &volume.claim,
        ]);
    }
    section("volumes", rows);
}

/// Prints a table under an empty line, or that there is nothing.
fn section(name: &str, mut rows: Table) {
    anstream::println!();
    if rows.is_empty() {
        anstream::println!("no {name}");
    } else {
        print(&mut rows);
    }
}

/// `3`, or `3, of which 2 was seen`: the generation of the spec and of the status.
fn generation(tenant: &Value) -> String {
    let at = |pointer| tenant.pointer(pointer).and_then(Value::as_i64);
    match (at("/metadata/generation"), at("/status/observedGeneration")) {
        (Some(own), Some(seen)) if own != seen => format!("{own}, the status is of {seen}"),
        (own, _) => own.map(|own| own.to_string()).unwrap_or_default(),
    }
}

fn words(list: Option<&Value>) -> String {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}
