use oc_store::{
    Error, periods,
    usage::{self, Delivered, Unreadable, Warning},
};
use tokio::task::JoinSet;

use crate::support::{account, connect, database, event, period, sql, used};

#[tokio::test]
async fn an_event_is_charged_once_however_often_it_comes() {
    let (store, url) = database().await;
    let one = period(&store, "one", 1000).await;
    let batch = [event(one, 1), event(one, 2), event(one, 1)];
    let first = usage::record(&store, &batch).await.unwrap();
    assert_eq!((first.inserted, first.duplicates), (2, 1));
    let again = usage::record(&store, &batch).await.unwrap();
    assert_eq!((again.inserted, again.duplicates), (0, 3));
    assert_eq!(usage::record(&store, &[]).await.unwrap(), usage::Recorded::default());
    assert_eq!(used(&store, "one").await, 20);
    let row = sql(
        &url,
        "select concat_ws(' ', account_id, tenant_id, model, upstream, outcome, measured, attempts,
            finished_at - admitted_at, first_byte_at is null)
        from usage_events order by request_id limit 1",
    );
    let expected = "a-one c-one kimi-coding/k2p5 kimi complete t 1 00:00:00.899 t";
    assert_eq!(row.await, expected);
}

#[tokio::test]
async fn replicas_with_the_same_events_neither_deadlock_nor_charge_twice() {
    let (store, url) = database().await;
    let periods = [period(&store, "one", 1 << 40).await, period(&store, "two", 1 << 40).await];
    let all: Vec<_> = (0..2000_u64)
        .map(|number| {
            let two = number % 2 == 1;
            let mut event = event(periods[usize::from(two)], number);
            event.account = account(if two { "two" } else { "one" });
            event
        })
        .collect();
    let mut replicas = JoinSet::new();
    for replica in 0..4_usize {
        let (store, all) = (connect(&url), all.clone());
        replicas.spawn(async move {
            let mut inserted = 0;
            for round in 0..19 {
                // Overlapping, from both ends, and in no order.
                let from = if replica % 2 == 0 { round * 100 } else { 1800 - round * 100 };
                let mut batch = all[from..from + 200].to_vec();
                batch.rotate_left(37 * replica);
                inserted += usage::record(&store, &batch).await.unwrap().inserted;
            }
            inserted
        });
    }
    assert_eq!(replicas.join_all().await.into_iter().sum::<usize>(), 2000);
    assert_eq!((used(&store, "one").await, used(&store, "two").await), (10_000, 10_000));
}

#[tokio::test]
async fn people_are_told_once_at_each_mark() {
    let (store, url) = database().await;
    let one = period(&store, "one", 100).await;
    let record = async |numbers: std::ops::RangeInclusive<u64>| {
        let batch: Vec<_> = numbers.map(|number| event(one, number)).collect();
        usage::record(&store, &batch).await.unwrap().warnings
    };
    let warning = |percent| Warning { account: account("one"), period: one, percent };
    assert_eq!(record(1..=7).await, []);
    assert_eq!(record(8..=8).await, [warning(80)]);
    assert_eq!(record(1..=8).await, []);
    assert_eq!(record(9..=12).await, [warning(90), warning(100)]);
    periods::set_limit(&store, one, 1000).await.unwrap();
    assert_eq!(record(13..=80).await, [], "the marks of this period have been told");
    let told = "select dedup_key || ' ' || payload::text from outbox order by id";
    let expected = [80, 90, 100]
        .map(|mark| format!(r#"quota:{one}:{mark} {{"period": {one}, "percent": {mark}}}"#));
    assert_eq!(sql(&url, told).await, expected.join("\n"));
}

#[tokio::test]
async fn an_event_of_no_period_or_another_accounts_writes_nothing() {
    let (store, _) = database().await;
    let (one, two) = (period(&store, "one", 100).await, period(&store, "two", 100).await);
    for wrong in [999, two] {
        let error = usage::record(&store, &[event(one, 1), event(wrong, 2)]).await.unwrap_err();
        assert!(matches!(error, Error::UnknownPeriod(period) if period == wrong), "{error:?}");
    }
    assert_eq!((used(&store, "one").await, used(&store, "two").await), (0, 0));
    assert!(usage::existing(&store, &[event(one, 1).request]).await.unwrap().is_empty());
}

#[tokio::test]
async fn poison_is_quarantined_and_the_rest_recorded() {
    let (store, url) = database().await;
    let one = period(&store, "one", 1000).await;
    let mut entries: Vec<_> = (0..20_u64)
        .map(|number| Delivered { stream_id: format!("{number}-0"), event: Ok(event(one, number)) })
        .collect();
    let spoil = |entry: &mut Delivered, spoil: fn(&mut oc_domain::usage::UsageEvent)| {
        spoil(entry.event.as_mut().unwrap());
    };
    spoil(&mut entries[3], |event| event.settlement.upstream = "a\0b".to_owned());
    spoil(&mut entries[4], |event| event.settlement.cost_nano_usd = u64::MAX);
    spoil(&mut entries[9], |event| event.period = 12_345);
    spoil(&mut entries[19], |event| event.settlement.finished_ms = i64::MAX.cast_unsigned());
    let unreadable = Unreadable { payload: "{\0".to_owned(), error: "no JSON".to_owned() };
    entries.push(Delivered { stream_id: "20-0".to_owned(), event: Err(unreadable) });
    for inserted in [16, 0] {
        let settled = usage::record_or_quarantine(&store, &entries).await.unwrap();
        assert_eq!((settled.recorded.inserted, settled.quarantined), (inserted, 5));
    }
    assert_eq!(used(&store, "one").await, 160);
    let kept = sql(
        &url,
        "select stream_id || ' ' || error from usage_quarantine
        order by split_part(stream_id, '-', 1)::int",
    );
    let kept = kept.await;
    let lines: Vec<&str> = kept.lines().collect();
    assert_eq!(lines.len(), 5, "{kept}");
    for (line, says) in lines.iter().zip(["byte", "too large", "12345", "range", "no JSON"]) {
        assert!(line.contains(says), "{line}");
    }
}
