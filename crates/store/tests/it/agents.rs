use futures::future::join_all;
use oc_store::{
    Error,
    reviews::{self, Outcome},
};
use oc_testkit::Postgres;

use crate::support::{account, customer, database, load, new_tenant, review, sql, tenant};

const COUNT: &str = "select count(*) from tenants where deleted_at is null";

#[tokio::test]
async fn transactions_at_the_same_time_make_no_tenant_too_many() {
    let (store, url) = database().await;
    customer(&store, "one").await;
    sql(&url, "update accounts set agents = 3").await;
    let server = Postgres::shared().await.unwrap();
    // As anybody might, without a review, and in transactions that last a while.
    let insert = async |number: usize| {
        let statement = format!(
            "begin;
            insert into tenants (id, account_id, tier, locale, model, thinking, state, generation)
            values ('c-{number}', 'a-one', 'pro', 'en', 'm', 'low', 'suspended', 1);
            select pg_sleep(0.05);
            commit"
        );
        server.execute(&url, &statement).await.is_ok()
    };
    let made = join_all((0..12).map(insert)).await.into_iter().filter(|made| *made).count();
    assert_eq!((made, sql(&url, COUNT).await.as_str()), (3, "3"));
}

#[tokio::test]
async fn a_review_makes_as_many_tenants_as_it_allows_itself() {
    let (store, url) = database().await;
    let one = customer(&store, "one").await;
    let mut two_agents = review(&one, load(&store, &one).await.version);
    two_agents.agents = Some(2);
    two_agents.tenants = ["c-1", "c-2", "c-3"].map(new_tenant).into();
    let refused = reviews::commit(&store, &two_agents).await.unwrap_err();
    assert!(matches!(&refused, Error::NoAgentLeft(id) if *id == account("one")), "{refused:?}");
    assert_eq!(load(&store, &one).await.tenants, [], "all or nothing");

    two_agents.tenants.pop();
    assert_ne!(reviews::commit(&store, &two_agents).await.unwrap(), Outcome::Moved);
    let known = load(&store, &one).await;
    assert_eq!((known.agents, known.tenants.len()), (Some(2), 2));
    let state = "select distinct state || generation || niche from tenants";
    assert_eq!(sql(&url, state).await, "suspended1pharmacy");

    // One that is deleted makes room, in the same review too.
    let mut swap = review(&one, known.version);
    swap.agents = Some(2);
    swap.deleted = vec![tenant("c-1")];
    swap.tenants = vec![new_tenant("c-3")];
    assert_ne!(reviews::commit(&store, &swap).await.unwrap(), Outcome::Moved);
    assert_eq!(sql(&url, COUNT).await, "2");
    let mut back = review(&one, known.version + 1);
    back.agents = None;
    back.tenants = ["c-4", "c-5", "c-6"].map(new_tenant).into();
    assert_ne!(reviews::commit(&store, &back).await.unwrap(), Outcome::Moved);
    assert_eq!(sql(&url, COUNT).await, "5", "without a number any number");
}
