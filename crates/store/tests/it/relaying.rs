//! Bots, chats and messages on their way.

use jiff::SignedDuration;
use oc_domain::TenantId;
use oc_store::{
    Error, Store,
    bots::{self, NewBot},
    chats::{self, Bound},
    reviews::{self, Review},
    secrets::{KeyFile, Vault, rotate_data_key},
    tenants,
    updates::{self, Incoming, Offset, Receipt, Waiting},
};
use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use tokio::task::JoinSet;

use crate::support::{
    chat, connect, customer, database, new_tenant, now, review, set_bot, sql, tenant, update,
};

const KEY: &str = "one AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";

pub(crate) fn keys() -> KeyFile {
    KEY.parse().unwrap()
}

/// A database with the tenants `c-0` and so on, each with a bot.
pub(crate) async fn relay(count: i64) -> (Store, String, Vault) {
    let (store, url) = database().await;
    let one = customer(&store, "one").await;
    let ids: Vec<String> = (0..count).map(|number| format!("c-{number}")).collect();
    let tenants = ids.iter().map(|id| new_tenant(id)).collect();
    let first = Review { tenants, agents: None, ..review(&one, 0) };
    reviews::commit(&store, &first).await.unwrap();
    for (number, id) in ids.iter().enumerate() {
        set_bot(&store, &keys(), &tenant(id), 100 + i64::try_from(number).unwrap()).await;
    }
    (store, url, Vault::new(keys()))
}

pub(crate) async fn receive(store: &Store, vault: &Vault, incoming: &[Incoming]) -> Vec<Receipt> {
    updates::receive(store, vault, incoming, now()).await.unwrap()
}

pub(crate) async fn fetch(
    store: &Store,
    vault: &Vault,
    id: &TenantId,
    from: Offset,
) -> Vec<Waiting> {
    updates::fetch(store, vault, id, from, 100, now()).await.unwrap().waiting
}

pub(crate) fn seqs(waiting: &[Waiting]) -> Vec<i64> {
    waiting.iter().map(|one| one.seq).collect()
}

fn new(seq: i64) -> Receipt {
    Receipt::New { seq, counted: false }
}

#[tokio::test]
async fn another_real_bot_gets_another_number_and_another_token_does_not() {
    let (store, _, _) = relay(2).await;
    let one = tenant("c-0");
    let first = bots::find(&store, &one).await.unwrap().unwrap();
    let again = set_bot(&store, &keys(), &one, 100).await;
    assert_eq!((again.number, &again.webhook_path), (first.number, &first.webhook_path));
    assert!(again.version > first.version);
    let other = set_bot(&store, &keys(), &one, 200).await;
    assert!(other.number > again.number && other.webhook_path != again.webhook_path);
    let back = set_bot(&store, &keys(), &one, 100).await;
    assert!(back.number > other.number);
    let taken = NewBot {
        telegram_id: 101,
        username: "theirs",
        token: &"101:x".into(),
        webhook_path: "other",
    };
    let error = bots::set(&store, &keys(), &one, &taken, now()).await.unwrap_err();
    assert!(matches!(error, Error::BotTaken(name) if name == "theirs"));
    let desk = bots::desk(&store, &keys(), &one).await.unwrap().unwrap();
    let (bot, secret) = desk.bot.unwrap();
    assert_eq!((bot, secret.expose_secret()), (back, "100:hush"));
    assert!(bots::remove(&store, &one).await.unwrap());
    assert!(!bots::remove(&store, &one).await.unwrap());
    assert_eq!(bots::number(&store, &one).await.unwrap(), 0);
    assert!(bots::desk(&store, &keys(), &one).await.unwrap().unwrap().bot.is_none());
    assert!(bots::desk(&store, &keys(), &tenant("c-9")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_code_binds_once_and_within_the_tiers_number_of_people() {
    let (store, _, _) = relay(2).await;
    let one = tenant("c-0");
    let hour = SignedDuration::from_hours(1);
    for code in 1..=4 {
        chats::add_code(&store, &one, &[code; 32], hour, now()).await.unwrap();
    }
    let bind = async |id: &TenantId, code, user, most| {
        chats::bind(&store, id, &[code; 32], &chat(user), most).await.unwrap()
    };
    assert_eq!(bind(&tenant("c-1"), 1, 5, Some(1)).await, Bound::NoSuchCode);
    assert_eq!(bind(&one, 1, 5, Some(1)).await, Bound::Bound);
    assert_eq!(bind(&one, 1, 5, Some(1)).await, Bound::NoSuchCode);
    assert_eq!(bind(&one, 2, 6, Some(1)).await, Bound::Full);
    assert_eq!(bind(&one, 2, 6, Some(2)).await, Bound::Bound);
    // Whoever is bound takes no other place.
    assert_eq!(bind(&one, 3, 6, Some(2)).await, Bound::Bound);
    let mut late = chat(7);
    late.bound_at = now() + hour;
    let late = chats::bind(&store, &one, &[4; 32], &late, None).await.unwrap();
    assert_eq!(late, Bound::NoSuchCode);
    let users: Vec<i64> =
        chats::list(&store, &one).await.unwrap().iter().map(|c| c.user_id).collect();
    assert_eq!(users, [5, 6]);
}

#[tokio::test]
async fn two_who_follow_links_at_once_do_not_both_get_the_last_place() {
    let (store, url, _) = relay(1).await;
    let one = tenant("c-0");
    let mut tasks = JoinSet::new();
    for user in 1..=8_u8 {
        chats::add_code(&store, &one, &[user; 32], SignedDuration::from_hours(1), now())
            .await
            .unwrap();
        let (store, one) = (connect(&url), one.clone());
        tasks.spawn(async move {
            chats::bind(&store, &one, &[user; 32], &chat(user.into()), Some(3)).await.unwrap()
        });
    }
    let bound = tasks.join_all().await;
    assert_eq!(bound.iter().filter(|bound| **bound == Bound::Bound).count(), 3, "{bound:?}");
}

#[tokio::test]
async fn updates_come_back_as_they_came_in_order_and_once() {
    let (store, url, vault) = relay(2).await;
    let (one, two) = (tenant("c-0"), tenant("c-1"));
    let batch = [update("c-0", 1, 12), update("c-1", 2, 12), update("c-0", 1, 11)];
    assert_eq!(receive(&store, &vault, &batch).await, [new(2), new(1), new(1)]);
    let again = [update("c-0", 1, 12), update("c-0", 1, 13), update("c-0", 1, 13)];
    assert_eq!(receive(&store, &vault, &again).await, [Receipt::Known, new(3), new(3)]);
    let waiting = fetch(&store, &vault, &one, Offset::First).await;
    assert_eq!(seqs(&waiting), [1, 2, 3]);
    assert_eq!(waiting[0].body, update("c-0", 1, 11).body);
    let stored = sql(&url, "select string_agg(updates::text, ' ') from updates").await;
    // "message" as Postgres shows bytes.
    assert!(!stored.contains("6d657373616765"), "{stored}");
    assert_eq!(seqs(&fetch(&store, &vault, &one, Offset::Seq(3)).await), [3]);
    assert_eq!(updates::count(&store, &one).await.unwrap(), 1);
    assert_eq!(seqs(&fetch(&store, &vault, &two, Offset::First).await), [1]);
    // Another bot's numbers are others.
    assert_eq!(receive(&store, &vault, &[update("c-0", 9, 12)]).await, [new(4)]);
    assert_eq!(receive(&store, &vault, &[update("c-0", 1, 11)]).await, [Receipt::Known]);
    // Without its bot a tenant has nothing, and its numbers go on.
    bots::remove(&store, &two).await.unwrap();
    assert!(fetch(&store, &vault, &two, Offset::First).await.is_empty());
    assert_eq!(receive(&store, &vault, &[update("c-1", 2, 12)]).await, [new(2)]);
}

#[tokio::test]
async fn replicas_that_write_at_once_never_let_a_number_become_visible_late() {
    let (store, url, _) = relay(3).await;
    let mut tasks = JoinSet::new();
    for replica in 0..4_i64 {
        let url = url.clone();
        tasks.spawn(async move {
            let (store, vault) = (connect(&url), Vault::new(keys()));
            for batch in 0..25 {
                let id = |n: i64| replica * 1000 + batch * 10 + n;
                // Every update by two replicas, tenants in another order in each.
                let mut all: Vec<Incoming> = (0..3)
                    .flat_map(|n| (0..3).map(move |t| (t, n)))
                    .map(|(t, n)| update(&format!("c-{t}"), 1, id(n) % 2000))
                    .collect();
                if replica % 2 == 0 {
                    all.reverse();
                }
                receive(&store, &vault, &all).await;
            }
        });
    }
    let vault = Vault::new(keys());
    let one = tenant("c-0");
    let mut next = 1;
    while next <= 150 {
        for seen in fetch(&store, &vault, &one, Offset::Seq(next)).await {
            // A gap would be filled later, and lost.
            assert_eq!(seen.seq, next);
            next += 1;
        }
    }
    tasks.join_all().await;
    let left = fetch(&store, &vault, &one, Offset::Seq(next)).await;
    assert!(left.is_empty(), "{left:?}");
    let distinct =
        "select count(*) || ' ' || count(distinct (tenant_id, update_id)) || ' ' || max(seq)
        from updates";
    assert_eq!(sql(&url, distinct).await, "450 450 150");
}

#[tokio::test]
async fn what_waits_can_be_read_under_a_new_data_key() {
    let (store, url, vault) = relay(1).await;
    let one = tenant("c-0");
    receive(&store, &vault, &[update("c-0", 1, 1)]).await;
    rotate_data_key(&store, &keys(), &one).await.unwrap();
    assert_eq!(sql(&url, "select count(*) from data_keys").await, "1");
    // With the old key in memory.
    receive(&store, &vault, &[update("c-0", 1, 2)]).await;
    let other = Vault::new(keys());
    for vault in [&vault, &other] {
        let bodies: Vec<_> = fetch(&store, vault, &one, Offset::First).await;
        assert_eq!(bodies[0].body, update("c-0", 1, 1).body);
        assert_eq!(bodies[1].body, update("c-0", 1, 2).body);
    }
    tenants::retire(&store, &one).await.unwrap();
    let left = "select (select count(*) from updates) + (select count(*) from bots)
        + (select count(*) from data_keys)";
    assert_eq!(sql(&url, left).await, "0");
}

#[tokio::test]
async fn what_nobody_fetches_is_given_up_and_what_came_is_known_for_two_days() {
    let (store, url, vault) = relay(1).await;
    let one = tenant("c-0");
    receive(&store, &vault, &[update("c-0", 1, 1)]).await;
    let day = SignedDuration::from_hours(25);
    assert_eq!(updates::prune(&store, now()).await.unwrap().expired, 0);
    assert_eq!(updates::prune(&store, now() + day).await.unwrap().expired, 1);
    assert!(fetch(&store, &vault, &one, Offset::First).await.is_empty());
    assert_eq!(receive(&store, &vault, &[update("c-0", 1, 1)]).await, [Receipt::Known]);
    updates::prune(&store, now() + day + day).await.unwrap();
    assert_eq!(sql(&url, "select count(*) from updates").await, "0");
    assert_eq!(receive(&store, &vault, &[update("c-0", 1, 2)]).await, [new(2)]);
}

#[derive(Clone, Debug)]
enum Step {
    Receive(u8),
    Fetch(i64, u32),
}

/// The queue of a bot as Telegram describes it, and numbers that go on where a pod says that they are.
#[derive(Default)]
struct Model {
    waiting: Vec<i64>,
    last: i64,
}

impl Model {
    fn fetch(&mut self, offset: i64, limit: u32) -> Vec<i64> {
        let from = match offset {
            0 => 0,
            1.. => offset,
            _ => {
                let skip = self.waiting.len().saturating_sub(usize::try_from(-offset).unwrap());
                self.waiting.get(skip).copied().unwrap_or(0)
            }
        };
        self.waiting.retain(|seq| *seq >= from);
        self.last = self.last.max(from - 1);
        self.waiting.iter().copied().take(limit as usize).collect()
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..6_u8).prop_map(Step::Receive),
        (-4..40_i64, 1..8_u32).prop_map(|(offset, limit)| Step::Fetch(offset, limit)),
    ]
}

#[test]
fn offsets_mean_what_they_mean_at_telegram() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (store, url, vault) = runtime.block_on(relay(1));
    let one = tenant("c-0");
    proptest!(ProptestConfig::with_cases(48), |(steps in prop::collection::vec(step(), 1..30))| {
        runtime.block_on(async {
            sql(&url, "delete from updates; update mailboxes set last_seq = 0").await;
            let mut model = Model::default();
            let mut update_id = 0;
            for step in &steps {
                match step {
                    Step::Receive(count) => {
                        let batch: Vec<_> = (0..*count)
                            .map(|_| {
                                update_id += 1;
                                update("c-0", 1, update_id)
                            })
                            .collect();
                        for receipt in receive(&store, &vault, &batch).await {
                            model.last += 1;
                            model.waiting.push(model.last);
                            prop_assert_eq!(receipt, new(model.last));
                        }
                    }
                    Step::Fetch(offset, limit) => {
                        let from = match *offset {
                            0 => Offset::First,
                            seq @ 1.. => Offset::Seq(seq),
                            last => Offset::Last(-last),
                        };
                        let got = updates::fetch(&store, &vault, &one, from, *limit, now());
                        let got = got.await.unwrap();
                        let last = model.last;
                        prop_assert_eq!(seqs(&got.waiting), model.fetch(*offset, *limit));
                        prop_assert_eq!(got.last_seq, last);
                    }
                }
            }
            Ok(())
        })?;
    });
}
