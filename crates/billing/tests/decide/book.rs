//! What billing remembers, in memory: a model of `oc_store::reviews`, and of the files in git.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use oc_billing::decide::{Facts, Policy, decide};
use oc_domain::{AccountId, Locale};
use oc_store::{
    outbox::Notice,
    periods::{Period, PeriodChange, Wanted, plan},
    reviews::{KnownTenant, Remembered, Review},
};
use oc_stripe::Standing;
use serde_json::Value;

/// What a history has come to.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    files: BTreeMap<String, (String, String)>,
    periods: Vec<(Timestamp, Timestamp, u64)>,
}

#[derive(Clone)]
pub(crate) struct Book {
    account: AccountId,
    pub(crate) remembered: Remembered,
    /// Tier and state of each tenant's file.
    pub(crate) files: BTreeMap<String, (String, String)>,
    pub(crate) periods: Vec<Period>,
    /// Keys of notices that were sent.
    pub(crate) sent: BTreeSet<String>,
    pub(crate) next: Option<Timestamp>,
}

impl Book {
    pub(crate) fn new() -> Self {
        let remembered = Remembered {
            version: 0,
            customer: Some("cus_1".to_owned()),
            locale: Locale::PtBr,
            agents: Some(0),
            complimentary: None,
            cleared_at: None,
            subscriptions: Vec::new(),
            periods: Vec::new(),
            tenants: Vec::new(),
            notices: Vec::new(),
            events: Vec::new(),
        };
        Self {
            account: "a-00000001".parse().unwrap(),
            remembered,
            files: BTreeMap::new(),
            periods: Vec::new(),
            sent: BTreeSet::new(),
            next: None,
        }
    }

    /// Reads, decides, writes.
    pub(crate) fn review(&mut self, standing: &Standing, now: Timestamp) {
        self.remembered.periods.clone_from(&self.periods);
        let facts = Facts {
            account: &self.account,
            remembered: &self.remembered,
            standing,
            asked: None,
            now,
            policy: &Policy::default(),
        };
        let review = decide(facts).unwrap();
        self.write(review, now);
    }

    fn write(&mut self, review: Review, now: Timestamp) {
        self.next = review.next;
        self.remembered.version += 1;
        self.remembered.agents = review.agents;
        for record in review.subscriptions {
            let known = &mut self.remembered.subscriptions;
            known.retain(|known| known.id != record.id);
            known.push(record);
        }
        let live = self.remembered.subscriptions.iter().filter(|one| one.ended_at.is_none());
        assert!(live.count() <= 1, "one subscription of an account may live");
        for tenant in review.tenants {
            self.remembered.tenants.push(KnownTenant {
                id: tenant.id,
                niche: Some(tenant.niche),
                tier: tenant.tier,
                created_at: now,
                deleted_at: None,
                last_change: None,
            });
        }
        let living = self.remembered.tenants.iter().filter(|one| one.deleted_at.is_none()).count();
        assert!(review.agents.is_none_or(|most| living <= most as usize || most == 0), "too many");
        for deleted in &review.deleted {
            let tenants = &mut self.remembered.tenants;
            let tenant = tenants.iter_mut().find(|tenant| tenant.id == *deleted).unwrap();
            tenant.deleted_at.get_or_insert(now);
        }
        for change in review.changes {
            self.commit(&change.tenant.to_string(), &change.edits, change.base.is_some());
        }
        for change in plan(&self.periods, &review.periods, now).unwrap() {
            self.period(change);
        }
        self.tell(review.notices);
    }

    /// What the committer does with a change.
    fn commit(&mut self, tenant: &str, edits: &BTreeMap<String, Option<Value>>, base: bool) {
        let word = |pointer: &str| {
            edits[pointer].as_ref().and_then(Value::as_str).map(str::to_owned).unwrap()
        };
        let said = (word("/spec/tier"), word("/spec/state"));
        let file = self.files.get(tenant);
        assert!(file.is_some() || base, "no file, and nothing to begin with");
        let final_state = file.is_some_and(|(_, state)| state == "deleted");
        assert!(!final_state || said.1 == "deleted", "what is deleted stays deleted");
        self.files.insert(tenant.to_owned(), said);
    }

    fn period(&mut self, change: PeriodChange) {
        match change {
            PeriodChange::Delete { id } => self.periods.retain(|period| period.id != id),
            PeriodChange::Update { id, ends_at, limit, messages } => {
                let period = self.periods.iter_mut().find(|period| period.id == id).unwrap();
                (period.ends_at, period.limit, period.messages) = (ends_at, limit, messages);
            }
            PeriodChange::Insert(wanted) => {
                let id = self.periods.iter().map(|period| period.id).max().unwrap_or(0) + 1;
                let Wanted { starts_at, ends_at, limit, messages } = wanted;
                self.periods.push(Period { id, starts_at, ends_at, limit, used: 0, messages });
            }
        }
        self.periods.sort_by_key(|period| period.starts_at);
        let apart = self.periods.windows(2).all(|pair| pair[0].ends_at <= pair[1].starts_at);
        assert!(apart, "periods overlap: {:?}", self.periods);
    }

    /// What is true and was not sent waits; what is not true any more is withdrawn.
    fn tell(&mut self, notices: Vec<Notice>) {
        let mut keys = BTreeSet::new();
        for notice in &notices {
            assert!(keys.insert(&notice.dedup_key), "{} is said twice", notice.dedup_key);
        }
        self.remembered.notices =
            notices.into_iter().filter(|notice| !self.sent.contains(&notice.dedup_key)).collect();
    }

    /// Sends what waits; gives it.
    pub(crate) fn send(&mut self) -> Vec<Notice> {
        let sent = std::mem::take(&mut self.remembered.notices);
        for notice in &sent {
            assert!(self.sent.insert(notice.dedup_key.clone()), "{} twice", notice.dedup_key);
        }
        sent
    }

    /// Files, and the periods that are not over. A tenant that is deleted and one that never was are
    /// the same; and a period that is ended at this moment lasts for a moment.
    pub(crate) fn outcome(&self, now: Timestamp) -> Outcome {
        let files = self.files.clone().into_iter().filter(|(_, (_, state))| state != "deleted");
        let soon = now + SignedDuration::from_millis(1);
        let periods = self.periods.iter().filter(|period| period.ends_at > soon);
        let periods = periods.map(|one| (one.starts_at, one.ends_at, one.limit)).collect();
        Outcome { files: files.collect(), periods }
    }
}
