//! Whatever the pods and the budget are.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{
    pods::{
        crash_loop, creating, evicted, healthy, killed_for_memory, leaving, not_ready,
        on_a_lost_node, pulling_in_vain, restarted, starting, unschedulable,
    },
    *,
};

fn second(offset: i64) -> Timestamp {
    at("12:00:00") + SignedDuration::from_secs(offset)
}

fn any_pod() -> impl Strategy<Value = Pod> {
    let make = select(vec![
        healthy,
        not_ready,
        starting,
        creating,
        pulling_in_vain,
        crash_loop,
        killed_for_memory,
        restarted,
        unschedulable,
        on_a_lost_node,
        evicted,
    ]);
    (make, any::<bool>(), 0..4000_i64).prop_map(|(make, leaves, created)| {
        let mut pod = pod(if leaves { leaving(make()) } else { make() });
        pod.created = second(created);
        pod
    })
}

#[derive(Clone, Debug)]
struct Scene {
    expected: Option<i64>,
    pods: Vec<Pod>,
    refused: bool,
    mount: bool,
    heartbeat: Option<i64>,
    taken: Vec<i64>,
}

impl Scene {
    fn budget(&self) -> Budget {
        let mut budget = Budget::default();
        for offset in &self.taken {
            budget.take(second(*offset));
        }
        budget
    }

    fn input<'a>(&'a self, budget: &'a Budget) -> Input<'a> {
        Input {
            expected_since: self.expected.map(second),
            pods: &self.pods,
            replica_failure: self.refused.then_some("exceeded quota"),
            failed_mount: self.mount.then_some("MountVolume.SetUp failed"),
            heartbeat: self.heartbeat.map(second),
            budget,
        }
    }
}

prop_compose! {
    fn any_scene()(
        expected in option::weighted(0.9, 0..4000_i64),
        pods in vec(any_pod(), 0..4),
        refused in any::<bool>(),
        mount in any::<bool>(),
        heartbeat in option::of(0..6000_i64),
        taken in vec(-4000..6000_i64, 0..4),
    ) -> Scene {
        Scene { expected, pods, refused, mount, heartbeat, taken }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_changes_before_the_moment_that_was_named(
        scene in any_scene(), now in 0..8000_i64, later in 1..4000_i64,
    ) {
        let budget = scene.budget();
        let input = scene.input(&budget);
        let (now, later) = (second(now), second(now + later));
        let said = assess(&input, now);
        prop_assert!(said.recheck_at.is_none_or(|at| at > now));
        if said.recheck_at.is_none_or(|at| later < at) {
            prop_assert_eq!(assess(&input, later), said);
        }
    }

    #[test]
    fn no_pod_is_replaced_that_is_ready_and_heard_of_or_on_its_way_out(
        scene in any_scene(), now in 0..8000_i64,
    ) {
        let budget = scene.budget();
        let said = assess(&scene.input(&budget), second(now));
        prop_assert_eq!(said.ready, scene.expected.is_some() && said.problem.is_none());
        if let Action::ReplacePod { .. } = said.action {
            prop_assert!(!said.ready && scene.expected.is_some());
            let pod = scene.pods.iter().filter(|one| one.lives()).max_by_key(|one| one.created);
            let pod = pod.unwrap();
            prop_assert!(!pod.lost && pod.placement == Placement::Assigned);
            prop_assert!(!pod.ready || reason(&said) == "Silent");
        }
    }

    #[test]
    fn no_hour_sees_more_than_three_replacements_and_each_waits_for_its_pause(
        steps in vec((1..900_i64, any::<bool>()), 1..200),
    ) {
        let sick = [pod(not_ready())];
        let (mut budget, mut taken, mut now) = (Budget::default(), Vec::new(), at("12:30:40"));
        for (wait, remembered) in steps {
            let said = assess(&input(&sick, &budget), now);
            if replaces(&said) {
                budget.take(now);
                taken.push(now);
            }
            if remembered {
                let text = serde_json::to_string(&budget).unwrap();
                budget = serde_json::from_str(&text).unwrap();
            }
            now += SignedDuration::from_secs(wait);
        }
        for (index, one) in taken.iter().enumerate() {
            let hour = taken[..=index].iter().filter(|at| **at + minutes(60) > *one).count();
            prop_assert!(hour <= 3, "{taken:?}");
            if let Some(next) = taken.get(index + 1) {
                let pause = minutes([1, 5, 15][hour - 1]);
                prop_assert!(next.duration_since(*one) >= pause, "{taken:?}");
            }
        }
    }
}
