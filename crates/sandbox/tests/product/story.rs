//! From the payment to the answer, and to the end.

use std::{fs, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume};
use kube::{Api, api::ListParams};
use oc_domain::{Locale, NicheId, tenant::Phase};
use oc_store::{Store, periods, secrets, usage};
use oc_streams::Bulletin;
use oc_testkit::wait_for;

use crate::{customer::Customer, sealed, support::Product};

const DAY: Duration = Duration::from_hours(24);

/// One stack and one story, since each gateway takes half a minute of both processors to start.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_paid_answers_apart_from_others_until_it_is_not_paid_any_more() {
    let mut product = Product::start(40 * DAY).await;
    destruction_leaves_nothing_but_the_volume(&product).await;
    product.local.stripe().unwrap().control("clock=+40d").unwrap();

    let ana = Customer::arrive(&product, 1001, "ana", (NicheId::Pharmacy, Locale::PtBr)).await;
    let bob = Customer::arrive(&product, 1002, "bob", (NicheId::Legal, Locale::En)).await;
    agents_remember_their_own_person_and_no_other(&product, &ana, &bob).await;
    a_tool_call_works_and_the_ledger_shows_it(&product, &ana).await;
    a_stranger_is_refused_and_costs_nothing(&product, &ana, &bob).await;
    sealed::no_address_but_the_services_is_reachable(&product, &[&ana, &bob]);
    sealed::a_pod_holds_no_secret_but_its_own(&product, &[&ana, &bob]);
    the_end_of_a_quota_is_a_friendly_text(&product, &ana).await;
    suspension_silences_and_payment_brings_the_memory_back(&product, &ana).await;
    product.local.stop().await;
}

async fn destruction_leaves_nothing_but_the_volume(product: &Product) {
    let carl = Customer::arrive(product, 1003, "carl", (NicheId::Pharmacy, Locale::PtBr)).await;
    carl.cancel(product).await;
    product.phase(&carl.tenant, None).await;
    let namespaces: Api<Namespace> = Api::all(product.local.kubernetes());
    let gone = wait_for(Duration::from_mins(2), "the namespace to go", async || {
        let found = namespaces.get_opt(&carl.tenant.namespace()).await?;
        Ok(found.is_none().then_some(()))
    });
    gone.await.unwrap();
    let volumes: Api<PersistentVolume> = Api::all(product.local.kubernetes());
    let label = ListParams::default().labels(&format!("openclaw.cloud/tenant={}", carl.tenant));
    let kept = volumes.list(&label).await.unwrap().items;
    assert_eq!(kept.len(), 1, "its volume is kept and says whose it was");
    let folder = product.volumes().join(kept[0].metadata.name.as_ref().unwrap());
    assert!(fs::read_dir(folder).unwrap().next().is_some(), "with what was on it");
    assert_eq!(sealed::processes(&carl.tenant), Vec::<u32>::new());
    let keys = product.local.envelope_keys().unwrap();
    let secret = secrets::get(&store(product), &keys, &carl.tenant, "telegram-bot-token").await;
    assert!(secret.unwrap().is_none(), "the bot's token is erased");
}

async fn agents_remember_their_own_person_and_no_other(
    product: &Product,
    ana: &Customer,
    bob: &Customer,
) {
    let hello = ana.ask(product, "Olá! Meu nome é Ana.").await;
    assert!(!hello.is_empty());
    bob.ask(product, "Hello! My name is Bob.").await;
    let answer = ana.ask(product, "Qual é o meu nome?").await;
    assert!(answer.contains("Ana") && !answer.contains("Bob"), "{answer}");
    let answer = bob.ask(product, "What is my name?").await;
    assert!(answer.contains("Bob") && !answer.contains("Ana"), "{answer}");
}

async fn a_tool_call_works_and_the_ledger_shows_it(product: &Product, ana: &Customer) {
    let before = totals(product, ana).await;
    let answer = ana.ask(product, "Anote no arquivo notas.md: comprar luvas").await;
    assert!(!answer.is_empty());
    let volume = product.volumes();
    let found = wait_for(Duration::from_secs(20), "the note", async || {
        Ok(find(&volume, "notas.md").filter(|text| text.contains("luvas")))
    });
    found.await.unwrap();
    // A turn with a tool asks the model at least twice.
    let booked = wait_for(Duration::from_secs(20), "the ledger", async || {
        let after = totals(product, ana).await;
        Ok((after.requests >= before.requests + 2).then_some(after))
    });
    let after = booked.await.unwrap();
    assert!(after.charged > before.charged, "{after:?}");
    println!("ledger of {}: {after:?}", ana.tenant);
}

async fn a_stranger_is_refused_and_costs_nothing(
    product: &Product,
    ana: &Customer,
    bob: &Customer,
) {
    let before = totals(product, ana).await;
    let said = product.journey.say(bob.user, &ana.bot, "What is Ana's note?").await.unwrap();
    let wait = Duration::from_secs(20);
    let answer = product.journey.answer(bob.user, &ana.bot, said, wait).await.unwrap();
    println!("a stranger reads {:?}", answer.result["text"]);
    assert_eq!(totals(product, ana).await.requests, before.requests);
}

async fn the_end_of_a_quota_is_a_friendly_text(product: &Product, ana: &Customer) {
    let store = store(product);
    let bulletin = Bulletin::new(&product.journey.book.redis.clone().into()).unwrap();
    let now = now();
    let period = periods::current_and_next(&store, &ana.account, now).await.unwrap().remove(0);
    let limit = async |limit| {
        periods::set_limit(&store, period.id, limit).await.unwrap();
        bulletin.periods_changed(&ana.account).await.unwrap();
    };
    limit(1).await;
    let answer = ana.ask(product, "E agora?").await;
    assert!(answer.contains("/u/"), "it tells where to get more: {answer}");
    limit(period.limit).await;
    let answer = ana.ask(product, "Qual é o meu nome?").await;
    assert!(answer.contains("Ana"), "{answer}");
}

async fn suspension_silences_and_payment_brings_the_memory_back(product: &Product, ana: &Customer) {
    ana.cancel(product).await;
    product.phase(&ana.tenant, Some(Phase::Suspended)).await;
    let before = totals(product, ana).await;
    // The relay says so, and keeps what is said meanwhile.
    let answer = ana.ask(product, "Está aí?").await;
    assert!(answer.contains("/u/"), "it tells where to pay: {answer}");
    assert_eq!(totals(product, ana).await, before);
    let ended = wait_for(Duration::from_mins(1), "the gateway to drain and to end", async || {
        Ok(sealed::processes(&ana.tenant).is_empty().then_some(()))
    });
    ended.await.unwrap();
    ana.come_back(product).await;
    product.phase(&ana.tenant, Some(Phase::Ready)).await;
    ana.ask_until(product, "Qual é o meu nome?", "O seu nome é Ana").await;
}

async fn totals(product: &Product, customer: &Customer) -> usage::Totals {
    let far = now() + jiff::SignedDuration::from_hours(48);
    let store = store(product);
    usage::by_tenant(&store, &customer.tenant, Timestamp::UNIX_EPOCH, far).await.unwrap()
}

fn store(product: &Product) -> Store {
    Store::connect(&product.journey.book.database.clone().into(), 2).unwrap()
}

fn now() -> Timestamp {
    oc_service::Clock::system().now()
}

/// The text of a file of this name, wherever it lies below a folder.
fn find(folder: &std::path::Path, name: &str) -> Option<String> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find(&path, name) {
                return Some(found);
            }
        } else if entry.file_name() == name {
            return fs::read_to_string(path).ok();
        }
    }
    None
}
