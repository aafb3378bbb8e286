//! Who is told what, and when.

use super::{
    pods::{crash_loop, healthy, not_ready},
    *,
};

fn told(assessment: &Assessment, episode: Option<Episode>, time: &str) -> Vec<String> {
    let tenant = "c-7f3k2m9q".parse().unwrap();
    let notices = notices(&tenant, assessment, episode, at(time));
    notices.into_iter().map(|notice| notice.kind).collect()
}

#[test]
fn the_customer_is_told_after_five_minutes_and_ops_after_ten() {
    let sick = said(&pod(not_ready()), "12:30:00");
    let episode = Episode::begin(at("12:30:00"));
    assert!(told(&sick, Some(episode), "12:34:59").is_empty());
    assert_eq!(told(&sick, Some(episode), "12:35:00"), ["agent_unhealthy"]);
    assert_eq!(episode.recheck_at(at("12:34:59")), Some(at("12:35:00")));
    let episode = Episode { customer_told: true, ..episode };
    assert!(told(&sick, Some(episode), "12:39:59").is_empty());
    assert_eq!(told(&sick, Some(episode), "12:40:00"), ["ops_agent_unhealthy"]);
    assert_eq!(episode.recheck_at(at("12:35:00")), Some(at("12:40:00")));
    let episode = Episode { ops_told: true, ..episode };
    assert!(told(&sick, Some(episode), "20:00:00").is_empty());
    assert_eq!(episode.recheck_at(at("12:35:00")), None);
}

#[test]
fn ops_are_told_of_a_crash_loop_and_of_a_spent_budget_at_once() {
    let episode = Some(Episode::begin(at("12:20:00")));
    let crashing = said(&pod(crash_loop()), "12:20:00");
    assert_eq!(told(&crashing, episode, "12:20:00"), ["ops_agent_unhealthy"]);
    let spent = Assessment { budget_spent: true, ..said(&pod(not_ready()), "12:30:00") };
    assert_eq!(told(&spent, episode, "12:20:00"), ["ops_agent_unhealthy"]);
}

#[test]
fn a_recovery_is_told_to_who_was_told_of_the_trouble() {
    let well = said(&pod(healthy()), "12:40:00");
    let episode = Episode::begin(at("12:30:00"));
    assert!(told(&well, Some(episode), "12:40:00").is_empty());
    let episode = Episode { customer_told: true, ..episode };
    assert_eq!(told(&well, Some(episode), "12:40:00"), ["agent_recovered"]);
    assert!(told(&well, None, "12:40:00").is_empty());
}

#[test]
fn a_suspension_is_no_recovery() {
    let (pods, budget) = ([pod(healthy())], Budget::default());
    let rests = assess(&Input { expected_since: None, ..input(&pods, &budget) }, at("12:40:00"));
    let episode = Episode { customer_told: true, ..Episode::begin(at("12:30:00")) };
    assert!(told(&rests, Some(episode), "12:40:00").is_empty());
}

#[test]
fn a_notice_of_one_episode_is_the_same_whenever_it_is_written() {
    let tenant = "c-7f3k2m9q".parse().unwrap();
    let sick = said(&pod(crash_loop()), "12:20:00");
    let episode = Episode::begin(at("12:20:00"));
    let write = |time| notices(&tenant, &sick, Some(episode), at(time));
    let (early, late) = (write("12:21:00"), write("12:59:00"));
    assert!(late.contains(&early[0]));
    assert_eq!(early[0].dedup_key, "ops_agent_unhealthy:c-7f3k2m9q:1795263600");
    let payload = serde_json::json!({
        "tenant": "c-7f3k2m9q", "reason": "CrashLoop", "since": "2026-11-21T12:20:00Z",
    });
    assert_eq!(early[0].payload, payload);
}
