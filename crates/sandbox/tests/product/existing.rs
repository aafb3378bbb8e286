//! The stack on a cluster that is there already, as with `--kubeconfig`.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use oc_domain::{Locale, NicheId};
use oc_testkit::{Cluster, Options};

use crate::{customer::Customer, support::Product};

#[tokio::test(flavor = "multi_thread")]
async fn agents_answer_on_a_cluster_that_is_there_already() {
    // Without a class of volumes, which the stack brings.
    let options = Options { simulated_nodes: false, storage_class: None, ..Options::default() };
    let cluster = Cluster::start(options).await.unwrap();
    let mut product = Product::start_on(Some(cluster.kubeconfig()), Duration::ZERO).await;
    let dora = Customer::arrive(&product, 3001, "dora", (NicheId::Pharmacy, Locale::En)).await;
    let answer = dora.ask(&product, "What is 20 + 22?").await;
    assert!(answer.contains("42"), "{answer}");
    let namespaces: Api<Namespace> = Api::all(cluster.client().unwrap());
    assert!(namespaces.get_opt(&dora.tenant.namespace()).await.unwrap().is_some());
    product.local.stop().await;
}
