//! `tenant list --cluster`.

use jiff::Timestamp;
use kube::{
    Api,
    api::{DynamicObject, ListParams},
    core::ApiResource,
};
use oc_domain::tenant::Tenant;
use serde_json::Value;

use super::{Cluster, all, plain, text, times};
use crate::{
    check::print_json,
    failure::{Failure, plural},
    tenant::{print, table},
};

/// Prints the tenants of the cluster whose specs are `wanted`, as a table or as they are.
pub(crate) fn list(wanted: impl Fn(&Value) -> bool, json: bool) -> Result<(), Failure> {
    let cluster = Cluster::new()?;
    let mut tenants = tenants(&cluster)?;
    tenants.retain(|tenant| wanted(&tenant["spec"]));
    if json {
        return print_json(&tenants);
    }
    let now = times::now();
    let header = ["ID", "TIER", "NICHE", "STATE", "PHASE", "READY", "REASON", "REVISION", "AGE"];
    let mut rows = table(header);
    for tenant in &tenants {
        let ready = condition(tenant, "Ready");
        let at = |pointer| text(tenant, pointer).to_owned();
        let of_ready = |field| ready.map_or("", |ready| text(ready, field)).to_owned();
        rows.add_row([
            at("/metadata/name"),
            at("/spec/tier"),
            at("/spec/niche"),
            state(&tenant["spec"]),
            at("/status/phase"),
            of_ready("/status"),
            of_ready("/reason"),
            at("/status/revision"),
            since(text(tenant, "/metadata/creationTimestamp"), now),
        ]);
    }
    print(&mut rows);
    anstream::eprintln!("{}", plural(tenants.len(), "tenant"));
    Ok(())
}

/// Every tenant of the cluster, in the order of their ids.
pub(crate) fn tenants(cluster: &Cluster) -> Result<Vec<Value>, Failure> {
    let kind = ApiResource::erase::<Tenant>(&());
    let api: Api<DynamicObject> = Api::all_with(cluster.client(), &kind);
    let tenants = all(ListParams::default(), async |page| api.list(page).await);
    let tenants = cluster.wait("list tenants", tenants)?;
    Ok(tenants.into_iter().map(|tenant| plain(tenant, &kind)).collect())
}

/// A condition of a tenant's status by its type.
pub(super) fn condition<'a>(tenant: &'a Value, name: &str) -> Option<&'a Value> {
    let conditions = tenant.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == name)
}

/// The state that a spec says, and that people hold it.
pub(super) fn state(spec: &Value) -> String {
    let state = text(spec, "/state");
    match text(spec, "/hold/reason") {
        "" => state.to_owned(),
        reason => format!("{state}, held: {reason}"),
    }
}

/// How long ago a time of the API was, or nothing where there is none.
pub(super) fn since(time: &str, now: Timestamp) -> String {
    time.parse().map(|then| times::age(then, now)).unwrap_or_default()
}
