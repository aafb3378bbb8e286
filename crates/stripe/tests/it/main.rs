//! Stripe's API, as the stand-in speaks it over HTTP. The stand-in is held against Stripe's own
//! document in `crates/sandbox`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use oc_domain::{AccountId, Locale, NicheId, TenantId, TierId};
use oc_sandbox::stripe::{CheckoutCard, Options, Server, start};
use oc_stripe::{
    Cancel, Change, Checkout, Dispute, Error, InvoiceStatus, Standing, Status, Stripe, Subscription,
};

struct Shop {
    server: Server,
    stripe: Stripe,
    customer: String,
}

fn account() -> AccountId {
    "a-7f3k2m9q".parse().unwrap()
}

fn tenant() -> TenantId {
    "c-7f3k2m9q".parse().unwrap()
}

impl Shop {
    async fn new() -> Self {
        let server = start(Options::default()).await.unwrap();
        let stripe = Stripe::new(&"sk_test_1".into(), Some(&server.url())).unwrap();
        stripe.sync_catalog(false).await.unwrap();
        let customer = stripe.create_customer(&account(), None, Locale::PtBr).await.unwrap();
        Self { server, stripe, customer }
    }

    /// A subscription to a starter that is paid by this card.
    async fn with(card: CheckoutCard) -> Self {
        let shop = Self::new().await;
        let session = shop.stripe.checkout(shop.wanted(TierId::Starter), "key-1").await.unwrap();
        shop.server.with(|engine| engine.pay_checkout(&session.id, card).unwrap());
        shop
    }

    fn wanted(&self, tier: TierId) -> Checkout<'_> {
        Checkout {
            account: Box::leak(Box::new(account())),
            customer: &self.customer,
            tenant: Box::leak(Box::new(tenant())),
            tier,
            niche: NicheId::Pharmacy,
            locale: Locale::PtBr,
            success_url: "https://shop.example/done",
            cancel_url: "https://shop.example/",
        }
    }

    async fn standing(&self) -> Standing {
        self.stripe.standing(&self.customer).await.unwrap()
    }

    async fn one(&self) -> Subscription {
        let standing = self.standing().await;
        assert_eq!(standing.subscriptions.len(), 1);
        standing.subscriptions[0].clone()
    }
}

#[tokio::test]
async fn the_catalog_is_made_once_and_then_left_alone() {
    let server = start(Options::default()).await.unwrap();
    let stripe = Stripe::new(&"sk_test_1".into(), Some(&server.url())).unwrap();
    let dry = stripe.sync_catalog(true).await.unwrap();
    assert!(dry.iter().all(|one| one.price == Change::Created));
    assert_eq!(server.with(|engine| engine.products().count()), 0);
    let first = stripe.sync_catalog(false).await.unwrap();
    assert!(first.iter().all(|one| (one.product, one.price) == (Change::Created, Change::Created)));
    let events = server.with(|engine| engine.events().len());
    let second = stripe.sync_catalog(false).await.unwrap();
    assert!(
        second.iter().all(|one| (one.product, one.price) == (Change::Unchanged, Change::Unchanged))
    );
    assert_eq!(server.with(|engine| engine.events().len()), events, "nothing was written");
}

#[tokio::test]
async fn a_customer_is_made_once_however_often_it_is_asked_for() {
    let shop = Shop::new().await;
    let again = shop.stripe.create_customer(&account(), None, Locale::PtBr).await.unwrap();
    assert_eq!(again, shop.customer);
    assert_eq!(shop.stripe.account_of(&again).await.unwrap(), Some(account()));
    assert_eq!(shop.stripe.account_of("cus_nobody").await.unwrap(), None);
}

#[tokio::test]
async fn what_was_bought_says_for_whom() {
    let shop = Shop::with(CheckoutCard::Works).await;
    let one = shop.one().await;
    assert_eq!(
        (one.status, one.tier, one.tenant),
        (Status::Active, TierId::Starter, Some(tenant()))
    );
    assert_eq!((one.account, one.niche.as_deref()), (Some(account()), Some("pharmacy")));
    assert!(one.period.1 > one.period.0);
    let invoices = shop.standing().await.invoices;
    assert_eq!((invoices.len(), invoices[0].status), (1, InvoiceStatus::Paid));
    assert!(invoices[0].for_period && invoices[0].paid_cents == 1900);
}

#[tokio::test]
async fn a_dearer_tier_comes_now_and_a_cheaper_one_later() {
    let shop = Shop::with(CheckoutCard::Works).await;
    shop.stripe.upgrade(&shop.one().await, TierId::Pro, "key-2").await.unwrap();
    assert_eq!(shop.one().await.tier, TierId::Pro);
    shop.stripe.downgrade(&shop.one().await, TierId::Starter, "key-3").await.unwrap();
    let one = shop.one().await;
    assert_eq!((one.tier, one.next_tier), (TierId::Pro, Some(TierId::Starter)));
    // Another change takes that back.
    shop.stripe.upgrade(&one, TierId::Team, "key-4").await.unwrap();
    let one = shop.one().await;
    assert_eq!((one.tier, one.next_tier), (TierId::Team, None));
}

#[tokio::test]
async fn an_upgrade_that_is_declined_changes_nothing() {
    let shop = Shop::with(CheckoutCard::WorksOnce).await;
    let upgraded = shop.stripe.upgrade(&shop.one().await, TierId::Pro, "key-2").await;
    assert!(matches!(upgraded, Err(Error::Declined(_))), "{upgraded:?}");
    assert_eq!(shop.one().await.tier, TierId::Starter);
}

#[tokio::test]
async fn an_end_is_agreed_on_taken_back_and_made() {
    let shop = Shop::with(CheckoutCard::Works).await;
    let one = shop.one().await;
    shop.stripe.cancel(&one, Cancel::AtPeriodEnd, "key-2").await.unwrap();
    assert_eq!(shop.one().await.cancel_at, Some(one.period.1));
    shop.stripe.cancel(&one, Cancel::Undo, "key-3").await.unwrap();
    assert_eq!(shop.one().await.cancel_at, None);
    shop.stripe.cancel(&one, Cancel::Now, "key-4").await.unwrap();
    let one = shop.one().await;
    assert!(one.status == Status::Canceled && one.ended_at.is_some());
}

#[tokio::test]
async fn money_that_goes_back_is_seen_with_its_invoice() {
    let shop = Shop::with(CheckoutCard::Works).await;
    assert!(shop.standing().await.charges.is_empty());
    let charge = shop.server.with(|engine| engine.charges().next().unwrap().id.clone());
    shop.server.control(&format!("refund={charge}:500")).unwrap();
    let standing = shop.standing().await;
    let seen = &standing.charges[0];
    assert_eq!((seen.refunded_cents, seen.dispute), (500, None));
    assert_eq!(seen.invoice.as_deref(), Some(standing.invoices[0].id.as_str()));
    shop.server.control(&format!("dispute={charge}")).unwrap();
    let dispute = shop.standing().await.charges[0].dispute.unwrap().0;
    assert_eq!(dispute, Dispute::Open);
    let of = shop.stripe.customer_of_charge(&charge).await.unwrap();
    assert_eq!(of, Some(shop.customer.clone()));
}

#[tokio::test]
async fn pages_that_sell_nothing_any_more_are_closed() {
    let shop = Shop::new().await;
    let session = shop.stripe.checkout(shop.wanted(TierId::Pro), "key-1").await.unwrap();
    let same = shop.stripe.checkout(shop.wanted(TierId::Pro), "key-1").await.unwrap();
    assert_eq!(session, same, "one key, one page");
    let open = shop.stripe.open_checkouts(&shop.customer).await.unwrap();
    assert_eq!(open, std::slice::from_ref(&session.id));
    shop.stripe.expire_checkout(&session.id).await.unwrap();
    shop.stripe.expire_checkout(&session.id).await.unwrap();
    assert!(shop.stripe.open_checkouts(&shop.customer).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_may_pass_is_told_from_what_will_not() {
    let shop = Shop::with(CheckoutCard::Works).await;
    for fault in ["fail=500:1", "fail=429:1"] {
        shop.server.control(fault).unwrap();
        let failed = shop.stripe.account_of(&shop.customer).await.unwrap_err();
        assert!(failed.is_transient(), "{fault}: {failed}");
    }
    let wrong = Stripe::new(&"sk_test_1".into(), Some("http://127.0.0.1:1")).unwrap();
    assert!(wrong.standing("cus_1").await.unwrap_err().is_transient());
    // An id is never a path.
    for id in ["", "../products", "cus_1?x", "cus/1"] {
        assert_eq!(shop.stripe.account_of(id).await.unwrap(), None, "{id}");
    }
}
