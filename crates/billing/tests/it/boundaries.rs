//! The service is killed between any two steps, on the spot: Postgres, or the repository's hook,
//! holds it there until it is dead.

use std::{fs, time::Duration};

use oc_domain::{TenantId, TierId};
use oc_sandbox::{
    billing::{Page, Stack},
    signal,
};
use oc_testkit::wait_for;
use serde_json::json;

use crate::{
    check::converged,
    support::{PATIENCE, customer, quiet, said, sql, start, tenant},
};

/// Where it dies, as a trigger, or a hook.
#[derive(Clone, Copy, Debug)]
enum Boundary {
    /// What Postgres is about to do, and to which rows.
    Row(&'static str, &'static str),
    /// What the repository is about to do or has done.
    Hook(&'static str),
}

const ALL: [Boundary; 8] = [
    // The event is being noted: Stripe has no answer.
    Boundary::Row("insert on stripe_events", "true"),
    // It is noted, and nobody has begun.
    Boundary::Row("update on accounts", "new.claimed_until > old.claimed_until is not false"),
    // The decision is half written.
    Boundary::Row("insert on spec_changes", "true"),
    // All of it is, but that the event is done.
    Boundary::Row("update on stripe_events", "new.status = 'done'"),
    // It is written, and not pushed.
    Boundary::Row("update on spec_changes", "old.attempted_on is null"),
    // It is on its way.
    Boundary::Hook("pre-receive"),
    // It is there, and who pushed it does not know.
    Boundary::Hook("post-receive"),
    // Who pushed it knows.
    Boundary::Row("update on spec_changes", "new.status <> 'pending'"),
];

impl Boundary {
    async fn set(self, stack: &Stack) {
        match self {
            Self::Row(step, rows) => {
                let statement = format!(
                    "create function hold() returns trigger language plpgsql as
                        'begin perform pg_sleep(60); return new; end';
                    create trigger hold before {step} for each row when ({rows})
                        execute function hold()"
                );
                sql(stack, &statement).await;
            }
            Self::Hook(name) => {
                let (hold, seen) = (stack.folder().join("hold"), stack.folder().join("seen"));
                fs::write(&hold, "").unwrap();
                let (hold, seen) = (hold.display(), seen.display());
                let script = format!("touch '{seen}'; while [ -e '{hold}' ]; do sleep 0.02; done");
                stack.remote.hook(name, &script).unwrap();
            }
        }
    }

    async fn reached(self, stack: &Stack) {
        let reached = async || {
            let reached = match self {
                Self::Row(..) => sql(stack, SLEEPING).await != "0",
                Self::Hook(_) => stack.folder().join("seen").exists(),
            };
            Ok(reached.then_some(()))
        };
        wait_for(PATIENCE, &format!("{self:?}"), reached).await.unwrap();
    }

    async fn lift(self, stack: &Stack) {
        match self {
            Self::Row(step, _) => {
                let (_, table) = step.rsplit_once(' ').unwrap();
                // As if Postgres had noticed at once that its client is dead.
                let end = format!("select pg_terminate_backend(pid) {SLEEPERS}");
                sql(stack, &end).await;
                sql(stack, &format!("drop trigger hold on {table}; drop function hold")).await;
            }
            Self::Hook(name) => {
                stack.remote.hook(name, "").unwrap();
                fs::remove_file(stack.folder().join("hold")).unwrap();
                fs::remove_file(stack.folder().join("seen")).unwrap();
            }
        }
    }
}

const SLEEPERS: &str = "from pg_stat_activity
    where wait_event = 'PgSleep' and datname = current_database()";
const SLEEPING: &str = "select count(*) from pg_stat_activity
    where wait_event = 'PgSleep' and datname = current_database()";

/// Does something, lets it come to the boundary, kills the service there and starts another one.
async fn die(stack: &mut Stack, boundary: Boundary, act: impl AsyncFnOnce(&Stack)) {
    boundary.set(stack).await;
    act(stack).await;
    boundary.reached(stack).await;
    signal(stack.services[0].pid(), "KILL").unwrap();
    stack.services[0].kill().unwrap();
    boundary.lift(stack).await;
    // The dead one's claims pass after 45 seconds, which need not be waited for.
    sql(
        stack,
        "update accounts set review_at = now(), claimed_until = now()
        where claimed_until is not null",
    )
    .await;
    stack.restart(0).await.unwrap();
}

async fn quick() -> Stack {
    let stack = start().await;
    stack.at_stripe("retry=50ms").unwrap();
    stack
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_survives_a_kill_at_every_step() {
    let mut stack = quick().await;
    for (number, boundary) in ALL.into_iter().enumerate() {
        let name = format!("c{number}");
        let page = stack.checkout(0, &name, TierId::Starter).await.unwrap();
        quiet(&stack).await;
        let words = format!("checkout={}:works", page.session);
        die(&mut stack, boundary, async |stack| drop(stack.at_stripe(&words).unwrap())).await;
        let tenant = tenant(&stack, &page.account).await;
        quiet(&stack).await;
        assert_eq!(said(&stack, &tenant, "state"), "active", "{boundary:?}");
    }
    converged(&stack).await;
    let doubled = "select count(*), count(distinct account_id) from outbox where kind = 'welcome'";
    assert_eq!(sql(&stack, doubled).await, "8|8");
    assert_eq!(stack.remote.changes().unwrap().len(), ALL.len(), "one commit each");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_and_an_end_survive_a_kill_at_every_step() {
    let mut stack = quick().await;
    let mut customers: Vec<(Page, TenantId)> = Vec::new();
    for number in 0..ALL.len() {
        customers.push(customer(&stack, &format!("c{number}"), TierId::Starter).await);
    }
    quiet(&stack).await;
    for (number, boundary) in ALL.into_iter().enumerate() {
        let (page, tenant) = &customers[number];
        let (path, body) = if number % 2 == 0 {
            ("/internal/tier", json!({"account": page.account, "tier": "pro"}))
        } else {
            ("/internal/cancel", json!({"account": page.account, "when": "now"}))
        };
        die(&mut stack, boundary, async |stack| {
            // The boundary may hold the answer too.
            let asked = stack.ask(0, path, oc_sandbox::billing::INTERNAL, &body);
            let _ = tokio::time::timeout(Duration::from_millis(300), asked).await;
        })
        .await;
        quiet(&stack).await;
        let (field, value) = if number % 2 == 0 { ("tier", "pro") } else { ("state", "suspended") };
        assert_eq!(said(&stack, tenant, field), value, "{boundary:?}");
    }
    converged(&stack).await;
    assert_eq!(stack.remote.changes().unwrap().len(), 2 * ALL.len(), "two commits each");
}
