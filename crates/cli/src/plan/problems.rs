//! What cannot be, said by name: an average hides a pod that fits nowhere.

use oc_domain::{TierId, inventory::Pool};
use strum::VariantArray;

use super::{
    amount::{Amount, Resource},
    outlook::{Kind, Problem},
    pack::Packing,
    planner::Planner,
    print::{amount, number},
    subject::Subject,
};

/// Every problem of `subject`, whose pods are placed as `packing` has them.
pub(super) fn find(planner: &Planner, subject: &Subject, packing: &Packing) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |kind, message| problems.push(Problem { kind, message });
    for machine in subject.machines.iter().filter(|machine| machine.closed) {
        let message = format!("node {} has a taint that no pod tolerates", machine.name);
        add(Kind::ClosedNode, message);
    }
    for (name, count) in &packing.homeless {
        let message = format!("{count} of the platform's {name} pods find no place");
        add(Kind::Platform, message);
    }
    for job in planner.demand.occasional.iter().filter(|job| !packing.has_place(job.each)) {
        let message = format!("the job {} finds no place beside what runs", job.name);
        add(Kind::Platform, message);
    }
    for (tier, waiting) in &packing.waiting {
        let (kind, why) = blame(*tier, planner, subject, packing);
        let counts = subject.counts(*tier);
        let all = counts.running + counts.held + counts.suspended;
        let (waiting, all) = (number(*waiting), number(all));
        add(kind, format!("{waiting} of {all} tenants of tier {tier} find no place: {why}"));
    }
    problems
}

/// Why tenants of a tier wait.
fn blame(tier: TierId, planner: &Planner, subject: &Subject, packing: &Packing) -> (Kind, String) {
    let wanted = planner.demand.tier(tier);
    let pool = wanted.pool;
    let rooms: Vec<Amount> = packing
        .rooms
        .iter()
        .filter(|room| room.pool == pool)
        .map(|room| room.allocatable)
        .collect();
    if rooms.is_empty() {
        return (Kind::NoNode, format!("pool {pool} has no node"));
    }
    if rooms.iter().all(|room| wanted.running.fits(*room) == 0) {
        return (Kind::PodTooLarge, too_large(wanted.running, &rooms, pool));
    }
    let nodes = rooms.len();
    if pool == Pool::Dedicated && subject.counts(tier).running > nodes as u64 {
        let why = format!("each needs a node of its own, pool {pool} has {nodes}");
        return (Kind::DedicatedNodes, why);
    }
    let relief = |resource: &&Resource| {
        !planner.pack_without_limit(subject, **resource).waiting.contains_key(&tier)
    };
    match Resource::VARIANTS.iter().find(relief) {
        Some(Resource::Volumes) => {
            let most = rooms.iter().map(|room| room.of(Resource::Volumes)).max();
            let most = most.unwrap_or_default();
            (Kind::VolumesPerNode, format!("a node of pool {pool} takes {most} volumes"))
        }
        Some(resource) => (Kind::NoRoom, format!("pool {pool} is out of {resource}")),
        None => (
            Kind::NoRoom,
            format!("pool {pool} is out of {}", several(planner, subject, packing, pool)),
        ),
    }
}

fn too_large(each: Amount, rooms: &[Amount], pool: Pool) -> String {
    let most = |resource: Resource| rooms.iter().map(|room| room.of(resource)).max();
    let over = Resource::VARIANTS.iter().find_map(|resource| {
        let most = most(*resource)?;
        (each.of(*resource) > most).then_some((*resource, most))
    });
    let Some((resource, most)) = over else {
        return format!("its pod is larger than any node of pool {pool}");
    };
    let asked = amount(resource, each.of(resource));
    let most = amount(resource, most);
    format!("its pod asks for {asked} of {resource}, no node of pool {pool} gives more than {most}")
}

/// The resources that are asked for beyond what there is, where no single one is to blame.
fn several(planner: &Planner, subject: &Subject, packing: &Packing, pool: Pool) -> String {
    let (asked, given) = (planner.requested(subject, pool), packing.allocatable(pool));
    let over = |resource: &&Resource| asked.of(**resource) > given.of(**resource);
    let names: Vec<String> =
        Resource::VARIANTS.iter().filter(over).map(ToString::to_string).collect();
    if names.is_empty() { "places of this size".to_owned() } else { names.join(" and ") }
}
