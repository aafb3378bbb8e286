use jiff::ToSpan;
use oc_store::{
    Store,
    reviews::{self, Outcome as Reviewed, Review},
    spec_changes::{self, Author, Change, NewChange, Outcome, Status},
};
use serde_json::json;

use crate::support::{change, customer, database, load, new_tenant, now, review, tenant};

/// How many changes a review with these has left for the committer.
async fn decide(store: &Store, changes: Vec<NewChange>) -> u64 {
    let one = "a-one".parse().unwrap();
    let review = Review { changes, agents: None, ..review(&one, load(store, &one).await.version) };
    let done = reviews::commit(store, &review).await.unwrap();
    let Reviewed::Committed { changes, .. } = done else { unreachable!("nobody else is here") };
    changes
}

async fn tenants(store: &Store) {
    let one = customer(store, "one").await;
    let tenants = ["c-1", "c-2"].map(new_tenant).into();
    let first = Review { tenants, agents: None, ..review(&one, 0) };
    reviews::commit(store, &first).await.unwrap();
}

async fn pending(store: &Store) -> Vec<i64> {
    spec_changes::pending(store, 100).await.unwrap().iter().map(|change| change.id).collect()
}

#[tokio::test]
async fn what_billing_wants_already_is_not_wanted_twice() {
    let (store, _) = database().await;
    tenants(&store).await;
    let active = || change("c-1", "/spec/state", Some(json!("active")));
    let suspended = || change("c-1", "/spec/state", Some(json!("suspended")));
    let other = || change("c-2", "/spec/state", Some(json!("active")));
    assert_eq!(decide(&store, vec![active()]).await, 1);
    assert_eq!(decide(&store, vec![active(), other()]).await, 1);
    // A change of a person's in between says nothing of what billing wants.
    spec_changes::insert(&store, Author::Web, &suspended(), now()).await.unwrap();
    assert_eq!(decide(&store, vec![active()]).await, 0);
    assert_eq!(decide(&store, vec![suspended()]).await, 1);
    assert_eq!(decide(&store, vec![active()]).await, 1, "it is the last one that counts");
    let with_base = NewChange { base: Some(json!({ "kind": "Tenant" })), ..active() };
    assert_eq!(decide(&store, vec![with_base.clone()]).await, 1);
    let last = *pending(&store).await.last().unwrap();
    let done = [(last, Outcome::Unchanged)];
    spec_changes::done(&store, &done, now()).await.unwrap();
    assert_eq!(decide(&store, vec![with_base]).await, 1, "a hand may have set it back since");
}

#[tokio::test]
async fn changes_are_committed_in_their_order_and_end_once() {
    let (store, _) = database().await;
    tenants(&store).await;
    let mut wanted = change("c-1", "/spec/hold", None);
    wanted.event = Some("evt_1".to_owned());
    let mut ids = Vec::new();
    for author in [Author::Web, Author::Channels, Author::People] {
        ids.push(spec_changes::insert(&store, author, &wanted, now()).await.unwrap());
    }
    ids.push({
        decide(&store, vec![wanted.clone()]).await;
        *pending(&store).await.last().unwrap()
    });
    assert_eq!(pending(&store).await, ids);
    assert_eq!(spec_changes::pending(&store, 2).await.unwrap().len(), 2);

    spec_changes::attempt(&store, &ids[..2], "aaaa", now()).await.unwrap();
    spec_changes::attempt(&store, &ids, "bbbb", now() + 1.second()).await.unwrap();
    let later = now() + 1.minute();
    let outcomes = [
        (ids[0], Outcome::Committed("cccc".to_owned())),
        (ids[1], Outcome::Invalid("/spec/hold: no".to_owned())),
        (ids[2], Outcome::Unchanged),
    ];
    spec_changes::done(&store, &outcomes, later).await.unwrap();
    let again = [(ids[0], Outcome::Unchanged), (999, Outcome::Unchanged)];
    spec_changes::done(&store, &again, later).await.unwrap();
    assert_eq!(pending(&store).await, ids[3..]);

    let all = spec_changes::by_trace(&store, "review").await.unwrap();
    let expected = Change {
        id: ids[0],
        wanted,
        author: Author::Web,
        created_at: now(),
        attempted_at: Some(now()),
        attempted_on: Some("aaaa".to_owned()),
        status: Status::Committed,
        commit: Some("cccc".to_owned()),
        error: None,
        done_at: Some(later),
    };
    assert_eq!(all[0], expected);
    let what = all.iter().map(|change| {
        (change.author, change.status, change.attempted_on.as_deref(), change.error.as_deref())
    });
    assert_eq!(
        what.skip(1).collect::<Vec<_>>(),
        [
            (Author::Channels, Status::Invalid, Some("aaaa"), Some("/spec/hold: no")),
            (Author::People, Status::Unchanged, Some("bbbb"), None),
            (Author::Billing, Status::Pending, Some("bbbb"), None),
        ]
    );
    let known = load(&store, &"a-one".parse().unwrap()).await;
    let last = known.tenants.iter().find(|one| one.id == tenant("c-1")).unwrap();
    assert_eq!(last.last_change.as_ref().unwrap().id, ids[3]);
}
