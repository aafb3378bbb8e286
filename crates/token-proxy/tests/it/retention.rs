//! The ledger's months.

use std::time::Duration;

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use oc_domain::{
    ModelId, RequestId,
    usage::{Outcome, Settlement, Tokens, UsageEvent},
};
use oc_sandbox::stack::{Setup, Stack};
use oc_service::Clock;
use oc_store::{periods, usage};
use oc_testkit::wait_for;

use crate::setup;

const SOON: Duration = Duration::from_secs(15);

/// So many months ago.
fn ago(months: i64) -> Timestamp {
    let now = Clock::system().now().to_zoned(TimeZone::UTC);
    now.checked_sub(months.months()).unwrap().timestamp()
}

async fn record(stack: &Stack, at: Timestamp) -> Result<usage::Recorded, oc_store::Error> {
    let account = "a-c-old".parse().unwrap();
    let known = periods::current_and_next(&stack.store, &account, Clock::system().now()).await?;
    let event = UsageEvent {
        request: RequestId::new(at.as_millisecond().cast_unsigned(), [7; 10]),
        account,
        tenant: "c-old".parse().unwrap(),
        period: known[0].id,
        model: ModelId::KimiK2p5,
        settlement: Settlement {
            upstream: "moonshot/a".to_owned(),
            tokens: Tokens { input: 4, output: 5, ..Tokens::default() },
            charged: 9,
            excess: 0,
            cost_nano_usd: 7,
            outcome: Outcome::Complete,
            measured: true,
            attempts: 1,
            first_byte_ms: None,
            finished_ms: at.as_millisecond().cast_unsigned(),
        },
    };
    usage::record(&stack.store, &[event]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn months_that_are_over_go_and_those_to_come_are_made() {
    let arguments = ["--retention-months", "2", "--upkeep", "1s"].map(str::to_owned).to_vec();
    let stack = Stack::start(Setup { arguments, ..setup() }).await.unwrap();
    stack.tenant("c-old", 1_000_000).await.unwrap();
    // All of them: what comes is made again, though the process began long ago.
    let dropped = usage::drop_partitions_before(&stack.store, ago(-12)).await.unwrap();
    assert!(dropped.len() >= 3, "{dropped:?}");
    for months in [-2, 0] {
        let made = async || Ok(record(&stack, ago(months)).await.ok());
        wait_for(SOON, "a month to be made", made).await.unwrap();
    }
    // One of the months that are kept, then one that is not: it may go at any moment.
    for months in [2, 3] {
        let put = async || {
            usage::ensure_partitions(&stack.store, ago(months)).await?;
            Ok(record(&stack, ago(months)).await.ok())
        };
        wait_for(SOON, "an old row", put).await.unwrap();
    }
    let everything = async || {
        let far = ago(-4);
        let tenant = "c-old".parse()?;
        let totals = usage::by_tenant(&stack.store, &tenant, Timestamp::UNIX_EPOCH, far).await?;
        Ok((totals.requests == 3).then_some(()))
    };
    wait_for(SOON, "the oldest row to go", everything).await.unwrap();
    assert!(!record(&stack, ago(3)).await.unwrap_err().is_transient(), "never charged again");
}
