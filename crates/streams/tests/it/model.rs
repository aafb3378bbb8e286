//! Sequences of commands against a model that is obviously right.

use std::{collections::BTreeMap, time::Duration};

use oc_domain::{RequestId, TenantId};
use oc_streams::{Events, Limits, Open, Period, Reserve, Verdict};
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};
use tokio::time::sleep;

use crate::support::{Bench, HOUR, WIDE, account, measured, now_ms, request, wanted};

/// Beats renew all that they name, so leases pass only where the model says so.
const LEASE: Duration = Duration::from_millis(300);
const CONCURRENCY: u32 = 4;
/// Two tenants of one account, and one of another.
const TENANTS: [(&str, usize); 3] = [("one", 0), ("two", 0), ("other", 1)];

#[derive(Clone, Debug)]
enum Step {
    Reserve {
        tenant: usize,
        input: u64,
        output: u64,
        least: u64,
    },
    /// Some open one, with a part of its amount in percent.
    Settle {
        which: Index,
        percent: u64,
    },
    /// One that has ended, or never was.
    SettleAgain(Index),
    Beat {
        which: Index,
        output: u64,
    },
    /// The leases of all pass but of one.
    Expire(Index),
    SetLimit {
        account: usize,
        limit: u64,
    },
    /// The next period of the account begins.
    Renew {
        account: usize,
        limit: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        12 => (0..3_usize, 0..60_u64, 0..90_u64, 0..30_u64)
            .prop_map(|(tenant, input, output, least)| Step::Reserve {
                tenant, input, output, least: least.min(output),
            }),
        8 => (index(), 0..=100_u64).prop_map(|(which, percent)| Step::Settle { which, percent }),
        2 => index().prop_map(Step::SettleAgain),
        3 => (index(), 0..150_u64).prop_map(|(which, output)| Step::Beat { which, output }),
        1 => index().prop_map(Step::Expire),
        2 => (0..2_usize, 0..300_u64).prop_map(|(account, limit)| Step::SetLimit { account, limit }),
        1 => (0..2_usize, 0..300_u64).prop_map(|(account, limit)| Step::Renew { account, limit }),
    ]
}

#[derive(Clone, Copy, Debug)]
struct Held {
    tenant: usize,
    period: usize,
    input: u64,
    amount: u64,
    output: u64,
}

#[derive(Clone, Copy, Debug)]
struct Quota {
    account: usize,
    limit: u64,
    /// A limit that was lowered may be below what was promised before.
    highest: u64,
    used: u64,
}

#[derive(Default)]
struct Model {
    periods: Vec<Quota>,
    open: BTreeMap<RequestId, Held>,
    booked: BTreeMap<RequestId, u64>,
}

impl Model {
    /// The last period of the account is the current one.
    fn current(&self, account: usize) -> usize {
        self.periods.iter().rposition(|period| period.account == account).unwrap()
    }

    fn reserved(&self, period: usize) -> u64 {
        self.open.values().filter(|held| held.period == period).map(|held| held.amount).sum()
    }

    /// What is granted, if anything.
    fn reserve(&self, tenant: usize, input: u64, output: u64, least: u64) -> Option<u64> {
        let open = self.open.values().filter(|held| held.tenant == tenant).count();
        let period = self.current(TENANTS[tenant].1);
        let quota = self.periods[period];
        let left = quota.limit.checked_sub(quota.used + self.reserved(period) + input)?;
        (open < CONCURRENCY as usize && left >= least).then_some(output.min(left))
    }

    fn book(&mut self, request: RequestId, charged: u64) {
        let held = self.open.remove(&request).unwrap();
        self.periods[held.period].used += charged;
        assert_eq!(self.booked.insert(request, charged), None);
    }
}

#[test]
fn at_every_step_redis_holds_what_the_model_holds_and_no_more_than_the_quota() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig {
        cases: 16,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let run = TestRunner::new(config).run(&prop::collection::vec(step(), 1..120), |steps| {
        runtime.block_on(play(steps));
        Ok(())
    });
    run.unwrap();
}

struct Play {
    bench: Bench,
    model: Model,
    tenants: Vec<TenantId>,
}

async fn play(steps: Vec<Step>) {
    let limits = Limits { lease: LEASE, concurrency: CONCURRENCY, ..WIDE };
    let bench = Bench::start(limits).await;
    let mut play = Play { bench, model: Model::default(), tenants: Vec::new() };
    for account in [0, 1] {
        play.renew(account, 200).await;
    }
    for (name, payer) in TENANTS {
        play.tenants.push(play.bench.tenant(name, &account(&payer.to_string())).await);
    }
    for step in steps {
        play.step(&step).await;
        play.compare(&step).await;
    }
    play.finish().await;
}

impl Play {
    async fn step(&mut self, step: &Step) {
        self.keep_alive(None).await;
        match *step {
            Step::Reserve { tenant, input, output, least } => {
                self.reserve(tenant, input, output, least).await;
            }
            Step::Settle { which, percent } => {
                let Some((request, held)) = self.pick(which) else { return };
                let charged = held.amount * percent / 100;
                let settled = self.bench.proxy.settle(request, &measured(charged)).await;
                assert!(settled.unwrap().is_some());
                self.model.book(request, charged);
            }
            Step::SettleAgain(which) => {
                let ended: Vec<RequestId> =
                    self.model.booked.keys().copied().chain([request()]).collect();
                let settled = self.bench.proxy.settle(*which.get(&ended), &measured(9)).await;
                assert_eq!(settled.unwrap(), None);
            }
            Step::Beat { which, output } => {
                let Some((request, _)) = self.pick(which) else { return };
                self.bench.proxy.beat("p-0", &[Open { request, output }]).await.unwrap();
                self.model.open.get_mut(&request).unwrap().output = output;
            }
            Step::Expire(which) => self.expire(which).await,
            Step::SetLimit { account, limit } => {
                let period = self.model.current(account);
                let quota = &mut self.model.periods[period];
                quota.limit = limit;
                quota.highest = quota.highest.max(limit);
                self.mirror(account).await;
            }
            Step::Renew { account, limit } => self.renew(account, limit).await,
        }
    }

    fn pick(&self, which: Index) -> Option<(RequestId, Held)> {
        let open: Vec<_> = self.model.open.iter().collect();
        (!open.is_empty()).then(|| (*which.get(&open).0, *which.get(&open).1))
    }

    async fn reserve(&mut self, tenant: usize, input: u64, output: u64, least: u64) {
        let request = request();
        let asked = wanted(&self.tenants[tenant], request, input, output);
        let asked = Reserve { least_output: least, ..asked };
        let verdict = self.bench.proxy.reserve(asked).await.unwrap();
        match (verdict, self.model.reserve(tenant, input, output, least)) {
            (Verdict::Admitted(told), Some(granted)) => {
                assert_eq!(told.output, granted);
                let period = usize::try_from(told.period).unwrap() - 1;
                assert_eq!(period, self.model.current(TENANTS[tenant].1));
                let amount = input + granted;
                let held = Held { tenant, period, input, amount, output: 0 };
                self.model.open.insert(request, held);
            }
            (Verdict::QuotaSpent(..) | Verdict::Busy, None) => {}
            (verdict, expected) => panic!("{verdict:?}, expected {expected:?}"),
        }
    }

    /// A sign of life of all but some.
    async fn keep_alive(&self, only: Option<RequestId>) {
        let open: Vec<Open> = self
            .model
            .open
            .iter()
            .filter(|(request, _)| only.is_none_or(|only| only == **request))
            .map(|(request, held)| Open { request: *request, output: held.output })
            .collect();
        let beat = self.bench.proxy.beat("p-0", &open).await.unwrap();
        assert_eq!(beat.gone, []);
    }

    async fn expire(&mut self, which: Index) {
        let kept = self.pick(which).map(|(request, _)| request);
        for _ in 0..4 {
            sleep(LEASE / 3).await;
            if let Some(kept) = kept {
                self.keep_alive(Some(kept)).await;
            }
        }
        let mut reaped = self.bench.reap(100).await;
        reaped.sort();
        let expected: Vec<RequestId> =
            self.model.open.keys().copied().filter(|request| Some(*request) != kept).collect();
        assert_eq!(reaped, expected);
        for request in reaped {
            let held = self.model.open[&request];
            self.model.book(request, held.amount.min(held.input + held.output));
        }
    }

    async fn renew(&mut self, account: usize, limit: u64) {
        self.model.periods.push(Quota { account, limit, highest: limit, used: 0 });
        self.mirror(account).await;
    }

    async fn mirror(&self, payer: usize) {
        let period = self.model.current(payer);
        let now = now_ms();
        let period = Period {
            id: i64::try_from(period).unwrap() + 1,
            starts_ms: now - HOUR,
            ends_ms: now + HOUR,
            limit: self.model.periods[period].limit,
            used: 0,
        };
        self.bench.put_periods(&account(&payer.to_string()), &[period]).await;
    }

    async fn compare(&mut self, step: &Step) {
        for (index, quota) in self.model.periods.iter().enumerate() {
            let reserved = self.model.reserved(index);
            let (used, held) = self.bench.quota(i64::try_from(index).unwrap() + 1).await;
            assert_eq!((used, held), (quota.used, reserved), "period {index} after {step:?}");
            assert!(used + held <= quota.highest, "period {index} after {step:?}");
        }
        for (tenant, (name, _)) in TENANTS.iter().enumerate() {
            let open: Option<usize> = self.bench.redis(&format!("HGET oc:t:c-{name} open")).await;
            let expected = self.model.open.values().filter(|held| held.tenant == tenant).count();
            assert_eq!(open.unwrap_or(0), expected, "{name} after {step:?}");
        }
        let leases: usize = self.bench.redis("ZCARD oc:leases").await;
        assert_eq!(leases, self.model.open.len(), "after {step:?}");
    }

    /// Each request that has ended has one event, and they add up.
    async fn finish(&mut self) {
        let mut events = Events::new(&self.bench.redis.url().into(), "p-0").unwrap();
        let delivered = if self.model.booked.is_empty() {
            Vec::new()
        } else {
            events.read(1_000).await.unwrap()
        };
        let mut sums = vec![0; self.model.periods.len()];
        for event in delivered.into_iter().map(|one| one.event.unwrap()) {
            assert_eq!(self.model.booked.remove(&event.request), Some(event.settlement.charged));
            sums[usize::try_from(event.period).unwrap() - 1] += event.settlement.charged;
        }
        assert!(self.model.booked.is_empty());
        let used: Vec<u64> = self.model.periods.iter().map(|quota| quota.used).collect();
        assert_eq!(sums, used);
    }
}
