//! Pages that a person can click: checkout, portal, an invoice.

use bytes::Bytes;
use http::{HeaderValue, Method, header, request::Parts};
use jiff::Timestamp;

use super::{
    Shared,
    catalog::Price,
    customer::{Card, Customer},
    engine::Engine,
    error::Error,
    form::Params,
    http::{Answer, plain},
    invoice::{Invoice, InvoiceState},
    portal::PortalSession,
    subscription::{Cancellation, Subscription, Update},
};

mod words;

use words::Words;

/// Shows a page, or does what was clicked on it.
pub(super) fn answer(shared: &Shared, head: &Parts, body: &Bytes) -> Answer {
    let segments: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
    let action = Params::parse(&String::from_utf8_lossy(body))
        .and_then(|mut params| params.text("action"))
        .ok()
        .flatten()
        .filter(|_| head.method == Method::POST);
    let action = action.as_deref();
    shared.state.lock().with(|engine| {
        let done = match segments.as_slice() {
            ["c", "pay", id] => checkout(engine, id, action),
            ["p", "session", id] => portal(engine, id, action),
            ["i", id] => invoice(engine, id, action),
            _ => Err(Error::no_such("page", head.uri.path())),
        };
        done.unwrap_or_else(|error| html(error.status, "en", &escape(&error.message)))
    })
}

fn checkout(engine: &mut Engine, id: &str, action: Option<&str>) -> Result<Answer, Error> {
    let session = engine.find::<super::checkout::Session>(id)?;
    let order = &session.order;
    let words = Words::of(order.locale.as_deref());
    let mut notice = "";
    match action {
        Some("abandon") => {
            let url = order.cancel_url.as_ref().unwrap_or(&order.success_url);
            return Ok(redirect(url, id));
        }
        Some(action) => {
            let card = action.parse().map_err(|_| Error::invalid("Unknown action"))?;
            match engine.pay_checkout(id, card) {
                Ok(()) => return Ok(redirect(&order.success_url, id)),
                Err(error) if error.status == 402 => notice = words.declined,
                Err(error) => return Err(error),
            }
        }
        None => {}
    }
    let name = name(engine, &order.price);
    let price = money(session.total(), &order.price.currency);
    let title = format!("{} {name}", words.subscribe);
    let trial = order.trial_days.map(|days| format!("<p>{}: {days}</p>", words.trial_days));
    let text = format!("<p>{} × {name}: <b>{price}</b></p>", order.quantity);
    let text = text + &trial.unwrap_or_default();
    let mut buttons = vec![("works", words.pay), ("works_once", words.pay_once)];
    if order.card_optional {
        buttons.push(("none", words.without_card));
    }
    buttons.extend([("declines", words.pay_declined), ("abandon", words.back)]);
    Ok(page(if notice.is_empty() { 200 } else { 402 }, words, &title, notice, &text, &buttons))
}

fn portal(engine: &mut Engine, id: &str, action: Option<&str>) -> Result<Answer, Error> {
    let session = engine.find::<PortalSession>(id)?;
    let words = Words::of(session.locale.as_deref());
    if let Some(action) = action {
        manage(engine, &session.customer, action)?;
    }
    let card = match engine.find::<Customer>(&session.customer)?.card {
        Card::None => words.no_card,
        Card::Works => words.good_card,
        Card::Declines => words.bad_card,
    };
    let mut text = vec![format!("<p>{card}</p>")];
    text.extend(live(engine, &session.customer).iter().map(|row| {
        let status: &str = row.status.into();
        let name = name(engine, &row.item.price);
        let until = day(row.cancel_at.unwrap_or(row.period.end));
        let note = if row.cancel_at.is_some() { words.ends } else { words.renews };
        format!("<p>{name} ({status}): {note} {until}</p>")
    }));
    let bills = engine.invoices().filter(|bill| bill.customer == session.customer);
    text.extend(bills.map(line));
    let back = |url: &String| format!("<p><a href=\"{}\">{}</a></p>", escape(url), words.back);
    text.extend(session.return_url.as_ref().map(back));
    let buttons = [
        ("cancel", words.cancel),
        ("undo", words.undo),
        ("cancel_now", words.cancel_now),
        ("works", words.card_works),
        ("declines", words.card_declines),
    ];
    Ok(page(200, words, words.portal, "", &text.concat(), &buttons))
}

/// Does what a customer clicked.
fn manage(engine: &mut Engine, customer: &str, action: &str) -> Result<(), Error> {
    let ends = |end| Update { cancel_at_period_end: Some(end), ..Update::default() };
    for row in live(engine, customer) {
        match action {
            "cancel" => engine.update_subscription(&row.id, &ends(true))?,
            "undo" => engine.update_subscription(&row.id, &ends(false))?,
            "cancel_now" => engine.cancel(&row.id, Cancellation::default())?,
            _ => {}
        }
    }
    match action {
        "works" => engine.set_card(customer, Card::Works),
        "declines" => engine.set_card(customer, Card::Declines),
        _ => Ok(()),
    }
}

fn live(engine: &Engine, customer: &str) -> Vec<Subscription> {
    let rows = engine.subscriptions().filter(|row| *row.customer == *customer);
    rows.filter(|row| row.status.is_live()).cloned().collect()
}

fn invoice(engine: &mut Engine, id: &str, action: Option<&str>) -> Result<Answer, Error> {
    let words = Words::of(None);
    let mut notice = "";
    if action == Some("pay") && engine.pay_invoice(id).is_err() {
        notice = words.declined;
    }
    let bill = engine.find::<Invoice>(id)?;
    let buttons = [("pay", words.pay)];
    let buttons = if bill.state == InvoiceState::Open { &buttons[..] } else { &[] };
    Ok(page(200, words, words.invoice, notice, &line(&bill), buttons))
}

fn line(bill: &Invoice) -> String {
    let state: &str = bill.state.into();
    let number = bill.number.as_deref().unwrap_or(&bill.id);
    let due = money(bill.due, &bill.currency);
    let link = escape(&bill.page);
    format!("<p>{} <a href=\"{link}\">{number}</a>: {due} ({state})</p>", day(bill.created))
}

fn name(engine: &Engine, price: &Price) -> String {
    let product = engine.product(&price.product);
    escape(product.map_or(&*price.product, |product| &product.details.name))
}

fn money(cents: i64, currency: &str) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{} {sign}{}.{:02}", currency.to_uppercase(), cents / 100, cents % 100)
}

fn day(at: i64) -> String {
    Timestamp::from_second(at).unwrap_or_default().strftime("%Y-%m-%d").to_string()
}

fn page(
    status: u16,
    words: &Words,
    title: &str,
    notice: &str,
    text: &str,
    buttons: &[(&str, &str)],
) -> Answer {
    let alert = if notice.is_empty() { "" } else { "<p role=\"alert\">" };
    let button = |(action, label): &(&str, &str)| {
        format!("<button name=\"action\" value=\"{action}\">{label}</button> ")
    };
    let buttons = buttons.iter().map(button).collect::<String>();
    let form = format!("<form method=\"post\">{buttons}</form>");
    html(status, words.lang, &format!("<h1>{title}</h1>{alert}{notice}{text}{form}"))
}

fn html(status: u16, lang: &str, body: &str) -> Answer {
    let text = format!(
        "<!doctype html><html lang=\"{lang}\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Stripe sandbox</title>\
         <body style=\"font: 1.1rem sans-serif; max-width: 40rem; margin: 3rem auto\">{body}</html>"
    );
    plain(status, "text/html; charset=utf-8", text)
}

fn redirect(url: &str, session: &str) -> Answer {
    let url = url.replace("{CHECKOUT_SESSION_ID}", session);
    let mut answer = plain(303, "text/plain", "");
    if let Ok(url) = HeaderValue::from_str(&url) {
        answer.headers_mut().insert(header::LOCATION, url);
    }
    answer
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
