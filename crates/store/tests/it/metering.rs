//! Messages where the tier counts them.

use std::collections::BTreeSet;

use jiff::{SignedDuration, ToSpan};
use oc_store::{
    Store,
    secrets::{Vault, rotate_data_key},
    updates::{self, Incoming, Offset, Question, Receipt, Replayed},
};
use tokio::task::JoinSet;

use crate::{
    relaying::{fetch, keys, receive, relay, seqs},
    support::{connect, now, sql, tenant, update},
};

const AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// The chat of most messages.
const ANA: i64 = 5;

/// Tenants of an account that has so many messages until tomorrow, as many the day after, each with
/// the chats 5 and 6.
async fn metered(tenants: i64, limit: u32) -> (Store, String, Vault) {
    let (store, url, vault) = relay(tenants).await;
    let prepare = format!(
        "update tenants set state = 'active';
        insert into chats
        select id, chat, chat, 'pt-BR', now() from tenants, unnest(array[5, 6]) as chat;
        insert into periods (account_id, starts_at, ends_at, token_limit, message_limit)
        select 'a-one', day - interval '1 day', day, 1, {limit}
        from unnest(array['{tomorrow}'::timestamptz, '{tomorrow}'::timestamptz + interval '1 day'])
            as day",
        tomorrow = now() + 24.hours(),
    );
    sql(&url, &prepare).await;
    (store, url, vault)
}

fn message(id: &str, chat: i64, update_id: i64) -> Incoming {
    Incoming { metered: Some(chat), ..update(id, 1, update_id) }
}

fn counted(seq: i64) -> Receipt {
    Receipt::New { seq, counted: true }
}

async fn upgrade(url: &str, limit: &str) {
    let raise =
        format!("update periods set message_limit = {limit} where starts_at <= '{}'", now());
    sql(url, &raise).await;
}

async fn used(url: &str) -> String {
    sql(url, "select string_agg(used::text, ' ' order by period_id) from message_counts").await
}

async fn questions(store: &Store, after: SignedDuration) -> Vec<Question> {
    updates::take_questions(store, now() + after, AGAIN, 100).await.unwrap()
}

async fn question(store: &Store) -> i64 {
    let taken = questions(store, SignedDuration::ZERO).await;
    assert_eq!(taken.len(), 1, "{taken:?}");
    taken[0].number
}

#[tokio::test]
async fn replicas_and_tenants_of_an_account_never_admit_one_too_many() {
    let (store, url, _) = metered(2, 50).await;
    let mut tasks = JoinSet::new();
    // Every message three times, and most replicas share nothing but the count.
    for tenants in [&["c-0"][..], &["c-0"], &["c-1"], &["c-1"], &["c-0", "c-1"], &["c-1", "c-0"]] {
        let url = url.clone();
        tasks.spawn(async move {
            let (store, vault) = (connect(&url), Vault::new(keys()));
            let mut receipts = Vec::new();
            for batch in 0..50_i64 {
                let two = |one: &&str| [0, 1].map(|n| message(one, ANA, batch * 2 + n));
                let all: Vec<_> = tenants.iter().flat_map(two).collect();
                receipts.extend(receive(&store, &vault, &all).await);
            }
            receipts
        });
    }
    let receipts = tasks.join_all().await.concat();
    let count = |wanted: fn(&Receipt) -> bool| receipts.iter().filter(|one| wanted(one)).count();
    assert_eq!(count(|one| matches!(one, Receipt::New { counted: true, .. })), 50);
    assert_eq!(count(|one| *one == Receipt::Held), 40);
    assert_eq!(count(|one| matches!(one, Receipt::New { counted: false, .. })), 0);
    assert!(count(|one| *one == Receipt::Refused) >= 110);
    assert_eq!(used(&url).await, "50");
    let held = "select string_agg(held::text, ' ') from (
            select count(held_for) as held from updates group by tenant_id
        ) as counted";
    assert_eq!(sql(&url, held).await, "20 20");
    assert_eq!(sql(&url, "select count(*) from updates").await, "90");
    let marks = "select string_agg(payload ->> 'percent', ' ' order by id)
        from outbox where kind = 'messages' and account_id = 'a-one'";
    assert_eq!(sql(&url, marks).await, "80 90 100");
    assert_eq!(questions(&store, SignedDuration::ZERO).await, []);
}

/// The last places, again and again: those who come at once share nothing but the count.
#[tokio::test]
async fn two_tenants_who_come_at_once_do_not_both_get_the_last_places() {
    let (store, url, vault) = metered(2, 0).await;
    let (other, others) = (connect(&url), Vault::new(keys()));
    for round in 1..=30_i64 {
        upgrade(&url, &(round * 10).to_string()).await;
        let ten = |one| -> Vec<_> { (0..10).map(|n| message(one, ANA, round * 10 + n)).collect() };
        let (one, two) = (ten("c-0"), ten("c-1"));
        tokio::join!(receive(&store, &vault, &one), receive(&other, &others, &two));
        assert_eq!(used(&url).await, (round * 10).to_string());
    }
}

#[tokio::test]
async fn only_messages_are_counted_and_each_once() {
    let (store, url, vault) = metered(1, 2).await;
    let batch = [message("c-0", ANA, 1), message("c-0", ANA, 1), update("c-0", 1, 2)];
    let free = Receipt::New { seq: 2, counted: false };
    assert_eq!(receive(&store, &vault, &batch).await, [counted(1), counted(1), free]);
    assert_eq!(receive(&store, &vault, &batch).await, [Receipt::Known; 3]);
    assert_eq!(used(&url).await, "1");
    let more = [message("c-0", ANA, 3), message("c-0", ANA, 4), update("c-0", 1, 5)];
    let free = Receipt::New { seq: 5, counted: false };
    let receipts = receive(&store, &vault, &more).await;
    assert_eq!(receipts, [counted(3), Receipt::Held, free], "in the order of their numbers");
    assert_eq!(receive(&store, &vault, &more[1..2]).await, [Receipt::Known]);
    // A tier that counts none, and no period at all.
    upgrade(&url, "null").await;
    let free = |seq| Receipt::New { seq, counted: false };
    assert_eq!(receive(&store, &vault, &[message("c-0", ANA, 6)]).await, [free(6)]);
    let late = now() + 100.hours();
    let late = updates::receive(&store, &vault, &[message("c-0", ANA, 7)], late).await;
    assert_eq!(late.unwrap(), [free(7)]);
    assert_eq!(used(&url).await, "2");
}

#[tokio::test]
async fn twenty_are_held_for_a_tenant_and_the_next_is_nowhere() {
    let (store, url, vault) = metered(2, 0).await;
    let many: Vec<_> = (1..=21).map(|id| message("c-0", ANA, id)).collect();
    let receipts = receive(&store, &vault, &many).await;
    assert_eq!(receipts[..20], [Receipt::Held; 20]);
    assert_eq!(receipts[20], Receipt::Refused);
    assert_eq!(receive(&store, &vault, &[message("c-0", 6, 22)]).await, [Receipt::Refused]);
    assert_eq!(receive(&store, &vault, &[message("c-1", ANA, 1)]).await, [Receipt::Held]);
    assert_eq!(sql(&url, "select count(*) from updates").await, "21");
    let free = Receipt::New { seq: 21, counted: false };
    assert_eq!(receive(&store, &vault, &[update("c-0", 1, 23)]).await, [free]);
}

#[tokio::test]
async fn what_is_held_is_not_in_the_pods_line() {
    let (store, url, vault) = metered(1, 1).await;
    let one = tenant("c-0");
    let all = [message("c-0", ANA, 1), message("c-0", ANA, 2), update("c-0", 1, 3)];
    receive(&store, &vault, &all).await;
    assert_eq!(seqs(&fetch(&store, &vault, &one, Offset::First).await), [1, 3]);
    assert_eq!(seqs(&fetch(&store, &vault, &one, Offset::Last(2)).await), [1, 3]);
    assert_eq!(updates::count(&store, &one).await.unwrap(), 2);
    assert!(fetch(&store, &vault, &one, Offset::Seq(4)).await.is_empty());
    assert_eq!(updates::count(&store, &one).await.unwrap(), 0);
    assert_eq!(updates::waiting_since(&store, now()).await.unwrap(), []);
    assert_eq!(sql(&url, "select seq from updates where held_for = 5").await, "2");
}

#[tokio::test]
async fn a_question_is_asked_once_when_there_is_room_by_an_upgrade() {
    let (store, url, vault) = metered(1, 1).await;
    let zero = SignedDuration::ZERO;
    let all = [message("c-0", ANA, 1), message("c-0", ANA, 2), message("c-0", ANA, 3)];
    receive(&store, &vault, &all).await;
    assert_eq!(questions(&store, zero).await, []);
    upgrade(&url, "9").await;
    sql(&url, "update tenants set state = 'suspended'").await;
    assert_eq!(questions(&store, zero).await, []);
    sql(&url, "update tenants set state = 'active'").await;
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = connect(&url);
        tasks.spawn(async move { questions(&store, SignedDuration::ZERO).await });
    }
    let taken = tasks.join_all().await.concat();
    assert_eq!(taken.len(), 1, "{taken:?}");
    let first = &taken[0];
    assert_eq!((&first.tenant, first.chat_id, first.count), (&tenant("c-0"), ANA, 2));
    assert_eq!((first.oldest, first.locale), (now(), oc_domain::Locale::PtBr));
    // Whoever took it died: somebody else asks, and it is the same question.
    assert_eq!(questions(&store, zero).await, []);
    let again = questions(&store, AGAIN).await;
    assert_eq!((again.len(), again[0].number), (1, first.number));
    updates::asked(&store, &again[0]).await.unwrap();
    assert_eq!(questions(&store, AGAIN + AGAIN + AGAIN).await, []);
}

#[tokio::test]
async fn a_question_is_asked_when_a_new_period_begins_and_of_each_chat() {
    let (store, _, vault) = metered(1, 1).await;
    let all = [message("c-0", ANA, 1), message("c-0", ANA, 2), message("c-0", 6, 3)];
    receive(&store, &vault, &all).await;
    assert_eq!(questions(&store, SignedDuration::from_hours(23)).await, []);
    let asked = questions(&store, SignedDuration::from_hours(24)).await;
    let chats: BTreeSet<_> = asked.iter().map(|one| (one.chat_id, one.count)).collect();
    assert_eq!(chats, [(ANA, 1), (6, 1)].into());
    assert_ne!(asked[0].number, asked[1].number);
}

#[tokio::test]
async fn what_is_replayed_comes_last_in_order_counted_and_as_far_as_there_is_room() {
    let (store, url, vault) = metered(1, 1).await;
    let one = tenant("c-0");
    let chats = [(1, ANA), (2, ANA), (3, 6), (4, ANA), (5, ANA)];
    let all = chats.map(|(id, chat)| message("c-0", chat, id));
    receive(&store, &vault, &all).await;
    upgrade(&url, "4").await;
    // What comes now goes straight through.
    assert_eq!(receive(&store, &vault, &[message("c-0", ANA, 6)]).await, [counted(6)]);
    rotate_data_key(&store, &keys(), &one).await.unwrap();
    let taken = questions(&store, SignedDuration::ZERO).await;
    let number = taken.iter().find(|one| one.chat_id == ANA).unwrap().number;
    let later = now() + 1.hour();
    for (chat, wrong) in [(6, number), (7, number), (ANA, number + 9), (ANA, 0)] {
        assert_eq!(updates::replay(&store, &one, chat, wrong, later).await.unwrap(), None);
        assert_eq!(updates::forget(&store, &one, chat, wrong, later).await.unwrap(), None);
    }
    let done = updates::replay(&store, &one, ANA, number, later).await.unwrap();
    assert_eq!(done, Some(Replayed { replayed: 2, left: 1 }));
    assert_eq!(used(&url).await, "4");
    assert_eq!(updates::replay(&store, &one, ANA, number, later).await.unwrap(), None);
    let line = fetch(&store, &vault, &one, Offset::First).await;
    assert_eq!(seqs(&line), [1, 6, 7, 8]);
    assert_eq!(line[2].body, update("c-0", 1, 2).body);
    assert_eq!(line[3].body, update("c-0", 1, 4).body);
    assert_eq!(line[3].received_at, later, "it has a day of its own");
    // Redelivered, all the same.
    assert_eq!(receive(&store, &vault, &all).await, [Receipt::Known; 5]);
    // What was left is asked about when there is room again.
    assert_eq!(questions(&store, SignedDuration::ZERO).await, []);
    upgrade(&url, "null").await;
    let number = question(&store).await;
    let done = updates::replay(&store, &one, ANA, number, later).await.unwrap();
    assert_eq!(done, Some(Replayed { replayed: 1, left: 0 }));
    assert_eq!(used(&url).await, "4");
    assert_eq!(sql(&url, "select last_seq from mailboxes").await, "9");
}

#[tokio::test]
async fn of_two_answers_at_once_one_counts() {
    let (store, url, vault) = metered(1, 0).await;
    let all: Vec<_> = (1..=10).map(|id| message("c-0", ANA, id)).collect();
    receive(&store, &vault, &all).await;
    upgrade(&url, "100").await;
    let number = question(&store).await;
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let (store, one) = (connect(&url), tenant("c-0"));
        tasks.spawn(async move {
            if task % 2 == 0 {
                let done = updates::replay(&store, &one, ANA, number, now()).await.unwrap();
                done.map(|done| done.replayed)
            } else {
                updates::forget(&store, &one, ANA, number, now()).await.unwrap()
            }
        });
    }
    let done: Vec<u64> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(done, [10]);
    let counted = sql(&url, "select used from message_counts").await;
    let waits = updates::count(&store, &tenant("c-0")).await.unwrap();
    assert!(["0", "10"].contains(&counted.as_str()) && counted == waits.to_string(), "{counted}");
}

#[tokio::test]
async fn what_is_forgotten_is_known_and_gone() {
    let (store, url, vault) = metered(1, 0).await;
    let one = tenant("c-0");
    let all = [message("c-0", ANA, 1), message("c-0", 6, 2)];
    receive(&store, &vault, &all).await;
    upgrade(&url, "5").await;
    let taken = questions(&store, SignedDuration::ZERO).await;
    let number = taken.iter().find(|one| one.chat_id == ANA).unwrap().number;
    assert_eq!(updates::forget(&store, &one, ANA, number, now()).await.unwrap(), Some(1));
    assert_eq!(updates::forget(&store, &one, ANA, number, now()).await.unwrap(), None);
    assert!(fetch(&store, &vault, &one, Offset::First).await.is_empty());
    assert_eq!(receive(&store, &vault, &all).await, [Receipt::Known; 2]);
    let left = "select string_agg(held_for::text, ' ') from updates where ciphertext is not null";
    assert_eq!(sql(&url, left).await, "6");
}

#[tokio::test]
async fn what_is_held_for_a_day_is_given_up_with_its_question() {
    let (store, url, vault) = metered(1, 0).await;
    receive(&store, &vault, &[message("c-0", ANA, 1), update("c-0", 1, 2)]).await;
    upgrade(&url, "5").await;
    let old = question(&store).await;
    let day = SignedDuration::from_hours(24);
    let pruned = updates::prune(&store, now() + day).await.unwrap();
    assert_eq!((pruned.expired, pruned.held), (0, 0));
    let pruned = updates::prune(&store, now() + day + AGAIN).await.unwrap();
    assert_eq!((pruned.expired, pruned.held), (1, 1));
    assert_eq!(receive(&store, &vault, &[message("c-0", ANA, 1)]).await, [Receipt::Known]);
    let late = updates::replay(&store, &tenant("c-0"), ANA, old, now()).await.unwrap();
    assert_eq!(late, None);
    // What is held then is another question.
    upgrade(&url, "0").await;
    receive(&store, &vault, &[message("c-0", ANA, 3)]).await;
    upgrade(&url, "5").await;
    assert_ne!(question(&store).await, old);
}

#[tokio::test]
async fn a_period_that_billing_takes_back_takes_its_count_along() {
    let (store, url, vault) = metered(1, 5).await;
    receive(&store, &vault, &[message("c-0", ANA, 1)]).await;
    sql(&url, "delete from periods").await;
    assert_eq!(sql(&url, "select count(*) from message_counts").await, "0");
    let free = Receipt::New { seq: 2, counted: false };
    assert_eq!(receive(&store, &vault, &[message("c-0", ANA, 2)]).await, [free]);
}
