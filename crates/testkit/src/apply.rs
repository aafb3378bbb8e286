//! Server-side apply that nothing slips through: unknown fields are refused, and warnings are kept.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Resource,
    api::{DynamicObject, Patch, PatchParams},
    client::Body,
    core::{GroupVersionKind, Request},
    discovery::{ApiCapabilities, ApiResource, Discovery, Scope},
};
use serde::Serialize;
use serde_json::Value;

use crate::wait_for;

/// What the API said to a list of objects.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The objects as the API keeps them.
    pub applied: Vec<Value>,
    /// Each warning of the API, after the object that it is about.
    pub warnings: Vec<String>,
    /// Each object that was refused, and why.
    pub refused: Vec<String>,
}

impl Report {
    /// The applied objects, or an error that lists every refusal and every warning.
    pub fn clean(self) -> Result<Vec<Value>> {
        let complaints = [self.refused, self.warnings].concat();
        if !complaints.is_empty() {
            bail!("the API complains:\n{}", complaints.join("\n"));
        }
        Ok(self.applied)
    }
}

/// Applies `objects` in their order as `field_manager`, with strict field validation.
///
/// After a `CustomResourceDefinition` it waits until its kind is served. One refused object does
/// not keep the others back: the report has all of them. An error is what made the API unusable.
pub async fn apply_strict<T: Serialize>(
    client: &Client,
    objects: &[T],
    field_manager: &str,
) -> Result<Report> {
    let mut session = Session {
        client,
        params: PatchParams::apply(field_manager).force().validation_strict(),
        discovery: Discovery::new(client.clone()).run_aggregated().await?,
        new_groups: BTreeSet::new(),
        report: Report::default(),
    };
    for object in objects {
        session.apply(&serde_json::to_value(object)?).await?;
    }
    Ok(session.report)
}

struct Session<'a> {
    client: &'a Client,
    params: PatchParams,
    discovery: Discovery,
    /// Groups of the definitions that this session applied, whose kinds may be served a little
    /// later.
    new_groups: BTreeSet<String>,
    report: Report,
}

impl Session<'_> {
    async fn apply(&mut self, object: &Value) -> Result<()> {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        let (namespace, name) =
            (text("/metadata/namespace"), text("/metadata/name").unwrap_or_default());
        let kind = kind(text("/apiVersion").unwrap_or_default(), text("/kind").unwrap_or_default());
        let title = [kind.kind.as_str(), " ", namespace.unwrap_or_default(), "/", name]
            .concat()
            .replace(" /", " ");
        let Some((resource, capabilities)) = self.resolve(&kind).await? else {
            self.report.refused.push(format!(
                "{title}: the API serves no {} of {}",
                kind.kind,
                kind.api_version()
            ));
            return Ok(());
        };
        if capabilities.scope == Scope::Namespaced && namespace.is_none() {
            self.report.refused.push(format!("{title}: it names no namespace"));
            return Ok(());
        }
        let path = DynamicObject::url_path(&resource, namespace);
        if self.send(&title, &path, name, object).await? && kind.kind == "CustomResourceDefinition"
        {
            self.established(name).await?;
            self.new_groups.extend(text("/spec/group").map(str::to_owned));
        }
        Ok(())
    }

    /// Applies one object; whether the API took it.
    async fn send(&mut self, title: &str, path: &str, name: &str, object: &Value) -> Result<bool> {
        let request = Request::new(path).patch(name, &self.params, &Patch::Apply(object));
        let request = request.with_context(|| format!("a request for {title}"))?;
        // The typed calls of kube's client drop the headers, and warnings are headers.
        let answer = self
            .client
            .send(request.map(Body::from))
            .await
            .with_context(|| format!("applying {title}"))?;
        let warnings = answer.headers().get_all("warning").iter();
        let warnings = warnings.map(|header| unquote(&String::from_utf8_lossy(header.as_bytes())));
        self.report.warnings.extend(warnings.map(|warning| format!("{title}: {warning}")));
        let accepted = answer.status().is_success();
        let body: Value = serde_json::from_slice(&answer.into_body().collect_bytes().await?)?;
        if accepted {
            self.report.applied.push(body);
        } else {
            let message =
                body.get("message").and_then(Value::as_str).unwrap_or("refused without a message");
            self.report.refused.push(format!("{title}: {message}"));
        }
        Ok(accepted)
    }

    async fn resolve(
        &mut self,
        kind: &GroupVersionKind,
    ) -> Result<Option<(ApiResource, ApiCapabilities)>> {
        let known = self.discovery.resolve_gvk(kind);
        if known.is_some() || !self.new_groups.contains(&kind.group) {
            return Ok(known);
        }
        let what = format!("{} of {} to be served", kind.kind, kind.api_version());
        let found = wait_for(Duration::from_secs(10), &what, async || {
            self.discovery = Discovery::new(self.client.clone()).run_aggregated().await?;
            Ok(self.discovery.resolve_gvk(kind))
        });
        found.await.map(Some)
    }

    async fn established(&self, name: &str) -> Result<()> {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        wait_for(Duration::from_secs(10), &format!("{name} to be established"), async || {
            let status = definitions.get(name).await?.status.unwrap_or_default();
            let mut conditions = status.conditions.iter().flatten();
            Ok(conditions.any(|c| c.type_ == "Established" && c.status == "True").then_some(()))
        })
        .await
    }
}

fn kind(api_version: &str, kind: &str) -> GroupVersionKind {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    GroupVersionKind::gvk(group, version, kind)
}

/// The text of a `Warning` header, which is `299 - "text"`.
fn unquote(header: &str) -> String {
    let text =
        header.split_once('"').map_or(header, |(_, rest)| rest.strip_suffix('"').unwrap_or(rest));
    text.replace("\\\"", "\"").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::unquote;

    #[test]
    fn a_warning_is_read_from_its_header() {
        assert_eq!(unquote(r#"299 - "unknown field \"spec.x\"""#), r#"unknown field "spec.x""#);
        assert_eq!(unquote("odd"), "odd");
    }
}
