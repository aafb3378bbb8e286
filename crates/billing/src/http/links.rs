//! Short links: from a message to what the customer can pay.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::{Html, Redirect},
};
use oc_domain::{AccountId, NicheId, TierId};
use oc_platform_token::Purpose;
use oc_store::{reviews, tenants};
use oc_stripe::{Session, Standing};

use super::{Problem, Shared, api::Buy};
use crate::{decide::subject, trace};

/// Leads to the customer's own page at Stripe: to the portal while there is a subscription, else to
/// one more checkout of what it had.
pub(super) async fn follow(
    State(shared): State<Arc<Shared>>,
    Path(link): Path<String>,
) -> Result<Redirect, Problem> {
    let now = u32::try_from(shared.reviewer.clock.now().as_second()).unwrap_or(u32::MAX);
    let link = shared
        .links
        .verify(&link, now)
        .map_err(|invalid| Problem::NotFound(invalid.to_string()))?;
    let store = &shared.reviewer.store;
    let tenant = tenants::find(store, &link.tenant).await?;
    let (tenant, _) = tenant.ok_or_else(|| Problem::NotFound("nobody is here".to_owned()))?;
    let session = lead(&shared, &tenant.account, tenant.tier, link.purpose).await?;
    Ok(Redirect::to(&session.url))
}

/// Where Stripe sends the customer back to: the agent lives in the chat.
pub(super) async fn back() -> Html<&'static str> {
    Html(
        "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>OpenClaw</title><body style='font:1.2rem/1.6 system-ui;margin:4rem auto;\
         max-width:30rem;padding:0 1rem'><p lang=pt-BR>Pronto. Pode voltar para a conversa.</p>\
         <p lang=en>Done. You can go back to the chat.</p>",
    )
}

async fn lead(
    shared: &Shared,
    account: &AccountId,
    tier: TierId,
    purpose: Purpose,
) -> Result<Session, Problem> {
    let reviewer = &shared.reviewer;
    let known = reviews::load(&reviewer.store, account, reviewer.clock.now()).await?;
    let known = known.ok_or_else(|| Problem::NotFound("nobody is here".to_owned()))?;
    let standing = match &known.customer {
        Some(customer) => reviewer.stripe.standing(customer).await?,
        None => Standing::default(),
    };
    let live = subject(&standing.subscriptions).is_some_and(|one| !one.status.is_final());
    let key = trace::new();
    if let Some(customer) = known.customer.as_deref().filter(|_| live || purpose == Purpose::Portal)
    {
        let back = format!("{}/back", shared.public_url);
        return Ok(reviewer.stripe.portal(customer, known.locale, &back, &key).await?);
    }
    let niche = known.tenants.iter().rev().find_map(|tenant| tenant.niche);
    let niche: NicheId =
        niche.ok_or_else(|| Problem::Conflict("there was nothing to buy again".to_owned()))?;
    let back = format!("{}/back", shared.public_url);
    let buy = Buy { tier, niche, locale: known.locale, success_url: &back, cancel_url: &back };
    super::api::buy(reviewer, account, &known, buy).await
}
