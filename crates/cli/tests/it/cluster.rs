//! `--cluster`: what runs, read from a real API server.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Secret},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use oc_testkit::{Cluster, Options, apply_strict};
use serde_json::{Value, json};

use crate::support::{Fleet, Run, finish, set, tenant_path};

mod lived;

const MANAGER: &str = "cli-test";
const ID: &str = "c-00000001";
const NAMESPACE: &str = "customer-c-00000001";
/// What no output may hold.
const HUSH: &str = "hush-hush";
const DIFF: &[&str] = &["diff", "--root", "fleet", "--cluster"];

/// A tenant of every tier, and one of each state.
fn fleet() -> Fleet {
    let fleet = Fleet::with_one_tenant();
    for tier in ["pro", "team", "individual", "business", "enterprise"] {
        fleet.tenant(&format!("tier-{tier}"), |tenant| set(tenant, "/spec/tier", json!(tier)));
    }
    fleet.tenant("c-rest0001", |tenant| set(tenant, "/spec/state", json!("suspended")));
    fleet.tenant("c-gone0001", |tenant| set(tenant, "/spec/state", json!("deleted")));
    fleet
}

/// An API server with the CRD, and with `fleet` applied as the operator does it.
async fn applied(fleet: &Fleet) -> Result<(Cluster, Client)> {
    let cluster = Cluster::start(Options::api_only()).await?;
    let client = cluster.client()?;
    apply_strict(&client, &oc_manifests::crds(), MANAGER).await?.clean()?;
    fleet.good(&["render", "--root", "fleet", "--out", "out"]);
    for entry in fs::read_dir(fleet.folder().join("out/tenants"))? {
        let path = entry?.path();
        let list: Value = serde_json::from_slice(&fs::read(&path)?)?;
        let mut objects = list["items"].as_array().context("a list")?.clone();
        let id = path.file_stem().and_then(|stem| stem.to_str()).context("a name")?;
        objects.push(serde_json::to_value(oc_manifests::secret(&id.parse()?, HUSH, "1"))?);
        objects.push(serde_json::from_str(&fleet.read(&tenant_path(id)))?);
        apply_strict(&client, &objects, MANAGER).await?.clean()?;
    }
    Ok((cluster, client))
}

/// Runs the binary with a kubeconfig.
fn run(fleet: &Fleet, kubeconfig: &Path, arguments: &[&str]) -> Run {
    let mut command = fleet.command(arguments);
    command.env("KUBECONFIG", kubeconfig).env("HOME", fleet.folder()).env("COLUMNS", "200");
    for proxy in ["HTTPS_PROXY", "https_proxy"] {
        // Loopback is reached without one whatever is set.
        command.env(proxy, "http://127.0.0.1:9");
    }
    let run = finish(command);
    for secret in [HUSH, "aHVzaC1odXNo"] {
        assert!(!(run.stdout.contains(secret) || run.stderr.contains(secret)), "{run:#?}");
    }
    run
}

fn good(fleet: &Fleet, cluster: &Cluster, arguments: &[&str]) -> String {
    let run = run(fleet, cluster.kubeconfig(), arguments);
    assert_eq!(run.code, 0, "{arguments:?}: {run:#?}");
    run.stdout
}

fn json_of(fleet: &Fleet, cluster: &Cluster, arguments: &[&str]) -> Value {
    serde_json::from_str(&good(fleet, cluster, &[arguments, &["--json"]].concat())).unwrap()
}

async fn merge<K>(api: &Api<K>, name: &str, patch: Value) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

/// The tenant's change in a report, if any.
fn of<'a>(report: &'a Value, id: &str) -> Option<&'a Value> {
    report["tenants"].as_array().unwrap().iter().find(|tenant| tenant["id"] == id)
}

/// Each change as `object pointer`.
fn places(tenant: &Value) -> Vec<String> {
    let place = |change: &Value| {
        let at = |field: &str| change[field].as_str().unwrap_or_default().to_owned();
        format!("{} {}", at("object"), at("pointer")).trim_end().to_owned()
    };
    tenant["changes"].as_array().unwrap().iter().map(place).collect()
}

#[tokio::test]
async fn a_cluster_that_is_as_the_fleet_says_differs_in_nothing() -> Result<()> {
    let fleet = fleet();
    let (cluster, client) = applied(&fleet).await?;
    let all = [DIFF, &["--exit-code"]].concat();
    assert_eq!(good(&fleet, &cluster, &all), "no change against the cluster\n");
    // What others add is theirs.
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let theirs = json!({
        "metadata": {"annotations": {"example.org/a": "b"}, "labels": {"example.org/c": "d"}},
        "spec": {"template": {"spec": {"containers": [
            {"name": "openclaw-gateway", "resources": {"claims": null}},
        ]}}},
    });
    let strategic = Patch::Strategic(theirs);
    deployments.patch("openclaw-gateway", &PatchParams::default(), &strategic).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let map = json!({"metadata": {"name": "kube-root-ca.crt"}});
    maps.create(&PostParams::default(), &serde_json::from_value(map)?).await?;
    assert_eq!(good(&fleet, &cluster, &all), "no change against the cluster\n");
    Ok(())
}

#[tokio::test]
async fn what_was_edited_added_and_removed_by_hand_is_told() -> Result<()> {
    let fleet = fleet();
    let (cluster, client) = applied(&fleet).await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    merge(&deployments, "openclaw-gateway", json!({"spec": {"replicas": 0}})).await?;
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), NAMESPACE);
    merge(&policies, "customer-isolation", json!({"spec": {"ingress": [{}]}})).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    secrets.delete("openclaw-config", &DeleteParams::default()).await?;
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), "customer-tier-pro");
    policies.delete("customer-isolation", &DeleteParams::default()).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "customer-tier-pro");
    let labels = json!({"app.kubernetes.io/managed-by": "openclaw-cloud"});
    let map = json!({"metadata": {"name": "left-over", "labels": labels}});
    maps.create(&PostParams::default(), &serde_json::from_value(map)?).await?;
    fs::remove_file(fleet.path(&tenant_path("tier-team")))?;
    fleet.tenant("c-new00001", |_| ());
    fleet.tenant("tier-business", |tenant| {
        set(tenant, "/spec/tier", json!("business"));
        set(tenant, "/spec/state", json!("deleted"));
    });
    fleet.tenant("c-rest0001", |tenant| set(tenant, "/spec/tier", json!("pro")));

    let report = json_of(&fleet, &cluster, DIFF);
    let found = |id: &str| places(of(&report, id).unwrap());
    let expected = [
        "Deployment openclaw-gateway /spec/replicas",
        "NetworkPolicy customer-isolation /spec/ingress",
        "Secret openclaw-config",
    ];
    assert_eq!(found(ID), expected);
    assert_eq!(found("tier-pro"), ["ConfigMap left-over", "NetworkPolicy customer-isolation"]);
    let what = |id: &str| of(&report, id).unwrap()["what"].clone();
    assert_eq!(what("tier-team"), "vanished");
    assert_eq!(what("c-new00001"), "added");
    assert_eq!(what("tier-business"), "deleted");
    assert_eq!(what("c-rest0001"), "changed");
    assert!(of(&report, "tier-enterprise").is_none() && of(&report, "c-gone0001").is_none());
    let run = run(&fleet, cluster.kubeconfig(), &[DIFF, &["--exit-code"]].concat());
    assert_eq!(run.code, 5, "{run:#?}");
    insta::assert_snapshot!(run.stdout);
    Ok(())
}

#[tokio::test]
async fn a_claim_that_is_larger_than_its_tier_stays_so() -> Result<()> {
    let fleet = fleet();
    let (cluster, client) = applied(&fleet).await?;
    // Downgraded: the operator keeps the size, in the quota too.
    fleet.tenant("tier-pro", |tenant| set(tenant, "/spec/tier", json!("starter")));
    let report = json_of(&fleet, &cluster, DIFF);
    let places = places(of(&report, "tier-pro").unwrap());
    assert!(
        places
            .iter()
            .any(|place| place.contains("/spec/hard/requests.memory")
                || place.contains("limits.memory")),
        "{places:?}"
    );
    assert!(!places.iter().any(|place| place.contains("storage")), "{places:?}");
    // The API keeps the form in which a quantity was written.
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client, NAMESPACE);
    let asked = claims.get("openclaw-state").await?.spec.and_then(|spec| spec.resources);
    assert_eq!(serde_json::to_value(asked)?["requests"]["storage"], "1Gi");
    Ok(())
}

/// The words of a page, line by line, with each age as `[age]`: so columns have no width.
fn ageless(page: &str) -> String {
    let is_age = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_digit())
            && word.ends_with(['s', 'm', 'h', 'd'])
            && word.chars().all(|c| c.is_ascii_digit() || "smhd".contains(c))
    };
    let word = |word: &str| {
        let bare = word.trim_end_matches(',');
        if is_age(bare) { word.replace(bare, "[age]") } else { word.to_owned() }
    };
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    page.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_page_tells_the_whole_story_of_a_tenant() -> Result<()> {
    let fleet = fleet();
    let (cluster, client) = applied(&fleet).await?;
    lived::lived(&client).await?;
    let page = good(&fleet, &cluster, &["tenant", "show", ID, "--cluster"]);
    insta::assert_snapshot!(ageless(&page));
    let story = json_of(&fleet, &cluster, &["tenant", "show", ID, "--cluster"]);
    assert_eq!(story["tenant"]["spec"]["tier"], "starter");
    assert_eq!(story["tenant"]["status"]["phase"], "Degraded");
    assert!(story["tenant"]["metadata"].get("managedFields").is_none());
    assert_eq!(story["namespace"]["revision"], "0123456789ab");
    assert_eq!(story["objects"].as_array().unwrap().len(), 8);
    assert_eq!(story["pods"][0]["containers"][0]["restarts"], 5);
    assert_eq!(story["volumes"][0]["name"], "volume-1");
    let reasons: Vec<&Value> =
        story["events"].as_array().unwrap().iter().map(|event| &event["reason"]).collect();
    assert_eq!(reasons, ["Degraded", "BackOff"]);
    assert_eq!(story["events"][1]["count"], 7);
    Ok(())
}

#[tokio::test]
async fn the_list_is_what_the_cluster_has_and_takes_the_filters() -> Result<()> {
    let fleet = fleet();
    let (cluster, client) = applied(&fleet).await?;
    lived::lived(&client).await?;
    // The files are not looked at: a fleet is not even needed.
    fs::remove_dir_all(fleet.path(""))?;
    let list = good(&fleet, &cluster, &["tenant", "list", "--cluster"]);
    let lines: Vec<Vec<&str>> = list.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 8, "{list}");
    assert_eq!(lines[0][..4], ["ID", "TIER", "NICHE", "STATE"]);
    let degraded = ["Degraded", "False", "OutOfMemory", "0123456789ab"];
    assert_eq!(lines[1][..8], [&[ID, "starter", "pharmacy", "active"][..], &degraded].concat());
    assert!(list.contains("suspended"));
    let resting = ["tenant", "list", "--cluster", "--state=suspended"];
    let resting = json_of(&fleet, &cluster, &resting);
    assert_eq!(resting.as_array().unwrap().len(), 1);
    assert_eq!(resting[0]["kind"], "Tenant");
    assert_eq!(resting[0]["metadata"]["name"], "c-rest0001");
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_fails_is_exit_code_3_and_says_why() -> Result<()> {
    let fleet = fleet();
    let cluster = Cluster::start(Options::api_only()).await?;
    let list = ["tenant", "list", "--cluster"];
    let failed = |kubeconfig: &Path, arguments: &[&str], says: &[&str]| {
        let run = run(&fleet, kubeconfig, arguments);
        assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{run:#?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
        for word in says {
            assert!(run.stderr.contains(word), "{word}: {run:#?}");
        }
    };
    failed(cluster.kubeconfig(), &list, &["list tenants", "openclaw-cloud crd"]);
    failed(cluster.kubeconfig(), DIFF, &["list tenants"]);
    apply_strict(&cluster.client()?, &oc_manifests::crds(), MANAGER).await?.clean()?;
    let unknown = run(&fleet, cluster.kubeconfig(), &["tenant", "show", ID, "--cluster"]);
    assert_eq!(unknown.code, 2, "{unknown:#?}");
    assert!(unknown.stderr.contains("no tenant c-00000001 in this cluster"), "{unknown:#?}");
    let nobody = cluster.kubeconfig_as("nobody", &["system:authenticated"])?;
    failed(&nobody, &list, &["does not let this login list tenants", "\"nobody\""]);
    failed(&nobody, &["tenant", "show", ID, "--cluster"], &["does not let this login"]);

    let text = fs::read_to_string(cluster.kubeconfig())?;
    let write = |name: &str, text: &str| {
        fs::write(fleet.folder().join(name), text)?;
        anyhow::Ok(fleet.folder().join(name))
    };
    failed(&write("broken", "{]")?, &list, &["the kubeconfig is not usable"]);
    failed(&fleet.folder().join("missing"), &list, &["no cluster is known", "missing"]);
    let address = text.split_once("https://").and_then(|(_, rest)| rest.split_once(['"', '\n']));
    let gone = text.replace(address.context("an address")?.0, "127.0.0.1:1");
    failed(&write("gone", &gone)?, &list, &["https://127.0.0.1:1 does not answer", "refused"]);
    // Certificates are read from the cluster's folder.
    drop(cluster);
    failed(&write("lost", &text)?, &list, &["the kubeconfig is not usable", "failed to read file"]);
    Ok(())
}

#[test]
fn the_cluster_and_a_commit_are_not_compared_with_at_once() {
    let fleet = Fleet::with_one_tenant();
    assert_eq!(fleet.run(&[DIFF, &["--against", "HEAD"]].concat()).code, 2);
    assert_eq!(fleet.run(&["diff", "--root", "fleet"]).code, 2);
}
