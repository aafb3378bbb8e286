//! More than one agent, and those that nobody pays for.

use oc_domain::TierId;
use oc_sandbox::billing::{ADMIN, INTERNAL};
use serde_json::json;

use crate::support::{customer, periods, quiet, said, sql, start, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_allows_so_many_agents_and_no_more() {
    let stack = start().await;
    let (firm, first) = customer(&stack, "firm", TierId::Business).await;
    let one_more = json!({"account": firm.account, "niche": "legal", "locale": "en"});
    let asked = stack.ask(0, "/internal/tenants", INTERNAL, &one_more).await.unwrap();
    assert_eq!(asked.0, 200, "{}", asked.1);
    let second = asked.1["tenant"].as_str().unwrap().parse().unwrap();
    assert_ne!(first, second);
    until(&stack, &second, "state", "active").await;
    assert_eq!(
        (said(&stack, &second, "niche"), said(&stack, &second, "tier")),
        ("legal".to_owned(), "business".to_owned())
    );
    // At once, for the last place: one of them gets it.
    let more = [(); 4].map(|()| stack.ask(0, "/internal/tenants", INTERNAL, &one_more));
    let statuses = futures::future::try_join_all(more).await.unwrap();
    let made = statuses.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(made, 1, "{statuses:?}");
    assert!(statuses.iter().all(|(status, _)| [200, 409].contains(status)), "{statuses:?}");

    let (person, _) = customer(&stack, "person", TierId::Starter).await;
    let one_more = json!({"account": person.account, "niche": "legal", "locale": "en"});
    let asked = stack.ask(0, "/internal/tenants", INTERNAL, &one_more).await.unwrap();
    assert_eq!(asked.0, 409, "{}", asked.1);
    quiet(&stack).await;
    let count = "select string_agg(tenants::text, ' ' order by tenants desc) from
        (select count(*) as tenants from tenants group by account_id) as counted";
    assert_eq!(sql(&stack, count).await, "3 1");
    // A smaller tier: what was bought first goes on, the others are kept.
    let smaller = json!({"account": firm.account, "tier": "starter"});
    stack.tell("/internal/tier", &smaller).await.unwrap();
    quiet(&stack).await;
    assert_eq!(said(&stack, &second, "state"), "active", "until the period ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_gives_what_nobody_pays_for() {
    let stack = start().await;
    let body = json!({"email": "press@example.com", "tier": "pro", "niche": "legal",
        "locale": "en"});
    let refused = stack.ask(0, "/internal/provision", INTERNAL, &body).await.unwrap();
    assert_eq!(refused.0, 401);
    assert_eq!(sql(&stack, "select count(*) from accounts").await, "0");
    let made = stack.ask(0, "/internal/provision", ADMIN, &body).await.unwrap();
    assert_eq!(made.0, 200, "{}", made.1);
    let tenant = made.1["tenant"].as_str().unwrap().parse().unwrap();
    until(&stack, &tenant, "state", "active").await;
    let account = made.1["account"].as_str().unwrap().parse().unwrap();
    let [current, next] = periods(&stack, &account).await.try_into().unwrap();
    assert_eq!((current.limit, current.ends_at), (5_000_000, next.starts_at));
    assert_eq!(stack.stripe.with(|engine| engine.customers().count()), 0, "without Stripe");
}
