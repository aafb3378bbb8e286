//! What comes back when Redis has lost its last seconds, or everything.

use std::time::Duration;

use oc_domain::{RequestId, usage::Outcome};
use oc_streams::{
    Connection, Error, Events, Ledger, Limits, Open, Place, Reservation, Settled, Verdict,
    recovery::{Brought, Joined, Lost, Need, Session, Stage},
};
use tokio::time::sleep;

use crate::support::{Bench, WIDE, account, around_now, ledger, measured, request, tenant, wanted};

const LEASE: Duration = Duration::from_millis(1_500);
const LIMITS: Limits = Limits { lease: LEASE, ..WIDE };
const STAGES: [Stage; 4] = [Stage::Met, Stage::Resting, Stage::Settled, Stage::Reopened];

/// A second proxy of the same Redis.
fn proxy(bench: &Bench) -> (Ledger, Connection) {
    let ledger = ledger(&bench.redis, LIMITS);
    let connection = ledger.connection().unwrap();
    (ledger, connection)
}

async fn session(connection: &Connection) -> Session {
    // The first may find the connection of the process before.
    match Session::open(connection.clone()).await {
        Ok(session) => session,
        Err(_) => Session::open(connection.clone()).await.unwrap(),
    }
}

async fn through(session: &Session, proxy: &str, stages: &[Stage]) -> Joined {
    let mut joined = None;
    for stage in stages {
        let now = session.join(proxy, *stage, 0).await.unwrap();
        assert!(now.reached(*stage), "{proxy} at {stage:?}");
        joined = Some(now);
    }
    joined.unwrap()
}

fn settled(name: &str, request: RequestId, place: Place, charged: u64) -> Settled {
    Settled { place, reservation: reservation(name, request), settlement: measured(charged) }
}

fn reservation(name: &str, request: RequestId) -> Reservation {
    Reservation {
        request,
        tenant: format!("c-{name}").parse().unwrap(),
        account: account(name),
        period: 1,
        model: oc_domain::ModelId::KimiK2p5,
        input: 10,
        amount: 20,
    }
}

async fn replay(session: &Session, settled: &Settled) -> Brought<Place> {
    replay_knowing(session, settled, None).await
}

async fn replay_knowing(
    session: &Session,
    Settled { place, reservation, settlement }: &Settled,
    in_ledger: Option<bool>,
) -> Brought<Place> {
    let lost = Lost { reservation, process: place.process(), in_ledger };
    session.replay(lost, settlement).await.unwrap()
}

/// Of a reservation that was open when the one before was settled.
async fn reopen(
    session: &Session,
    reservation: &Reservation,
    before: &Settled,
    in_ledger: Option<bool>,
) -> Brought<()> {
    let lost = Lost { reservation, process: before.place.process(), in_ledger };
    session.reopen(lost, 3).await.unwrap()
}

impl Bench {
    /// Killed, and started with all that it wrote.
    async fn crash(&mut self) {
        self.redis.kill();
        self.redis.restart().await.unwrap();
        self.reconnect().await;
    }

    /// A mark in Redis' log: what comes after it may be lost.
    async fn mark(&mut self) -> Mark {
        // It would wait with writing while it waits for the disk.
        let _: String = self.redis("CONFIG SET appendfsync no").await;
        let folder: (String, String) = self.redis("CONFIG GET dir").await;
        let file = format!("{}/appendonlydir/appendonly.aof.1.incr.aof", folder.1);
        let length = std::fs::metadata(&file).unwrap().len();
        Mark { file, length }
    }

    /// Killed, and started with what it wrote before the mark.
    async fn crash_to(&mut self, mark: &Mark) {
        self.redis.kill();
        let file = std::fs::File::options().write(true).open(&mark.file).unwrap();
        file.set_len(mark.length).unwrap();
        self.redis.restart().await.unwrap();
        self.reconnect().await;
    }

    /// Killed, and started with nothing.
    async fn crash_empty(&mut self) {
        let _: String = self.redis("FLUSHALL").await;
        self.crash().await;
    }

    async fn settle(&self, name: &str, request: RequestId, charged: u64) -> Settled {
        let place = self.proxy.settle(request, &measured(charged)).await.unwrap().unwrap();
        settled(name, request, place, charged)
    }

    /// The requests on the stream, in order.
    async fn events(&self) -> Vec<RequestId> {
        let mut events = Events::new(&self.redis.url().into(), "reader").unwrap();
        let delivered = events.read(1_000).await.unwrap();
        delivered.into_iter().map(|one| one.event.unwrap().request).collect()
    }
}

struct Mark {
    file: String,
    length: u64,
}

#[tokio::test]
async fn calls_to_a_process_that_is_over_are_refused_whoever_has_met_the_new_one() {
    let mut bench = Bench::durable(LIMITS).await;
    let id = bench.customer("over", 1, 100).await;
    let mirror = bench.proxy.mirror().unwrap();
    bench.crash().await;
    let (_, other) = proxy(&bench);
    through(&session(&other).await, "p-0", &STAGES).await;
    let _ = bench.proxy.reserve(wanted(&id, request(), 1, 1)).await;
    let refused = bench.proxy.reserve(wanted(&id, request(), 1, 1)).await;
    assert!(matches!(refused, Err(Error::Restarted)), "{refused:?}");
    // What was read from Postgres before the restart may be too old by now.
    let refused = mirror.put_periods(&account("over"), &[around_now(2, 9)]).await;
    assert!(matches!(refused, Err(Error::Restarted)), "{refused:?}");
    assert_eq!(bench.quota(2).await, (0, 0));
}

#[tokio::test]
async fn tenants_and_periods_are_asked_for_again_and_usage_is_kept() {
    let mut bench = Bench::durable(LIMITS).await;
    let id = bench.customer("again", 1, 100).await;
    let spent = bench.admit(&id, 10, 10).await;
    bench.settle("again", spent, 20).await;
    bench.crash().await;
    let session = session(&bench.proxy).await;
    through(&session, "p-0", &STAGES).await;
    bench.ledger.publish(Some(session.into_epoch()));
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::UnknownTenant);
    bench.put_tenant(&tenant(&id, &account("again"))).await;
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::UnknownPeriods(account("again")));
    bench.put_periods(&account("again"), &[around_now(1, 100)]).await;
    assert!(matches!(bench.ask(&id, 80, 1).await, Verdict::QuotaSpent(..)));
    assert_eq!(bench.quota(1).await, (20, 0));
}

#[tokio::test]
async fn a_lost_tail_is_brought_back_and_nothing_twice() {
    let mut bench = Bench::durable(LIMITS).await;
    let id = bench.customer("tail", 1, 1_000).await;
    let (kept, late) = (bench.admit(&id, 10, 10).await, bench.admit(&id, 10, 10).await);
    let kept = bench.settle("tail", kept, 7).await;
    let mark = bench.mark().await;
    let late = bench.settle("tail", late, 8).await;
    let (gone, open) = (bench.admit(&id, 10, 10).await, bench.admit(&id, 10, 10).await);
    let gone = bench.settle("tail", gone, 9).await;
    bench.crash_to(&mark).await;
    assert_eq!(bench.quota(1).await, (7, 20));

    let session = session(&bench.proxy).await;
    let joined = through(&session, "p-0", &STAGES[..2]).await;
    let lost = [&kept, &late, &gone].map(|one| joined.has_lost(&one.place));
    assert_eq!(lost, [false, true, true]);
    let places = [replay(&session, &late).await, replay(&session, &gone).await];
    for place in &places {
        let Brought::Back(place) = place else { panic!("{place:?}") };
        assert!(!joined.has_lost(place));
    }
    // Once more, as after an error in the middle.
    assert_eq!(replay(&session, &late).await, Brought::Closed);
    through(&session, "p-0", &STAGES[2..3]).await;
    assert_eq!(reopen(&session, &reservation("tail", open), &kept, None).await, Brought::Back(()));
    assert_eq!(reopen(&session, &reservation("tail", open), &kept, None).await, Brought::Back(()));
    through(&session, "p-0", &STAGES[3..]).await;
    assert_eq!(bench.quota(1).await, (24, 20));
    assert_eq!(bench.redis::<u32>("HGET oc:t:c-tail open").await, 1);
    let requests = [&kept, &late, &gone].map(|one| one.reservation.request);
    assert_eq!(bench.events().await, requests);
    sleep(LEASE + Duration::from_millis(20)).await;
    bench.ledger.publish(Some(session.into_epoch()));
    assert_eq!(bench.reap(10).await, [open]);
    assert_eq!(bench.quota(1).await, (24 + 13, 0));
}

#[tokio::test]
async fn an_empty_redis_counts_from_the_ledger() {
    let mut bench = Bench::durable(LIMITS).await;
    let id = bench.customer("empty", 1, 1_000).await;
    let (one, two) = (bench.admit(&id, 10, 10).await, bench.admit(&id, 10, 10).await);
    let (in_ledger, missing) =
        (bench.settle("empty", one, 7).await, bench.settle("empty", two, 8).await);
    let open = bench.admit(&id, 10, 10).await;
    bench.crash_empty().await;
    let session = session(&bench.proxy).await;
    let joined = through(&session, "p-0", &STAGES[..2]).await;
    assert!(joined.has_lost(&in_ledger.place) && joined.has_lost(&missing.place));
    assert_eq!(replay(&session, &missing).await, Brought::Needs(Need::Usage));
    assert_eq!(
        reopen(&session, &reservation("empty", open), &missing, None).await,
        Brought::Needs(Need::Usage)
    );
    session.put_usage(1, 7).await.unwrap();
    session.put_usage(1, 1_000_000).await.unwrap();
    assert_eq!(replay(&session, &missing).await, Brought::Needs(Need::Ledger));
    assert!(matches!(replay_knowing(&session, &missing, Some(false)).await, Brought::Back(_)));
    assert_eq!(replay_knowing(&session, &in_ledger, Some(true)).await, Brought::Closed);
    let open = reservation("empty", open);
    assert_eq!(reopen(&session, &open, &missing, None).await, Brought::Needs(Need::Ledger));
    assert_eq!(reopen(&session, &open, &missing, Some(true)).await, Brought::Closed);
    assert_eq!(reopen(&session, &open, &missing, Some(false)).await, Brought::Back(()));
    through(&session, "p-0", &STAGES[2..]).await;
    assert_eq!(bench.quota(1).await, (15, 20));
    assert_eq!(bench.events().await, [two]);
}

/// Its proxy may still think of it as what Redis could lose.
#[tokio::test]
async fn what_a_count_began_with_is_not_added_by_a_later_recovery() {
    let mut bench = Bench::durable(LIMITS).await;
    let id = bench.customer("later", 1, 1_000).await;
    let (one, two) = (bench.admit(&id, 10, 10).await, bench.admit(&id, 10, 10).await);
    let in_ledger = bench.settle("later", one, 7).await;
    let missing = bench.settle("later", two, 8).await;
    bench.crash_empty().await;
    let emptied = session(&bench.proxy).await;
    through(&emptied, "p-0", &STAGES[..2]).await;
    emptied.put_usage(1, 7).await.unwrap();
    let back = replay_knowing(&emptied, &missing, Some(false)).await;
    let Brought::Back(place) = back else { panic!("{back:?}") };
    let moved = Settled { place, ..missing };
    let mark = bench.mark().await;
    through(&emptied, "p-0", &STAGES[2..]).await;
    bench.ledger.publish(Some(emptied.into_epoch()));
    bench.put_tenant(&tenant(&id, &account("later"))).await;
    bench.put_periods(&account("later"), &[around_now(1, 1_000)]).await;
    let three = bench.admit(&id, 10, 10).await;
    let late = bench.settle("later", three, 9).await;
    bench.crash_to(&mark).await;

    let again = session(&bench.proxy).await;
    let joined = through(&again, "p-0", &STAGES[..2]).await;
    let lost = [&in_ledger, &moved, &late].map(|one| joined.has_lost(&one.place));
    assert_eq!(lost, [true, false, true]);
    assert_eq!(replay(&again, &in_ledger).await, Brought::Needs(Need::Ledger));
    assert_eq!(replay_knowing(&again, &in_ledger, Some(true)).await, Brought::Closed);
    // Booked after the count began: the ledger is not asked, it may have it and Redis has not.
    assert!(matches!(replay_knowing(&again, &late, Some(true)).await, Brought::Back(_)));
    through(&again, "p-0", &STAGES[2..]).await;
    assert_eq!(bench.quota(1).await, (24, 0));
}

/// The ledger has what was booked after a count began, and Redis has lost both.
#[tokio::test]
async fn a_count_that_is_lost_begins_again_with_what_the_ledger_has_by_then() {
    let mut bench = Bench::durable(LIMITS).await;
    let mark = bench.mark().await;
    let id = bench.customer("again", 1, 1_000).await;
    let one = bench.admit(&id, 10, 10).await;
    let one = bench.settle("again", one, 7).await;
    bench.crash_to(&mark).await;
    let session = session(&bench.proxy).await;
    let joined = through(&session, "p-0", &STAGES[..2]).await;
    assert!(joined.has_lost(&one.place));
    assert_eq!(replay(&session, &one).await, Brought::Needs(Need::Usage));
    session.put_usage(1, 7).await.unwrap();
    assert_eq!(replay(&session, &one).await, Brought::Needs(Need::Ledger));
    assert_eq!(replay_knowing(&session, &one, Some(true)).await, Brought::Closed);
    assert_eq!(bench.quota(1).await, (7, 0));
}

#[tokio::test]
async fn all_wait_for_all_that_were_alive_stage_by_stage() {
    let mut bench = Bench::durable(LIMITS).await;
    let (_, other) = proxy(&bench);
    through(&session(&other).await, "p-1", &STAGES).await;
    bench.crash().await;
    let (one, two) = (session(&bench.proxy).await, session(&other).await);
    for stage in STAGES {
        let alone = one.join("p-0", stage, 2).await.unwrap();
        assert_eq!(alone.reached(stage), stage == Stage::Met, "{stage:?}");
        assert!(two.join("p-1", stage, 2).await.unwrap().reached(stage));
        assert!(one.join("p-0", stage, 2).await.unwrap().reached(stage));
    }
}

#[tokio::test]
async fn who_was_alive_is_known_though_redis_has_forgotten_it() {
    let mut bench = Bench::durable(LIMITS).await;
    let (_, other) = proxy(&bench);
    through(&session(&other).await, "p-1", &STAGES).await;
    let alive = bench.proxy.beat("p-0", &[]).await.unwrap().alive;
    assert_eq!(alive, 2);
    bench.crash_empty().await;
    let (one, two) = (session(&bench.proxy).await, session(&other).await);
    assert!(!one.join("p-0", Stage::Resting, alive).await.unwrap().reached(Stage::Resting));
    assert!(!two.join("p-1", Stage::Met, 2).await.unwrap().reached(Stage::Resting));
    assert!(!one.join("p-0", Stage::Resting, alive).await.unwrap().reached(Stage::Resting));
    assert!(two.join("p-1", Stage::Resting, 2).await.unwrap().reached(Stage::Resting));
}

#[tokio::test]
async fn a_proxy_that_never_comes_back_is_waited_for_one_lease_long() {
    let mut bench = Bench::durable(LIMITS).await;
    let (_, other) = proxy(&bench);
    through(&session(&other).await, "p-1", &STAGES).await;
    let id = bench.customer("never", 1, 100).await;
    let lost = bench.admit(&id, 10, 10).await;
    bench.proxy.beat("p-1", &[Open { request: lost, output: 4 }]).await.unwrap();
    bench.crash().await;
    let session = session(&bench.proxy).await;
    let began = tokio::time::Instant::now();
    while !session.join("p-0", Stage::Resting, 2).await.unwrap().reached(Stage::Resting) {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(began.elapsed() + Duration::from_millis(200) > LEASE);
    through(&session, "p-0", &STAGES[2..]).await;
    bench.ledger.publish(Some(session.into_epoch()));
    assert_eq!(bench.reap(10).await, [lost]);
    assert_eq!(bench.quota(1).await, (14, 0));
}

/// Its lease passed while it was away, and what it had open was booked: that stays.
#[tokio::test]
async fn a_proxy_that_comes_too_late_books_nothing_twice() {
    let mut bench = Bench::durable(LIMITS).await;
    let id = bench.customer("late", 1, 100).await;
    let (open, ended) = (bench.admit(&id, 10, 10).await, bench.admit(&id, 10, 10).await);
    let mark = bench.mark().await;
    let ended = bench.settle("late", ended, 5).await;
    bench.crash_to(&mark).await;
    let (_, other) = proxy(&bench);
    let first = session(&other).await;
    sleep(LEASE + Duration::from_millis(50)).await;
    while !first.join("p-9", Stage::Reopened, 0).await.unwrap().reached(Stage::Reopened) {
        sleep(Duration::from_millis(20)).await;
    }
    bench.ledger.publish(Some(first.into_epoch()));
    let late = session(&bench.proxy).await;
    assert_eq!(bench.reap(10).await.len(), 2);
    assert_eq!(bench.quota(1).await, (20, 0));

    let joined = through(&late, "p-0", &STAGES[..2]).await;
    assert!(joined.has_lost(&ended.place));
    assert_eq!(replay(&late, &ended).await, Brought::Closed);
    assert_eq!(reopen(&late, &reservation("late", open), &ended, None).await, Brought::Closed);
    assert_eq!(bench.proxy.settle(open, &measured(3)).await.unwrap(), None);
    assert_eq!(bench.quota(1).await, (20, 0));
    assert_eq!(bench.events().await.len(), 2);
}

/// Restarted again before all had brought back what the first restart lost.
#[tokio::test]
async fn what_was_lost_two_restarts_ago_is_still_known_to_be_lost() {
    let mut bench = Bench::durable(LIMITS).await;
    let id = bench.customer("two", 1, 1_000).await;
    let (one, two) = (bench.admit(&id, 10, 10).await, bench.admit(&id, 10, 10).await);
    let mark = bench.mark().await;
    let (one, two) = (bench.settle("two", one, 5).await, bench.settle("two", two, 6).await);
    bench.crash_to(&mark).await;
    let interrupted = session(&bench.proxy).await;
    through(&interrupted, "p-0", &STAGES[..2]).await;
    let Brought::Back(moved) = replay(&interrupted, &one).await else { panic!("not back") };
    bench.crash().await;
    let again = session(&bench.proxy).await;
    let joined = through(&again, "p-0", &STAGES[..2]).await;
    assert!(joined.has_lost(&one.place) && joined.has_lost(&two.place));
    assert!(!joined.has_lost(&moved));
    assert!(matches!(replay(&again, &two).await, Brought::Back(_)));
    through(&again, "p-0", &STAGES[2..]).await;
    assert_eq!(bench.quota(1).await, (11, 0));
    let requests = [&one, &two].map(|one| one.reservation.request);
    assert_eq!(bench.events().await, requests);
}

/// Nobody else knows of it, since its proxy is gone.
#[tokio::test]
async fn what_was_reaped_is_brought_back_by_who_reaped_it() {
    let mut bench = Bench::durable(LIMITS).await;
    let id = bench.customer("reaped", 1, 1_000).await;
    let lost = bench.admit(&id, 10, 10).await;
    sleep(LEASE).await;
    let mark = bench.mark().await;
    bench.proxy.beat("p-0", &[Open { request: lost, output: 2 }]).await.unwrap();
    sleep(LEASE + Duration::from_millis(20)).await;
    let reaped = bench.proxy.reap(10).await.unwrap().remove(0);
    assert_eq!(reaped.reservation, reservation("reaped", lost));
    let end = (reaped.settlement.outcome, reaped.settlement.charged);
    assert_eq!(end, (Outcome::Expired, 12));
    bench.crash_to(&mark).await;
    let session = session(&bench.proxy).await;
    let joined = through(&session, "p-0", &STAGES[..2]).await;
    assert!(joined.has_lost(&reaped.place));
    assert!(matches!(replay(&session, &reaped).await, Brought::Back(_)));
    through(&session, "p-0", &STAGES[2..]).await;
    // As it was booked first, which the ledger may have, and not as it would be booked now.
    assert_eq!(bench.quota(1).await, (12, 0));
    bench.ledger.publish(Some(session.into_epoch()));
    assert_eq!(bench.reap(10).await, []);
}

#[tokio::test]
async fn an_event_whose_answer_was_lost_is_found_and_not_brought_twice() {
    let mut bench = Bench::durable(LIMITS).await;
    let id = bench.customer("find", 1, 1_000).await;
    let (heard, never) = (bench.admit(&id, 10, 10).await, bench.admit(&id, 10, 10).await);
    let place = bench.settle("find", heard, 5).await.place;
    bench.crash().await;
    let session = session(&bench.proxy).await;
    let joined = through(&session, "p-0", &STAGES[..2]).await;
    let found = session.find(heard.unix_ms() - 10_000, &[heard, never]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert!(!joined.has_lost(&found[&heard]) && !joined.has_lost(&place));
    let later = session.find(heard.unix_ms() + 60_000, &[heard]).await.unwrap();
    assert!(later.is_empty());
}

/// Half of a script's writes would be a quota without its event.
#[tokio::test]
async fn a_log_that_ends_within_a_settlement_has_none_of_it() {
    for part in 1..6 {
        let mut bench = Bench::durable(LIMITS).await;
        let id = bench.customer("torn", 1, 1_000).await;
        let request = bench.admit(&id, 10, 10).await;
        let before = bench.mark().await;
        bench.settle("torn", request, 5).await;
        let after = bench.mark().await;
        let length = before.length + (after.length - before.length) * part / 6;
        bench.crash_to(&Mark { length, ..before }).await;
        assert_eq!(bench.quota(1).await, (0, 20), "{part}");
        assert_eq!(bench.redis::<u32>("XLEN oc:usage").await, 0);
        assert_eq!(bench.redis::<u32>("ZCARD oc:leases").await, 1);
    }
}
