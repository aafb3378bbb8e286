//! Whatever happens to the fleet and to the operator.

use proptest::{collection::vec, option, prelude::*};

use super::{
    super::waves::Waves,
    fleet::{Nature, Simulated, World},
    *,
};

/// What happens, after so many milliseconds.
#[derive(Clone, Debug)]
enum Event {
    Nothing,
    Pause,
    Resume,
    /// The spec of a tenant changes.
    Join(usize),
    Suspend(usize),
    Wake(usize),
}

type Step = (i64, Event, usize);

fn any_step() -> impl Strategy<Value = Step> {
    let event = prop_oneof![
        12 => Just(Event::Nothing),
        1 => Just(Event::Pause),
        2 => Just(Event::Resume),
        1 => any::<usize>().prop_map(Event::Join),
        1 => any::<usize>().prop_map(Event::Suspend),
        1 => any::<usize>().prop_map(Event::Wake),
    ];
    (1..40_000_i64, event, prop_oneof![0..4_usize, Just(1000)])
}

/// Tenants that nothing happens to but the rollout, so that somebody is there to show it.
const QUIET: usize = 3;

fn any_nature(sick: f64, breaks: f64) -> impl Strategy<Value = Nature> {
    let one = (proptest::bool::weighted(sick), proptest::bool::weighted(breaks));
    one.prop_map(|one| match one {
        (true, _) => Nature::Sick,
        (false, true) => Nature::BreaksOnTheNew,
        (false, false) => Nature::Sound,
    })
}

fn any_tenant(breaks: f64) -> impl Strategy<Value = Simulated> {
    (
        1..90_000_i64,
        any_nature(0.15, breaks),
        proptest::bool::weighted(0.15),
        proptest::bool::weighted(0.1),
    )
        .prop_map(|(boot, nature, suspended, new)| {
            let mut member = member(0);
            if nature == Nature::Sick || new {
                member.health = unready(-4000);
            }
            if new {
                (member.applied, member.joined) = (None, true);
            }
            if suspended && !new {
                member.health = Health::Suspended;
            }
            Simulated::new(member, boot, nature)
        })
}

fn any_world(breaks: f64) -> impl Strategy<Value = World> {
    let policy = (option::of(1..12_u32), vec(0..90_usize, 0..3));
    let quiet = vec((1..90_000_i64, any_nature(0.0, breaks)), QUIET);
    (vec(any_tenant(breaks), 0..80), quiet, policy).prop_map(
        |(tenants, quiet, (parallel, named))| {
            let quiet =
                quiet.into_iter().map(|(boot, nature)| Simulated::new(member(0), boot, nature));
            let mut fleet: Vec<Simulated> = quiet.chain(tenants).collect();
            for (number, one) in fleet.iter_mut().enumerate() {
                one.member.id = member(number).id;
            }
            let canaries = named.into_iter().map(|number| member(number).id).collect();
            let policy = Policy { canaries, parallel, ..Policy::default() };
            World { fleet, rollout: rollout(Status::Running, 0), policy, now: time(0) }
        },
    )
}

/// What is asked of every moment.
fn check(world: &World, before: &Rollout, plan: &Plan) -> Result<(), TestCaseError> {
    prop_assert!(world.down_by_wave() <= world.parallel(), "{} down", world.down_by_wave());
    prop_assert!(plan.recheck_at.is_none_or(|at| at > world.now));
    let status = world.rollout.status;
    if before.status == Status::Running
        && (world.rollout.wave > before.wave || status == Status::Done)
    {
        let soak = world.policy.soak;
        let members = world.members();
        let waves = Waves::new(before, &members, &world.policy);
        let wave: Vec<&Member> = waves.members(usize::try_from(before.wave).unwrap()).collect();
        prop_assert!(wave.iter().all(|one| one.has(NEW) || one.joined || one.applied.is_none()));
        let counted: Vec<_> =
            wave.iter().filter(|one| one.counts(NEW, before.started_at)).collect();
        let well =
            counted.iter().filter(|one| one.ready_since().is_some_and(|at| at + soak <= world.now));
        prop_assert!(well.count() * 100 >= counted.len() * 95);
    }
    Ok(())
}

fn happen(world: &mut World, event: &Event) {
    let others = world.fleet.len() - QUIET;
    let pick = |number: usize| (others > 0).then(|| QUIET + number % others.max(1));
    let now = world.now;
    match *event {
        Event::Pause if world.rollout.status == Status::Running => {
            world.rollout.status = Status::Paused;
        }
        Event::Resume if world.rollout.status == Status::Paused => {
            (world.rollout.status, world.rollout.wave_since) = (Status::Running, now);
        }
        Event::Nothing | Event::Pause | Event::Resume => {}
        Event::Join(number) | Event::Suspend(number) | Event::Wake(number) => {
            let Some(one) = pick(number).and_then(|index| world.fleet.get_mut(index)) else {
                return;
            };
            one.member.joined = true;
            let rests = one.member.health == Health::Suspended;
            match event {
                Event::Suspend(_) => one.suspend(),
                Event::Wake(_) if rests => {
                    let revision = if one.has(NEW) { NEW } else { OLD };
                    one.member.health = Health::Unready { since: now, reason: "NoPod".to_owned() };
                    one.restart(revision, now);
                }
                _ => {}
            }
        }
    }
}

/// Lives through the steps, then until nothing happens any more.
fn live(world: &mut World, steps: &[Step]) -> Result<(), TestCaseError> {
    for (wait, event, most) in steps {
        world.pass(*wait);
        happen(world, event);
        let (before, plan) = (world.rollout.clone(), world.plan());
        if before.status == Status::Paused {
            let joins = |id: &oc_domain::TenantId| {
                world.fleet.iter().any(|one| one.member.id == *id && one.member.joined)
            };
            prop_assert!(plan.admit.iter().all(joins));
            prop_assert!(plan.next.is_none() && plan.rollback.is_empty());
        }
        world.obey(&plan, *most);
        check(world, &before, &plan)?;
    }
    happen(world, &Event::Resume);
    for _ in 0..20_000 {
        let (before, plan) = (world.rollout.clone(), world.plan());
        world.obey(&plan, 1000);
        check(world, &before, &plan)?;
        let idle = plan.next.is_none() && plan.admit.is_empty() && plan.rollback.is_empty();
        match world.quiet_for(&plan) {
            None if idle && world.rollout.status.has_ended() => return Ok(()),
            wait => world.pass(wait.filter(|_| idle).unwrap_or(1)),
        }
    }
    Err(TestCaseError::fail("it does not come to an end"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn a_good_revision_comes_to_everyone(
        mut world in any_world(0.0), steps in vec(any_step(), 0..60),
    ) {
        live(&mut world, &steps)?;
        prop_assert_eq!(world.rollout.status, Status::Done, "{:?}", world.rollout.reason);
        prop_assert!(world.fleet.iter().all(|one| one.has(NEW)));
    }

    #[test]
    fn a_bad_revision_touches_the_canaries_alone_and_is_taken_back(
        mut world in any_world(1.0), steps in vec(any_step(), 0..60),
    ) {
        live(&mut world, &steps)?;
        prop_assert_eq!(world.rollout.status, Status::RolledBack);
        let joined = |one: &&Simulated| one.member.joined;
        prop_assert!(world.fleet.iter().filter(|one| !joined(one)).all(|one| one.has(OLD)));
        prop_assert!(world.fleet.iter().filter(joined).all(|one| one.has(NEW)));
        // A canary that left by a change of its own has a successor.
        let left = world.fleet.iter().filter(|one| one.touched_by_wave && one.member.joined).count();
        let touched = world.fleet.iter().filter(|one| one.touched_by_wave).count();
        prop_assert!(touched - left <= world.policy.canaries.len().max(1), "{touched} touched");
    }

    #[test]
    fn a_revision_that_some_do_not_bear_comes_to_an_end(
        mut world in any_world(0.06), steps in vec(any_step(), 0..60),
    ) {
        live(&mut world, &steps)?;
        let still = if world.rollout.status == Status::Done { OLD } else { NEW };
        prop_assert!(!world.fleet.iter().any(|one| one.has(still) && !one.member.joined));
    }

    #[test]
    fn nothing_changes_before_the_moment_that_was_named(
        mut world in any_world(0.3), steps in vec(any_step(), 0..60), later in 1..2_000_000_i64,
    ) {
        for (wait, event, most) in &steps {
            world.pass(*wait);
            happen(&mut world, event);
            let plan = world.plan();
            world.obey(&plan, *most);
        }
        let said = world.plan();
        let (members, later) = (world.members(), world.now + SignedDuration::from_millis(later));
        if said.recheck_at.is_none_or(|at| later < at) {
            prop_assert_eq!(plan(&world.rollout, &members, &world.policy, later), said);
        }
    }
}
