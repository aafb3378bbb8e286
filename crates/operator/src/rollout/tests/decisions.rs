//! Single decisions.

use oc_domain::TenantId;

use super::*;

fn fleet(size: usize) -> Vec<Member> {
    (0..size).map(member).collect()
}

fn running(fleet: &[Member], wave: u32, now: i64) -> Plan {
    plan(&rollout(Status::Running, wave), fleet, &Policy::default(), seconds(now))
}

/// The fleet after the first `count` of the order got the revision at that time.
fn with_updated(mut fleet: Vec<Member>, count: usize, at: i64, health: &Health) -> Vec<Member> {
    let policy = Policy { parallel: Some(u32::MAX), shares: vec![100], ..Policy::default() };
    let order = plan(&rollout(Status::Running, 0), &fleet, &policy, seconds(0)).admit;
    for id in order.iter().take(count) {
        let one = fleet.iter_mut().find(|one| one.id == *id).unwrap();
        one.applied = Some(Applied { revision: NEW.to_owned(), at: seconds(at) });
        one.health = health.clone();
    }
    fleet
}

fn refusal(since: i64) -> Refusal {
    Refusal { since: seconds(since), reason: "Invalid".to_owned() }
}

#[test]
fn the_first_wave_is_one_percent_and_one_tenant_at_least() {
    for (size, first) in [(1, 1), (99, 1), (100, 1), (101, 2), (1000, 10)] {
        assert_eq!(running(&fleet(size), 0, 0).admit.len(), first, "of {size}");
    }
}

#[test]
fn named_canaries_go_first_where_they_are_well() {
    let mut fleet = fleet(200);
    let canaries: Vec<TenantId> = [7, 8, 9].map(|number| member(number).id).into();
    fleet[8].health = unready(-60);
    fleet[9].health = Health::Suspended;
    let policy = Policy { canaries: canaries.clone(), ..Policy::default() };
    let admit =
        |fleet: &[Member]| plan(&rollout(Status::Running, 0), fleet, &policy, seconds(0)).admit;
    assert_eq!(admit(&fleet), canaries[..1]);
    fleet[7].health = unready(-60);
    assert_eq!(admit(&fleet).len(), 2, "the first share");
}

#[test]
fn each_revision_has_another_order() {
    let (fleet, mut other) = (fleet(1000), rollout(Status::Running, 0));
    other.revision = "0000000000cc".to_owned();
    let second = plan(&other, &fleet, &Policy::default(), seconds(0)).admit;
    assert_ne!(running(&fleet, 0, 0).admit, second);
}

#[test]
fn as_many_are_updated_as_may_be_unready() {
    let ten = |size: usize| running(&fleet(size), 3, 0).admit.len();
    assert_eq!([ten(5), ten(400), ten(1000)], [5, 10, 20]);
    let fleet = with_updated(fleet(400), 4, 10, &unready(10));
    assert_eq!(running(&fleet, 3, 20).admit.len(), 6);
}

#[test]
fn who_was_sick_before_does_not_count() {
    let fleet = with_updated(fleet(400), 9, 10, &unready(-500));
    let plan = running(&fleet, 3, 5000);
    assert_eq!((plan.admit.len(), plan.next), (10, None));
}

#[test]
fn a_sickness_of_the_second_of_the_update_is_of_the_update() {
    // The status says 12:00:10, the update was at 12:00:10.4.
    let since = Timestamp::from_second(seconds(10).as_second()).unwrap();
    let health = Health::Unready { since, reason: "NotReady".to_owned() };
    let plan = running(&with_updated(fleet(50), 1, 10, &health), 0, 700);
    assert_eq!(plan.next.map(|next| next.status), Some(Status::RolledBack));
}

#[test]
fn new_tenants_and_changed_ones_get_the_running_revision_whatever_the_status() {
    use Status::{Aborted, Done, Paused, RolledBack, Running};
    let mut fleet = fleet(30);
    (fleet[3].joined, fleet[4].applied) = (true, None);
    let (changed, new) = (fleet[3].id.clone(), fleet[4].id.clone());
    for status in [Running, Paused, Done, RolledBack, Aborted] {
        let plan = plan(&rollout(status, 1), &fleet, &Policy::default(), seconds(60));
        assert!(plan.admit.contains(&changed) && plan.admit.contains(&new), "{status}");
        assert!(status != Paused || plan.admit.len() == 2);
    }
    let fleet = [Member { joined: true, ..updated(1, 10, unready(10)) }];
    let plan = plan(&rollout(RolledBack, 0), &fleet, &Policy::default(), seconds(60));
    assert!(plan.rollback.is_empty() && plan.admit.is_empty());
}

#[test]
fn a_wave_is_over_when_it_has_been_healthy_for_the_soak() {
    let fleet = with_updated(fleet(50), 1, 10, &ready(40));
    let early = running(&fleet, 0, 99);
    assert_eq!((early.next, early.recheck_at), (None, Some(seconds(100))));
    let over = running(&fleet, 0, 100).next.unwrap();
    assert_eq!((over.status, over.wave), (Status::Running, 1));
}

#[test]
fn waves_that_add_nobody_are_passed_over() {
    let fleet = with_updated(fleet(1), 1, 10, &ready(40));
    assert_eq!(running(&fleet, 0, 100).next.map(|next| next.status), Some(Status::Done));
    assert_eq!(running(&[], 0, 0).next.map(|next| next.status), Some(Status::Done));
}

#[test]
fn suspended_tenants_come_last_and_beside_the_bound() {
    let mut fleet = fleet(40);
    fleet.iter_mut().skip(10).for_each(|one| one.health = Health::Suspended);
    let plan = running(&fleet, 0, 0);
    assert!(fleet.iter().take(10).any(|one| plan.admit == [one.id.clone()]));
    assert_eq!(running(&fleet, 3, 0).admit.len(), 40);
}

#[test]
fn a_canary_that_fails_takes_the_revision_back_and_is_named() {
    let fleet = with_updated(fleet(50), 1, 10, &unready(11));
    assert_eq!(running(&fleet, 0, 610).recheck_at, Some(seconds(611)));
    let next = running(&fleet, 0, 611).next.unwrap();
    assert_eq!((next.status, next.wave), (Status::RolledBack, 0));
    let failed = fleet.iter().find(|one| one.health != member(0).health).unwrap();
    let reason = format!("wave 1 of 4: 1 of 1 failed: {} (NeverReady)", failed.id);
    assert_eq!(next.reason, Some(reason));
}

#[test]
fn a_large_wave_bears_a_few_that_fail() {
    let some = |failed| {
        let fleet = with_updated(fleet(200), 100, 10, &ready(40));
        with_updated_to(fleet, failed, &unready(40))
    };
    assert_eq!(running(&some(5), 2, 700).next.map(|next| next.wave), Some(3));
    assert_eq!(running(&some(6), 2, 700).next.map(|next| next.status), Some(Status::RolledBack));
}

/// The fleet after `count` of those that are updated got that health.
fn with_updated_to(mut fleet: Vec<Member>, count: usize, health: &Health) -> Vec<Member> {
    let updated = fleet.iter_mut().filter(|one| one.has(NEW));
    updated.take(count).for_each(|one| one.health = health.clone());
    fleet
}

#[test]
fn failures_that_leave_no_room_for_others_end_a_rollout() {
    let policy = Policy { parallel: Some(3), ..Policy::default() };
    let fleet = with_updated(fleet(200), 3, 10, &unready(10));
    let plan = plan(&rollout(Status::Running, 2), &fleet, &policy, seconds(610));
    assert_eq!(plan.next.map(|next| next.status), Some(Status::RolledBack));
}

#[test]
fn a_wave_that_does_not_stay_healthy_is_taken_back() {
    let flaps = |since| with_updated(fleet(50), 1, 10, &unready(since));
    assert_eq!(running(&flaps(650), 0, 669).next, None);
    let next = running(&flaps(650), 0, 670).next.unwrap();
    assert_eq!(next.reason.as_deref(), Some("wave 1 of 4: it does not stay healthy"));
}

#[test]
fn nobody_waits_for_who_was_refused_before_or_for_long() {
    let mut fleet = with_updated(fleet(40), 39, 10, &ready(40));
    let last = fleet.iter_mut().find(|one| !one.has(NEW)).unwrap();
    let id = last.id.clone();
    last.refused = Some(refusal(-60));
    let plan = running(&fleet, 3, 200);
    assert_eq!(plan.next.map(|next| next.status), Some(Status::Done));
    fleet.iter_mut().filter(|one| one.id == id).for_each(|one| one.refused = Some(refusal(100)));
    let waits = running(&fleet, 3, 200);
    assert_eq!((waits.next, waits.admit, waits.recheck_at), (None, vec![id], Some(seconds(700))));
    assert_eq!(running(&fleet, 3, 700).next.map(|next| next.status), Some(Status::Done));
}

#[test]
fn those_that_suffer_go_back_first_and_no_more_at_once_than_may() {
    let policy = Policy { parallel: Some(4), ..Policy::default() };
    let mut fleet = with_updated(fleet(50), 20, -30, &ready(-20));
    fleet = with_updated_to(fleet, 2, &unready(-10));
    let back = |fleet: &[Member], now| {
        plan(&rollout(Status::RolledBack, 1), fleet, &policy, seconds(now)).rollback
    };
    let first = back(&fleet, 0);
    let sick = |one: &&Member| matches!(one.health, Health::Unready { .. });
    assert_eq!(first.len(), 4);
    assert!(fleet.iter().filter(sick).all(|one| first[..2].contains(&one.id)));
    // Three of them are on their way; what stays unready shall not hold up the rest.
    for one in fleet.iter_mut().filter(|one| first[..3].contains(&one.id)) {
        one.applied = Some(Applied { revision: OLD.to_owned(), at: seconds(1) });
        one.health = unready(1);
    }
    assert_eq!((back(&fleet, 2).len(), back(&fleet, 601).len()), (1, 4));
}

#[test]
fn a_revision_that_was_given_up_is_not_begun_again_by_itself() {
    let start =
        |from: Option<&str>, supersedes| Some(Start { from: from.map(str::to_owned), supersedes });
    let other = "0000000000cc";
    assert_eq!(due(None, NEW), start(None, false));
    for status in [Status::Running, Status::Paused, Status::Done, Status::RolledBack] {
        assert_eq!(due(Some(&rollout(status, 1)), NEW), None);
    }
    assert_eq!(due(Some(&rollout(Status::Done, 3)), other), start(Some(NEW), false));
    assert_eq!(due(Some(&rollout(Status::RolledBack, 0)), other), start(Some(OLD), false));
    assert_eq!(due(Some(&rollout(Status::Running, 1)), other), start(Some(OLD), true));
}

#[test]
fn a_report_has_the_waves_and_who_failed() {
    let mut fleet = with_updated(fleet(40), 4, 10, &ready(40));
    fleet = with_updated_to(fleet, 1, &unready(40));
    let state = rollout(Status::Running, 1);
    let report = describe(&state, &fleet, &Policy::default(), seconds(700));
    let rows = report.waves.iter();
    let rows: Vec<_> = rows.map(|row| [row.members, row.updated, row.ready, row.failed]).collect();
    let sum = |index| rows.iter().map(|row: &[usize; 4]| row[index]).sum::<usize>();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), [1, 3, 16, 20]);
    assert_eq!([sum(1), sum(2), sum(3)], [4, 3, 1]);
    assert_eq!((report.wave, report.failed.len(), report.parallel), (2, 1, 10));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["status"], &json["from"]), (&"running".into(), &OLD.into()));
    assert_eq!(json["failed"][0]["reason"], "NeverReady");
}
