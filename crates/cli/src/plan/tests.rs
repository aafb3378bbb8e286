//! The planner held against a model that is slow and obvious: one pod at a time, one node at a time,
//! one tenant's money at a time.

use std::{collections::BTreeMap, sync::LazyLock};

use oc_domain::{
    Inventory, TierId,
    catalog::{Isolation, Limit},
    inventory::{Location, Pool, Role, server_type},
};
use proptest::prelude::*;
use serde_json::json;
use strum::VariantArray;

use super::{
    outlook::{Kind, Outlook},
    planner::Planner,
    subject::{Counts, Machine, Subject, WhatIf},
};

const TYPES: [&str; 7] = ["cx23", "cx33", "cx43", "cx53", "cax21", "ccx13", "cpx51"];
const CLASSES: [&str; 3] = ["local-path", "hcloud-volumes", "of-somebody-else"];
const POOLS: [Pool; 3] = [Pool::Platform, Pool::Shared, Pool::Dedicated];

/// Planners of one cluster with each of [`CLASSES`].
static PLANNERS: LazyLock<BTreeMap<&str, Planner>> =
    LazyLock::new(|| CLASSES.map(|class| (class, build(class))).into());

fn planner(class: &str) -> &'static Planner {
    &PLANNERS[class]
}

fn build(class: &str) -> Planner {
    let inventory = json!({
        "cluster": {
            "domain": "openclaw.example.org",
            "acmeEmail": "ops@openclaw.example.org",
            "k3sVersion": "v1.36.3+k3s1",
            "privateNetwork": "10.0.0.0/16",
            "clusterCidr": "10.42.0.0/16",
            "serviceCidr": "10.43.0.0/16",
            "dataPlane": {
                "tokenProxy": "10.43.0.20", "channels": "10.43.0.21",
                "browserProxy": "10.43.0.22", "egressProxy": "10.43.0.23",
            },
            "storageClass": class,
            "image": { "registry": "registry.openclaw.example.org/openclaw", "tag": "0.1.0" },
            "fleetRemote": "git@git.openclaw.example.org:openclaw/fleet.git",
            "s3": {
                "endpoint": "https://fsn1.your-objectstorage.com", "bucket": "openclaw-backups",
                "region": "fsn1", "networks": ["198.51.100.0/24"],
            },
        },
        "nodes": [{
            "name": "cp-1", "role": "server", "initial": true, "serverType": "cx33",
            "location": "fsn1", "publicAddress": "203.0.113.11", "privateAddress": "10.0.0.11",
            "pool": "platform",
        }],
    });
    let inventory = Inventory::parse("inventory", inventory.to_string().as_bytes()).unwrap();
    Planner::plain(&inventory).unwrap()
}

fn machine(name: &str, server: &str, pool: Pool, role: Role) -> Machine {
    Machine {
        name: name.to_owned(),
        server_type: server.to_owned(),
        server: server_type(server).unwrap(),
        role,
        location: Location::Fsn1,
        pool,
        closed: false,
    }
}

fn running(tenants: &[(TierId, u64)], machines: Vec<Machine>) -> Subject {
    let counts = |running| Counts { running, ..Counts::default() };
    let tiers = tenants.iter().map(|(tier, count)| (*tier, counts(*count))).collect();
    Subject { tiers, machines }
}

/// A node, dimension by dimension.
#[derive(Clone, Debug)]
struct SlowNode {
    pool: Pool,
    whole: [u64; 5],
    free: [u64; 5],
}

impl SlowNode {
    fn new(machine: &Machine, class: &str) -> Self {
        let server = machine.server;
        let memory = u64::from(server.memory_gib) * 1024;
        let disk = u64::from(server.disk_gib) * 1024;
        let (cpu_kept, k3s) = if machine.role == Role::Server { (500, 1532) } else { (200, 263) };
        let kernel = (memory * 3).div_ceil(100);
        let mut whole = [
            (u64::from(server.vcpus) * 1000).saturating_sub(cpu_kept),
            memory.saturating_sub(kernel + k3s + 512 + 100),
            disk.saturating_sub((disk * 15).div_ceil(100) + 10_240),
            if machine.pool == Pool::Dedicated { 1 } else { 110 },
            if class == "hcloud-volumes" { 16 } else { u64::MAX },
        ];
        if machine.closed {
            whole = [0; 5];
        }
        Self { pool: machine.pool, whole, free: whole }
    }

    fn take(&mut self, pod: [u64; 5]) -> bool {
        let fits = pod.iter().zip(self.free).all(|(asked, free)| *asked <= free);
        if fits {
            for (free, asked) in self.free.iter_mut().zip(pod) {
                *free -= if *free == u64::MAX { 0 } else { asked };
            }
        }
        fits
    }
}

fn slow_demand(tier: TierId, class: &str) -> ([u64; 5], [u64; 5]) {
    let tier = tier.get();
    let disk = if class == "local-path" { u64::from(tier.storage_gib) * 1024 } else { 0 };
    let memory = u64::from(tier.memory_mib.request).max(1024);
    ([u64::from(tier.cpu_millis.request), memory, 128 + disk, 1, 1], [0, 0, disk, 0, 0])
}

fn slow_pool(tier: TierId) -> Pool {
    match tier.get().isolation {
        Isolation::Shared => Pool::Shared,
        Isolation::Dedicated => Pool::Dedicated,
    }
}

/// The largest part of what the pools have, in millionths.
fn slow_share(pod: [u64; 5], nodes: &[SlowNode], pools: &[Pool]) -> u64 {
    let mut largest = 0;
    for (dimension, asked) in pod.into_iter().enumerate() {
        let here = nodes.iter().filter(|node| pools.contains(&node.pool));
        let total: u128 = here.map(|node| u128::from(node.whole[dimension])).sum();
        if asked == 0 || total >= u128::from(u64::MAX) {
            continue;
        }
        let share = (u128::from(asked) * 1_000_000).checked_div(total);
        largest = largest.max(share.map_or(u64::MAX, |share| u64::try_from(share).unwrap()));
    }
    largest
}

fn slow_place(nodes: &mut [SlowNode], pools: &[Pool], pod: [u64; 5]) -> bool {
    for pool in pools {
        if nodes.iter_mut().any(|node| node.pool == *pool && node.take(pod)) {
            return true;
        }
    }
    false
}

/// Who waits, and how many more of each tier fit.
#[derive(Debug, PartialEq)]
struct Slow {
    waiting: BTreeMap<TierId, u64>,
    room: BTreeMap<TierId, u64>,
    homeless: u64,
}

fn slow(planner: &Planner, subject: &Subject, class: &str) -> Slow {
    let mut nodes: Vec<SlowNode> =
        subject.machines.iter().map(|machine| SlowNode::new(machine, class)).collect();
    let both = [Pool::Platform, Pool::Shared];
    let mut pods = Vec::new();
    for load in &planner.demand.platform {
        for _ in 0..load.count {
            pods.push((load.name.clone(), load.each.0));
        }
    }
    pods.sort_by_key(|(name, pod)| (u64::MAX - slow_share(*pod, &nodes, &both), name.clone()));
    let mut slow = Slow { waiting: BTreeMap::new(), room: BTreeMap::new(), homeless: 0 };
    for (_, pod) in pods {
        slow.homeless += u64::from(!slow_place(&mut nodes, &both, pod));
    }
    let mut tenants = Vec::new();
    for (tier, counts) in &subject.tiers {
        let (with_pod, without) = slow_demand(*tier, class);
        tenants.extend((0..counts.running).map(|_| (*tier, with_pod)));
        tenants.extend((0..counts.held + counts.suspended).map(|_| (*tier, without)));
    }
    tenants.sort_by_key(|(tier, pod)| {
        (u64::MAX - slow_share(*pod, &nodes, &[slow_pool(*tier)]), *tier)
    });
    for (tier, pod) in tenants {
        let nothing = pod == [0; 5];
        if !nothing && !slow_place(&mut nodes, &[slow_pool(tier)], pod) {
            *slow.waiting.entry(tier).or_default() += 1;
        }
    }
    for tier in TierId::VARIANTS {
        let mut left = nodes.clone();
        let mut more = 0;
        while slow_place(&mut left, &[slow_pool(*tier)], slow_demand(*tier, class).0) {
            more += 1;
        }
        slow.room.insert(*tier, more);
    }
    slow
}

/// Revenue, cluster and model of a fleet, tenant by tenant and node by node, in US cents.
fn slow_money(planner: &Planner, subject: &Subject) -> (u64, u64, u64) {
    let (mut revenue, mut cluster, mut model) = (0, 0, 0);
    for (tier, counts) in &subject.tiers {
        for _ in 0..counts.running + counts.held {
            revenue += tier.get().price_cents;
        }
        for _ in 0..counts.running {
            if let Limit::AtMost(tokens) = tier.get().tokens_per_month {
                model += tokens * 200 / 1_000_000;
            }
        }
    }
    for machine in &subject.machines {
        if let Some(price) = planner.prices.types.get(&machine.server_type) {
            cluster += ((price.eur_cents + 50) * 11_133 + 5_000) / 10_000;
        }
    }
    (revenue, cluster, model)
}

fn sums_hold(planner: &Planner, subject: &Subject, outlook: &Outlook) {
    let (revenue, cluster, model) = slow_money(planner, subject);
    let totals = outlook.totals;
    assert_eq!((totals.revenue_cents, totals.model_cents), (revenue, model));
    assert_eq!(totals.cluster_cents, cluster);
    let signed = |cents: u64| i64::try_from(cents).unwrap();
    assert_eq!(totals.margin_cents, signed(revenue) - signed(cluster) - signed(model));
    // What falls on tiers, and what falls on none, is all that there is.
    let of_tiers: u64 = outlook.tiers.iter().map(|tier| tier.cluster_cents).sum();
    assert_eq!(of_tiers + totals.unused_cents, cluster);
    let margins: i64 = outlook.tiers.iter().map(|tier| tier.margin_cents).sum();
    assert_eq!(margins - signed(totals.unused_cents), totals.margin_cents);
    let pools: u64 = outlook.pools.iter().map(|pool| pool.cents).sum();
    assert_eq!(pools, cluster);
}

/// What each pool is asked for and can give, added up pod by pod and node by node.
fn needs_hold(subject: &Subject, outlook: &Outlook, class: &str) {
    for (pool, kind) in outlook.pools.iter().zip(POOLS) {
        let here = subject.machines.iter().filter(|machine| machine.pool == kind);
        let nodes: Vec<SlowNode> = here.map(|machine| SlowNode::new(machine, class)).collect();
        assert_eq!(pool.nodes, nodes.len());
        for (dimension, need) in pool.needs.iter().enumerate() {
            let unlimited = class != "hcloud-volumes" && dimension == 4;
            let open = nodes.iter().any(|node| node.whole[dimension] == u64::MAX);
            if unlimited && open {
                assert_eq!(need.allocatable, None);
            } else {
                let whole: u64 = nodes.iter().map(|node| node.whole[dimension]).sum();
                let platform = if kind == Pool::Platform { 0 } else { need.platform };
                assert_eq!(need.allocatable, Some(whole - platform));
            }
            if kind != Pool::Platform {
                let mut asked = 0;
                for (tier, counts) in &subject.tiers {
                    let (with_pod, without) = slow_demand(*tier, class);
                    if slow_pool(*tier) == kind {
                        asked += with_pod[dimension] * counts.running;
                        asked += without[dimension] * (counts.held + counts.suspended);
                    }
                }
                assert_eq!(need.requested, asked);
            }
        }
    }
    // Each of the platform's pods is asked for once, wherever it is.
    let pods = |needs: &[super::outlook::Need]| (needs[3].requested, needs[3].platform);
    let (on_platform, _) = pods(&outlook.pools[0].needs);
    let (_, on_shared) = pods(&outlook.pools[1].needs);
    let (_, on_dedicated) = pods(&outlook.pools[2].needs);
    assert_eq!(on_dedicated, 0);
    assert_eq!(on_platform + on_shared, 16);
}

fn counts() -> impl Strategy<Value = Counts> {
    let few = || prop_oneof![3 => Just(0), 3 => 0..12_u64, 1 => 0..80_u64];
    (few(), 0..3_u64, 0..4_u64, 0..2_u64).prop_map(|(running, held, suspended, deleted)| Counts {
        running,
        held,
        suspended,
        deleted,
    })
}

fn machines() -> impl Strategy<Value = Vec<Machine>> {
    let one = (0..TYPES.len(), 0..POOLS.len(), prop::bool::ANY, prop::bool::weighted(0.1));
    prop::collection::vec(one, 0..8).prop_map(|all| {
        let named =
            all.into_iter().enumerate().map(|(index, (server, pool, is_server, closed))| {
                let role = if is_server { Role::Server } else { Role::Agent };
                let name = format!("node-{index}");
                Machine { closed, ..machine(&name, TYPES[server], POOLS[pool], role) }
            });
        named.collect()
    })
}

proptest! {
    #[test]
    fn a_plan_is_what_a_slow_and_obvious_model_says(
        tenants in prop::collection::vec(counts(), TierId::VARIANTS.len()),
        machines in machines(),
        class in 0..CLASSES.len(),
    ) {
        let class = CLASSES[class];
        let planner = planner(class);
        let tiers = TierId::VARIANTS.iter().copied().zip(tenants).collect();
        let subject = Subject { tiers, machines };
        let outlook = planner.outlook(&subject);
        let waiting = outlook.tiers.iter().map(|tier| (tier.tier, tier.waiting));
        let fast = Slow {
            waiting: waiting.filter(|(_, waiting)| *waiting > 0).collect(),
            room: outlook.tiers.iter().map(|tier| (tier.tier, tier.room)).collect(),
            homeless: planner.pack(&subject).homeless.iter().map(|(_, count)| count).sum(),
        };
        prop_assert_eq!(&fast, &slow(planner, &subject, class));
        sums_hold(planner, &subject, &outlook);
        needs_hold(&subject, &outlook, class);
        // Nobody waits unnamed, and nothing else is called impossible.
        let named: usize = fast.waiting.keys().filter(|tier| {
            outlook.problems.iter().any(|problem| problem.message.contains(&format!("tier {tier} ")))
        }).count();
        prop_assert_eq!(named, fast.waiting.len());
    }

    #[test]
    fn what_if_and_back_is_no_change(by in 0..50_i64, server in 0..TYPES.len(), pool in 0..3_usize) {
        let planner = planner("local-path");
        let machines = vec![machine("a", "cx53", Pool::Shared, Role::Agent)];
        let before = running(&[(TierId::Starter, 3)], machines);
        let (server, pool) = (TYPES[server], POOLS[pool]);
        let there = format!("starter=+{by},{server}@{pool}=+{by}").parse::<WhatIf>().unwrap();
        let back = format!("starter=-{by},{server}@{pool}=-{by}").parse::<WhatIf>().unwrap();
        let after = before.clone().with(&there).unwrap();
        prop_assert_eq!(after.counts(TierId::Starter).running, 3 + by.unsigned_abs());
        let again = after.with(&back).unwrap();
        prop_assert_eq!(planner.brief(&again), planner.brief(&before));
    }
}

/// The kinds of the problems of a fleet on one platform node and `machines`.
fn problems(class: &str, tenants: &[(TierId, u64)], machines: Vec<Machine>) -> Vec<(Kind, String)> {
    let mut all = vec![machine("cp-1", "cx33", Pool::Platform, Role::Server)];
    all.extend(machines);
    let outlook = planner(class).outlook(&running(tenants, all));
    outlook.problems.into_iter().map(|problem| (problem.kind, problem.message)).collect()
}

#[test]
fn a_pod_larger_than_any_node_is_named() {
    let small = machine("a", "cx23", Pool::Dedicated, Role::Agent);
    let found = problems("local-path", &[(TierId::Enterprise, 1)], vec![small]);
    assert_eq!(found, [(
        Kind::PodTooLarge,
        "1 of 1 tenants of tier enterprise find no place: its pod asks for 2.0 of cpu, no node of pool dedicated gives more than 1.8".to_owned(),
    )]);
}

#[test]
fn more_dedicated_tenants_than_nodes_are_named() {
    let node = || machine("a", "cx43", Pool::Dedicated, Role::Agent);
    assert_eq!(problems("local-path", &[(TierId::Enterprise, 2)], vec![node(), node()]), []);
    let found = problems("local-path", &[(TierId::Enterprise, 3)], vec![node(), node()]);
    assert_eq!(found, [(
        Kind::DedicatedNodes,
        "1 of 3 tenants of tier enterprise find no place: each needs a node of its own, pool dedicated has 2".to_owned(),
    )]);
}

#[test]
fn volumes_over_a_nodes_limit_are_named() {
    let node = || vec![machine("a", "cx53", Pool::Shared, Role::Agent)];
    assert_eq!(problems("local-path", &[(TierId::Starter, 20)], node()), []);
    let found = problems("hcloud-volumes", &[(TierId::Starter, 20)], node());
    assert_eq!(
        found,
        [(
            Kind::VolumesPerNode,
            "4 of 20 tenants of tier starter find no place: a node of pool shared takes 16 volumes"
                .to_owned(),
        )]
    );
}

#[test]
fn tenants_that_do_not_fit_are_named_though_the_sums_would_do() {
    // Two nodes with 1.8 CPUs each have 3.6 together, and no place for a second 1.0 on either.
    let two = ["a", "b"].map(|name| machine(name, "cx23", Pool::Shared, Role::Agent));
    let nodes = two.to_vec();
    let found = problems("hcloud-volumes", &[(TierId::Team, 3)], nodes);
    let [(Kind::NoRoom, message)] = found.as_slice() else { panic!("{found:?}") };
    assert!(message.starts_with("1 of 3 tenants of tier team find no place"), "{message}");
    let none = problems("local-path", &[(TierId::Pro, 7)], Vec::new());
    assert_eq!(none[0].0, Kind::NoNode);
}

#[test]
fn the_platform_wants_its_place_too() {
    let outlook = planner("local-path").outlook(&running(&[], Vec::new()));
    let kinds: Vec<Kind> = outlook.problems.iter().map(|problem| problem.kind).collect();
    assert!(kinds.len() > 5 && kinds.iter().all(|kind| *kind == Kind::Platform), "{outlook:?}");
    let closed = Machine { closed: true, ..machine("a", "cx53", Pool::Shared, Role::Agent) };
    let found = problems("local-path", &[], vec![closed]);
    assert_eq!(found, [(Kind::ClosedNode, "node a has a taint that no pod tolerates".to_owned())]);
}

#[test]
fn the_next_server_is_the_cheapest_per_tenant_that_can_be_ordered() {
    let planner = planner("local-path");
    let nodes = vec![
        machine("cp-1", "cx33", Pool::Platform, Role::Server),
        machine("a", "cx33", Pool::Shared, Role::Agent),
    ];
    let outlook = planner.outlook(&running(&[(TierId::Starter, 10)], nodes.clone()));
    let (last, cheaper) = outlook.offers.split_last().unwrap();
    assert!(last.orderable && cheaper.iter().all(|offer| !offer.orderable), "{outlook:?}");
    // Every other type that can be ordered is dearer per starter.
    for (name, price) in planner.prices.types.iter().filter(|(_, price)| price.orderable) {
        let mut node = SlowNode::new(&machine("b", name, Pool::Shared, Role::Agent), "local-path");
        let mut takes = 0;
        while node.take(slow_demand(TierId::Starter, "local-path").0) {
            takes += 1;
        }
        let cents = planner.prices.us_cents(price.eur_cents + 50);
        assert!(takes * last.cents <= last.takes * cents, "{name}");
    }
    // Six fit on the one node: four wait, and go before those that are new.
    assert_eq!((last.places, last.room), (4, last.takes - 4));
}

#[test]
fn changes_that_make_no_sense_are_refused() {
    for text in ["", "starter", "starter=5", "starter=+x", "gold=+1", "cx43@moon=+1", "starter=+1,"]
    {
        assert!(text.parse::<WhatIf>().is_err(), "{text:?}");
    }
    let fleet = || running(&[(TierId::Starter, 3)], Vec::new());
    for text in ["starter=-4", "cx43=-1"] {
        assert!(fleet().with(&text.parse().unwrap()).is_err(), "{text:?}");
    }
}
