use futures::future::join_all;
use jiff::ToSpan;
use oc_store::{
    Error,
    renderings::{self, Rendering},
    rollouts::{
        self, Rollout,
        Status::{Aborted, Done, Paused, RolledBack, Running},
    },
};

use crate::support::{database, now, rendering, sql, tenant};

#[tokio::test]
async fn a_rollout_goes_from_wave_to_wave_and_ends_once() {
    let (store, _) = database().await;
    assert_eq!(rollouts::current(&store).await.unwrap(), None);
    let begun = rollouts::begin(&store, "r2", Some("r1"), now()).await.unwrap();
    let expected = Rollout {
        id: begun.id,
        revision: "r2".to_owned(),
        from_revision: Some("r1".to_owned()),
        status: Running,
        wave: 0,
        wave_since: now(),
        reason: None,
        started_at: now(),
        ended_at: None,
    };
    assert_eq!(begun, expected);
    let current = async || rollouts::current(&store).await.unwrap().unwrap();
    assert_eq!(current().await, expected);

    let at = |minutes: i64| now() + minutes.minutes();
    let advance = async |from, to, reason, minutes| {
        rollouts::advance(&store, begun.id, from, to, reason, at(minutes)).await.unwrap()
    };
    assert!(advance((Running, 0), (Running, 1), None, 1).await);
    assert!(!advance((Running, 0), (Running, 1), None, 2).await, "somebody else has");
    assert!(!advance((Paused, 1), (Running, 1), None, 2).await);
    assert_eq!(current().await, Rollout { wave: 1, wave_since: at(1), ..expected.clone() });

    assert!(advance((Running, 1), (Paused, 1), Some("c-1 is not healthy"), 3).await);
    let paused = current().await;
    assert_eq!((paused.status, paused.wave_since), (Paused, at(1)));
    assert_eq!(paused.reason.as_deref(), Some("c-1 is not healthy"));
    assert!(advance((Paused, 1), (Running, 1), None, 4).await);
    let resumed = current().await;
    assert_eq!((resumed.reason, resumed.wave_since, resumed.ended_at), (None, at(4), None));

    assert!(advance((Running, 1), (Done, 1), None, 5).await);
    let done = current().await;
    assert_eq!((done.status, done.wave_since, done.ended_at), (Done, at(4), Some(at(5))));
    for status in [Running, Paused, Aborted, Done] {
        assert!(!advance((Done, 1), (status, 1), None, 6).await, "what has ended stays so");
    }
    assert!(!rollouts::advance(&store, 99, (Done, 1), (Done, 1), None, now()).await.unwrap());
    assert_eq!(current().await, done);
}

#[tokio::test]
async fn at_most_one_rollout_has_not_ended() {
    let (store, _) = database().await;
    let begun = join_all((0..6).map(|_| rollouts::begin(&store, "r2", None, now()))).await;
    let (begun, refused): (Vec<_>, Vec<_>) = begun.into_iter().partition(Result::is_ok);
    let ids: Vec<i64> = begun.into_iter().map(|begun| begun.unwrap().id).collect();
    assert_eq!((ids.len(), refused.len()), (1, 5));
    for refused in refused {
        assert!(matches!(refused, Err(Error::RolloutNotEnded)), "{refused:?}");
    }
    let mut last = ids[0];
    for ended in [RolledBack, Aborted, Done] {
        let paused = (Paused, 0);
        assert!(rollouts::advance(&store, last, (Running, 0), paused, None, now()).await.unwrap());
        rollouts::begin(&store, "r3", None, now()).await.unwrap_err();
        assert!(
            rollouts::advance(&store, last, paused, (ended, 0), Some("?"), now()).await.unwrap()
        );
        last = rollouts::begin(&store, "r3", None, now()).await.unwrap().id;
    }
    let all = rollouts::list(&store, 100).await.unwrap();
    let statuses: Vec<_> = all.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [Running, Done, Aborted, RolledBack], "the newest first");
    assert_eq!(rollouts::list(&store, 2).await.unwrap(), all[..2]);
}

#[tokio::test]
async fn renderings_of_the_last_two_revisions_come_back_byte_for_byte() {
    let (store, url) = database().await;
    // People's own: there is no row of it.
    let own = tenant("c-own");
    assert_eq!(renderings::get(&store, &own, "r1").await.unwrap(), None);
    let one = |revision: &str, byte: u8| Rendering {
        revision: revision.to_owned(),
        digest: byte.to_string(),
        objects: vec![byte; 3],
        ..rendering("c-own")
    };
    let other = Rendering { tenant: tenant("c-other"), ..one("r1", 9) };
    renderings::put(&store, &other, now()).await.unwrap();
    let put = [one("r1", 1), one("r2", 2), one("r2", 0), one("r3", 3), one("r2", 4)];
    for (at, rendering) in put.iter().enumerate() {
        let at = now() + i64::try_from(at).unwrap().seconds();
        renderings::put(&store, rendering, at).await.unwrap();
        let found = renderings::get(&store, &own, &rendering.revision).await.unwrap();
        assert_eq!(found.as_ref(), Some(rendering));
    }
    let known = renderings::list(&store).await.unwrap();
    let known: Vec<_> =
        known.iter().map(|it| (it.tenant.as_str(), &*it.revision, &*it.digest)).collect();
    assert_eq!(known, [("c-other", "r1", "9"), ("c-own", "r3", "3"), ("c-own", "r2", "4")]);
    assert_eq!(renderings::remove(&store, &own).await.unwrap(), 2);
    assert_eq!(renderings::remove(&store, &own).await.unwrap(), 0);
    assert_eq!(sql(&url, "select tenant_id from renderings").await, "c-other");
}
