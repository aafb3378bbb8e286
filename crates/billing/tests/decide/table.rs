//! The table of statuses, line by line.

use oc_domain::TierId;
use oc_sandbox::stripe::{Card, CheckoutCard, Exhausted, Settings};
use oc_store::periods::Period;

use crate::{
    book::Book,
    shop::{DAY, HOUR, Shop, Step},
    standing::{standing, time},
};

const TENANT: &str = "c-7f3k2m9q";

struct Case {
    shop: Shop,
    book: Book,
}

impl Case {
    fn new(exhausted: Exhausted, card: CheckoutCard) -> Self {
        let shop = Shop::new(Settings { exhausted, ..Settings::default() });
        let mut case = Self { shop, book: Book::new() };
        case.take(&Step::Buy { tier: 0, trial: None, card });
        case
    }

    fn take(&mut self, step: &Step) {
        self.shop.take(step, TENANT);
        self.review();
    }

    fn wait(&mut self, seconds: i64) {
        self.shop.engine.advance_to(self.shop.engine.now() + seconds);
        self.review();
    }

    fn review(&mut self) {
        let now = time(self.shop.engine.now());
        self.book.review(&standing(&self.shop.engine), now);
    }

    fn state(&self) -> &str {
        self.book.files.get(TENANT).map_or("none", |(_, state)| state)
    }

    fn limit(&self) -> Option<u64> {
        self.current().map(|period| period.limit)
    }

    fn current(&self) -> Option<&Period> {
        let now = time(self.shop.engine.now());
        self.book.periods.iter().find(|one| one.starts_at <= now && now < one.ends_at)
    }
}

#[test]
fn who_has_not_paid_gets_nothing() {
    let case = Case::new(Exhausted::Canceled, CheckoutCard::Declines);
    assert_eq!((case.state(), case.limit()), ("none", None));
}

#[test]
fn who_pays_gets_it_at_once_and_the_next_period_in_advance() {
    let case = Case::new(Exhausted::Canceled, CheckoutCard::Works);
    assert_eq!((case.state(), case.limit()), ("active", Some(1_000_000)));
    assert_eq!(case.book.periods.len(), 2);
    assert_eq!(case.book.periods[0].ends_at, case.book.periods[1].starts_at);
}

#[test]
fn a_failed_renewal_is_borne_for_three_attempts_then_suspends_then_deletes() {
    let mut case = Case::new(Exhausted::Canceled, CheckoutCard::WorksOnce);
    case.wait(30 * DAY + 3 * HOUR);
    assert_eq!((case.state(), case.limit()), ("active", Some(1_000_000)), "in grace");
    assert!(case.book.send().iter().any(|notice| notice.kind == "payment_failed"));
    case.wait(7 * DAY);
    assert_eq!(case.state(), "suspended");
    case.wait(60 * DAY);
    assert_eq!((case.state(), case.limit()), ("deleted", None));
    case.take(&Step::Buy { tier: 0, trial: None, card: CheckoutCard::Works });
    assert_eq!(case.state(), "deleted", "final");
    let active: Vec<_> = case.book.files.iter().filter(|(_, file)| file.1 == "active").collect();
    assert_eq!(active.len(), 1, "a later payment makes a new tenant: {:?}", case.book.files);
}

#[test]
fn who_pays_late_is_served_at_once_with_the_new_quota() {
    let mut case = Case::new(Exhausted::Unpaid, CheckoutCard::WorksOnce);
    case.wait(30 * DAY + 20 * DAY);
    assert_eq!(case.state(), "suspended");
    case.take(&Step::Card(Card::Works));
    case.take(&Step::Pay);
    assert_eq!((case.state(), case.limit()), ("active", Some(1_000_000)));
}

#[test]
fn an_upgrade_raises_the_limit_within_the_period_and_a_downgrade_waits() {
    let mut case = Case::new(Exhausted::Canceled, CheckoutCard::Works);
    case.wait(5 * DAY);
    let starts_at = case.book.periods[0].starts_at;
    case.take(&Step::Upgrade(1));
    assert_eq!(case.limit(), Some(5_000_000));
    assert_eq!(case.book.periods[0].starts_at, starts_at);
    assert_eq!(case.book.files[TENANT].0, "pro");
    case.take(&Step::Downgrade(0));
    assert_eq!(case.limit(), Some(5_000_000));
    assert_eq!(case.book.periods[1].limit, 1_000_000, "from the next period on");
    case.wait(30 * DAY);
    assert_eq!((case.limit(), case.book.files[TENANT].0.as_str()), (Some(1_000_000), "starter"));
}

#[test]
fn messages_are_limited_where_the_tier_counts_them() {
    for (tier, messages) in [
        (TierId::Starter, None),
        (TierId::Pro, None),
        (TierId::Team, None),
        (TierId::Individual, Some(1_000)),
        (TierId::Business, Some(10_000)),
        (TierId::Enterprise, None),
    ] {
        let shop = Shop::new(Settings::default());
        let mut case = Case { shop, book: Book::new() };
        case.book.remembered.complimentary = Some(tier);
        case.review();
        let made: Vec<_> = case.book.periods.iter().map(|period| period.messages).collect();
        assert_eq!(made, [messages, messages], "{tier}");
    }
}

#[test]
fn messages_are_limited_from_an_upgrade_on_and_until_a_downgrades_period() {
    let mut case = Case::new(Exhausted::Canceled, CheckoutCard::Works);
    let messages = |case: &Case| case.current().unwrap().messages;
    assert_eq!(messages(&case), None);
    case.wait(DAY);
    case.take(&Step::Upgrade(2));
    assert_eq!(messages(&case), Some(10_000));
    case.take(&Step::Downgrade(0));
    assert_eq!((messages(&case), case.book.periods[1].messages), (Some(10_000), None));
    case.wait(31 * DAY);
    assert_eq!(messages(&case), None);
}

#[test]
fn who_cancels_keeps_what_is_paid_for_and_no_more() {
    let mut case = Case::new(Exhausted::Canceled, CheckoutCard::Works);
    case.take(&Step::AtPeriodEnd(true));
    assert_eq!((case.state(), case.book.periods.len()), ("active", 1));
    case.take(&Step::AtPeriodEnd(false));
    assert_eq!(case.book.periods.len(), 2);
    case.wait(DAY);
    case.take(&Step::Cancel);
    case.wait(1);
    assert_eq!((case.state(), case.limit()), ("suspended", None));
}

/// Stripe leaves the invoice of a renewal open that was never paid, and goes on with the next one.
#[test]
fn an_old_debt_does_not_count_once_a_later_renewal_is_paid() {
    let mut case = Case::new(Exhausted::PastDue, CheckoutCard::WorksOnce);
    case.wait(40 * DAY);
    assert_eq!(case.state(), "suspended");
    case.take(&Step::Card(Card::Works));
    case.wait(22 * DAY);
    assert_eq!(case.state(), "active");
    case.take(&Step::Card(Card::Declines));
    case.wait(30 * DAY + 3 * HOUR);
    assert_eq!(case.state(), "active", "in the grace of the third renewal");
    case.take(&Step::Cancel);
    case.wait(29 * DAY);
    assert_eq!(case.state(), "suspended", "kept for its time");
    case.wait(2 * DAY);
    assert_eq!(case.state(), "deleted");
}

#[test]
fn money_taken_back_suspends_until_it_is_settled() {
    let mut case = Case::new(Exhausted::Canceled, CheckoutCard::Works);
    case.take(&Step::Refund(Some(500)));
    assert_eq!(case.state(), "active", "a part only tells ops");
    case.take(&Step::Refund(None));
    assert_eq!(case.state(), "suspended");
    case.wait(HOUR);
    case.book.remembered.cleared_at = Some(time(case.shop.engine.now()));
    case.review();
    assert_eq!(case.state(), "active", "cleared by people");

    let mut case = Case::new(Exhausted::Canceled, CheckoutCard::Works);
    case.wait(HOUR);
    case.take(&Step::Dispute);
    assert_eq!(case.state(), "suspended");
    case.take(&Step::Close(true));
    assert_eq!(case.state(), "active", "won");
}

#[test]
fn a_lost_dispute_ends_with_the_next_payment() {
    let mut case = Case::new(Exhausted::Canceled, CheckoutCard::Works);
    case.take(&Step::Dispute);
    case.take(&Step::Close(false));
    assert_eq!(case.state(), "suspended");
    case.wait(31 * DAY);
    assert_eq!(case.state(), "active");
}
