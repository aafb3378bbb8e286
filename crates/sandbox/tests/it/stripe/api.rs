use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{
    http::{Api, id},
    support::{DAY, START},
};

fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn a_subscription_is_bought_and_read() {
    let api = Api::start().await;
    let row = api.subscription().await;
    assert_eq!(row["status"], "active");
    assert_eq!(row["metadata"]["openclaw_tenant_id"], "c-1");
    assert_eq!(row["items"]["data"][0]["current_period_start"], START);
    let expanded = "expand[0]=latest_invoice.payments.data.payment.payment_intent.latest_charge\
                    &expand%5B1%5D=customer&expand[]=items.data.price.product";
    let row = api.get(&format!("subscriptions/{}?{expanded}", id(&row))).await;
    let payment = &row["latest_invoice"]["payments"]["data"][0]["payment"];
    assert_eq!(payment["payment_intent"]["latest_charge"]["amount"], 1900);
    assert_eq!(row["items"]["data"][0]["price"]["product"]["metadata"]["tier"], "starter");
}

#[tokio::test]
async fn a_request_without_a_test_key_is_refused() {
    let api = Api::start().await;
    let url = format!("{}/v1/customers", api.server.url());
    let bare = api.client.get(&url).send().await.unwrap();
    assert_eq!(bare.status(), 401);
    assert!(bare.headers().contains_key("request-id"));
    let body: Value = bare.json().await.unwrap();
    assert_eq!(body["error"]["type"], "invalid_request_error");
    let live = api.client.get(&url).header("authorization", "Bearer sk_live_1").send().await;
    assert_eq!(live.unwrap().status(), 401);
}

#[tokio::test]
async fn what_is_unknown_is_refused_in_stripes_words() {
    let api = Api::start().await;
    let said = api.send("GET", "customers/cus_x", &[], &[]).await.unwrap();
    assert_eq!(said.status, 404);
    assert_eq!(said.json["error"]["code"], "resource_missing");
    assert_eq!(said.json["error"]["message"], "No such customer: 'cus_x'");
    let said = api.send("POST", "customers", &[("shoe_size", "44")], &[]).await.unwrap();
    assert_eq!((said.status, &said.json["error"]["code"]), (400, &json!("parameter_unknown")));
    assert_eq!(said.json["error"]["param"], "shoe_size");
    let said = api.send("GET", "mandates/x", &[], &[]).await.unwrap();
    assert_eq!(said.status, 404);
    let said = api.send("POST", "products", &[], &[]).await.unwrap();
    assert_eq!(said.json["error"]["code"], "parameter_missing");
    api.post("customers", &[]).await;
    let said = api.send("GET", "customers?expand[]=data.nonsense", &[], &[]).await.unwrap();
    assert_eq!(said.status, 400);
}

#[tokio::test]
async fn a_key_is_answered_the_same_again_and_other_parameters_are_refused() {
    let api = Api::start().await;
    let key = [("idempotency-key", "k-1")];
    let first = api.send("POST", "customers", &[("name", "Ana")], &key).await.unwrap();
    let again = api.send("POST", "customers", &[("name", "Ana")], &key).await.unwrap();
    assert_eq!(first.json, again.json);
    assert_eq!(first.headers["request-id"], again.headers["request-id"]);
    assert!(!first.headers.contains_key("idempotent-replayed"));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let other = api.send("POST", "customers", &[("name", "Bia")], &key).await.unwrap();
    assert_eq!(other.status, 400);
    assert_eq!(other.json["error"]["type"], "idempotency_error");
    assert_eq!(ids(&api.get("customers").await).len(), 1);
    let event = &api.get("events").await["data"][0];
    assert_eq!(event["request"]["idempotency_key"], "k-1");
    // What was refused before anything was done may be tried again.
    let key = [("idempotency-key", "k-2")];
    let bad = api.send("POST", "customers", &[("shoe_size", "44")], &key).await.unwrap();
    let good = api.send("POST", "customers", &[("name", "Caio")], &key).await.unwrap();
    assert_eq!((bad.status, good.status), (400, 200));
}

#[tokio::test]
async fn lists_have_pages_in_both_directions() {
    let api = Api::start().await;
    let mut made = Vec::new();
    for n in 0..25 {
        made.push(id(&api.post("customers", &[("name", &format!("n{n}"))]).await));
        api.server.control("clock=+10s").unwrap();
    }
    made.reverse();
    let first = api.get("customers").await;
    assert_eq!(ids(&first), made[..10]);
    assert_eq!((&first["has_more"], &first["url"]), (&json!(true), &json!("/v1/customers")));
    let page = api.get(&format!("customers?limit=20&starting_after={}", made[9])).await;
    assert_eq!((ids(&page), &page["has_more"]), (made[10..].to_vec(), &json!(false)));
    let page = api.get(&format!("customers?limit=5&ending_before={}", made[9])).await;
    assert_eq!((ids(&page), &page["has_more"]), (made[4..9].to_vec(), &json!(true)));
    let from = START + 200;
    let page = api.get(&format!("customers?limit=100&created[gte]={from}")).await;
    assert_eq!(ids(&page), made[..5]);
    let range = format!("customers?created%5Bgt%5D={from}&created%5Blt%5D={}", from + 20);
    assert_eq!(ids(&api.get(&range).await), made[3..4]);
    let said = api.send("GET", "customers?limit=101", &[], &[]).await.unwrap();
    assert_eq!(said.status, 400);
    let said = api.send("GET", "customers?starting_after=cus_x", &[], &[]).await.unwrap();
    assert_eq!(said.json["error"]["param"], "starting_after");
}

#[tokio::test]
async fn a_lookup_key_finds_one_price_and_moves_only_when_asked() {
    let api = Api::start().await;
    let (_, old) = api.shop().await;
    let product = api.get(&format!("prices/{old}")).await["product"].as_str().unwrap().to_owned();
    let form = [
        ("product", &*product),
        ("currency", "usd"),
        ("unit_amount", "2100"),
        ("recurring[interval]", "month"),
        ("lookup_key", "starter"),
    ];
    let taken = api.send("POST", "prices", &form, &[]).await.unwrap();
    assert_eq!(taken.status, 400);
    let new = api.post("prices", &[&form[..], &[("transfer_lookup_key", "true")]].concat()).await;
    let found = api.get("prices?lookup_keys[]=starter&lookup_keys[]=pro&active=true").await;
    assert_eq!(ids(&found), [id(&new)]);
    api.post(&format!("prices/{old}"), &[("active", "false")]).await;
    assert_eq!(ids(&api.get(&format!("prices?product={product}&active=false")).await), [old]);
}

#[tokio::test]
async fn subscriptions_are_listed_without_ended_ones_unless_asked() {
    let api = Api::start().await;
    let row = api.subscription().await;
    let customer = row["customer"].as_str().unwrap();
    api.send("DELETE", &format!("subscriptions/{}", id(&row)), &[], &[]).await.unwrap();
    let list = |query: &str| format!("subscriptions?customer={customer}{query}");
    assert!(ids(&api.get(&list("")).await).is_empty());
    assert_eq!(ids(&api.get(&list("&status=all")).await).len(), 1);
    assert_eq!(ids(&api.get(&list("&status=canceled")).await).len(), 1);
    assert_eq!(ids(&api.get("subscriptions?customer=cus_x&status=all").await).len(), 0);
}

#[tokio::test]
async fn a_downgrade_is_scheduled_and_released() {
    let api = Api::start().await;
    let row = api.subscription().await;
    let item = &row["items"]["data"][0];
    let product = item["price"]["product"].as_str().unwrap();
    let cheap = api
        .post(
            "prices",
            &[
                ("product", product),
                ("currency", "usd"),
                ("unit_amount", "900"),
                ("recurring[interval]", "month"),
            ],
        )
        .await;
    let schedule = api.post("subscription_schedules", &[("from_subscription", &id(&row))]).await;
    let path = format!("subscription_schedules/{}", id(&schedule));
    let (start, end) = (START.to_string(), item["current_period_end"].to_string());
    let form = [
        ("end_behavior", "release"),
        ("proration_behavior", "none"),
        ("phases[0][start_date]", &*start),
        ("phases[0][end_date]", &*end),
        ("phases[0][items][0][price]", item["price"]["id"].as_str().unwrap()),
        ("phases[1][items][0][price]", &*id(&cheap)),
        ("phases[1][items][0][quantity]", "1"),
        ("phases[1][duration][interval]", "month"),
        ("phases[1][duration][interval_count]", "1"),
    ];
    let schedule = api.post(&path, &form).await;
    assert_eq!(schedule["phases"][1]["start_date"].to_string(), end);
    let customer = row["customer"].as_str().unwrap();
    let listed = api.get(&format!("subscription_schedules?customer={customer}")).await;
    assert_eq!(listed["data"], json!([schedule]));
    let released = api.post(&format!("{path}/release"), &[]).await;
    assert_eq!(released["status"], "released");
    assert_eq!(released["released_subscription"], row["id"]);
    assert!(api.get(&format!("subscriptions/{}", id(&row))).await["schedule"].is_null());
}

#[tokio::test]
async fn an_upgrade_that_the_card_does_not_pay_is_a_card_error() {
    let api = Api::start().await;
    let row = api.subscription().await;
    let (customer, item) = (row["customer"].as_str().unwrap(), &row["items"]["data"][0]);
    let product = item["price"]["product"].as_str().unwrap();
    let price = [("product", product), ("currency", "usd"), ("unit_amount", "4900")];
    let pro = api.post("prices", &[&price[..], &[("recurring[interval]", "month")]].concat()).await;
    api.server.control(&format!("card={customer}:declines clock=+1d")).unwrap();
    let (path, pro) = (format!("subscriptions/{}", id(&row)), id(&pro));
    let mut form = vec![
        ("items[0][id]", item["id"].as_str().unwrap()),
        ("items[0][price]", &*pro),
        ("proration_behavior", "always_invoice"),
        ("payment_behavior", "error_if_incomplete"),
    ];
    let said = api.send("POST", &path, &form, &[]).await.unwrap();
    assert_eq!((said.status, &said.json["error"]["type"]), (402, &json!("card_error")));
    form[3].1 = "pending_if_incomplete";
    let row = api.post(&path, &form).await;
    assert_eq!(row["pending_update"]["subscription_items"][0]["price"]["id"], pro);
    assert_eq!(row["items"]["data"][0]["price"]["unit_amount"], 1900);
    let invoice = row["latest_invoice"].as_str().unwrap();
    let said = api.send("POST", &format!("invoices/{invoice}/pay"), &[], &[]).await.unwrap();
    assert_eq!(said.status, 402);
    api.server.control(&format!("card={customer}:works")).unwrap();
    api.post(&format!("invoices/{invoice}/pay"), &[]).await;
    assert_eq!(api.get(&path).await["items"]["data"][0]["price"]["id"], pro);
}

#[tokio::test]
async fn refunds_and_disputes_are_found_by_their_charge() {
    let api = Api::start().await;
    let row = api.subscription().await;
    let customer = row["customer"].as_str().unwrap();
    let charges = api.get(&format!("charges?customer={customer}")).await;
    let charge = ids(&charges).remove(0);
    let intent = charges["data"][0]["payment_intent"].as_str().unwrap().to_owned();
    let form = [("payment_intent", &*intent), ("amount", "500"), ("metadata[why]", "kind")];
    let refund = api.post("refunds", &form).await;
    assert_eq!(api.get(&format!("refunds?charge={charge}")).await["data"], json!([refund]));
    let told = api.server.control(&format!("dispute={charge}")).unwrap();
    let dispute = told.trim();
    let found = api.get(&format!("disputes?payment_intent={intent}")).await;
    assert_eq!(ids(&found), [dispute]);
    api.server.control(&format!("close={dispute}:lost")).unwrap();
    assert_eq!(api.get(&format!("disputes/{dispute}")).await["status"], "lost");
    let invoice = row["latest_invoice"].as_str().unwrap();
    let payments = api.get(&format!("invoice_payments?invoice={invoice}")).await;
    assert_eq!(payments["data"][0]["payment"]["payment_intent"], intent);
    assert_eq!(api.get(&format!("payment_intents/{intent}")).await["latest_charge"], charge);
}

#[tokio::test]
async fn events_are_listed_by_type_and_time() {
    let api = Api::start().await;
    api.subscription().await;
    api.server.control("clock=+31d").unwrap();
    let paid = api.get("events?type=invoice.paid").await;
    assert_eq!(ids(&paid).len(), 2);
    let later = START + DAY;
    let found = api.get(&format!("events?types[]=invoice.paid&created[gte]={later}")).await;
    assert_eq!(found["data"][0], paid["data"][0]);
    assert_eq!(ids(&found).len(), 1);
    let all = api.get("events?type=invoice.*&limit=100").await;
    assert!(ids(&all).len() > 6);
    let one = api.get(&format!("events/{}", ids(&paid)[0])).await;
    assert_eq!(one, paid["data"][0]);
}

#[tokio::test]
async fn a_version_before_the_move_is_answered_in_its_shape() {
    let api = Api::start().await;
    let row = api.subscription().await;
    let path = format!("subscriptions/{}", id(&row));
    let old = [("stripe-version", "2025-02-24.acacia")];
    let said = api.send("GET", &path, &[], &old).await.unwrap();
    assert_eq!(said.json["current_period_start"], START);
}

#[tokio::test]
async fn requests_fail_as_often_as_they_are_told_to() {
    let api = Api::start().await;
    api.server.control("fail=500:2 fail=429:1").unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let said = api.send("POST", "customers", &[], &[]).await.unwrap();
        seen.push(said.status);
        if said.status == 429 {
            assert_eq!(said.json["error"]["code"], "rate_limit");
        }
    }
    assert_eq!(seen, [500, 500, 429, 200, 200]);
    assert_eq!(ids(&api.get("customers").await).len(), 2);
    api.server.control("hang=1").unwrap();
    let hung = api.send("GET", "customers", &[], &[]);
    assert!(timeout(Duration::from_millis(100), hung).await.is_err());
    api.server.control("latency=60ms").unwrap();
    let start = Instant::now();
    api.get("customers").await;
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn a_lost_answer_is_had_again_with_its_key() {
    let api = Api::start().await;
    api.server.control("lost=1").unwrap();
    let key = [("idempotency-key", "k")];
    assert!(api.send("POST", "customers", &[("name", "Ana")], &key).await.is_err());
    let again = api.send("POST", "customers", &[("name", "Ana")], &key).await.unwrap();
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(ids(&api.get("customers").await), [id(&again.json)]);
}

#[tokio::test]
async fn a_test_clock_moves_the_account() {
    let api = Api::start().await;
    let row = api.subscription().await;
    let at = (START + DAY).to_string();
    let clock = api.post("test_helpers/test_clocks", &[("frozen_time", &at)]).await;
    let path = format!("test_helpers/test_clocks/{}", id(&clock));
    let at = (START + 31 * DAY).to_string();
    let clock = api.post(&format!("{path}/advance"), &[("frozen_time", &at)]).await;
    assert_eq!((&clock["status"], clock["frozen_time"].to_string()), (&json!("ready"), at));
    let invoices = api.get(&format!("invoices?subscription={}", id(&row))).await;
    assert_eq!(ids(&invoices).len(), 2);
    let said = api.send("POST", &format!("{path}/advance"), &[("frozen_time", "5")], &[]).await;
    assert_eq!(said.unwrap().status, 400);
}

#[tokio::test]
async fn words_of_the_control_that_make_no_sense_are_refused() {
    let api = Api::start().await;
    for words in ["nonsense=1", "lose=often", "card=cus_x:works", "close=dp_1:drawn", "secrets=a"] {
        let url = format!("{}/_control", api.server.url());
        let answer = api.client.post(url).body(words).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{words}");
        assert!(!answer.text().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn every_other_route_answers_with_its_object() {
    let api = Api::start().await;
    let row = api.subscription().await;
    let (customer, product) =
        (row["customer"].as_str().unwrap(), row["items"]["data"][0]["price"]["product"].as_str());
    let (price, product) = (row["items"]["data"][0]["price"]["id"].as_str(), product.unwrap());
    let form = [("email", ""), ("preferred_locales[0]", "pt-BR"), ("metadata[a]", "b")];
    let changed = api.post(&format!("customers/{customer}"), &form).await;
    assert_eq!((&changed["email"], &changed["metadata"]["a"]), (&Value::Null, &json!("b")));
    assert_eq!(api.get(&format!("customers/{customer}")).await, changed);
    let form = [("name", "Starter plan"), ("metadata[tier]", ""), ("description", "Small")];
    let changed = api.post(&format!("products/{product}"), &form).await;
    assert_eq!((&changed["name"], &changed["metadata"]), (&json!("Starter plan"), &json!({})));
    assert_eq!(api.get("products?active=true&limit=100").await["data"], json!([changed]));
    assert_eq!(api.get(&format!("prices/{}", price.unwrap())).await["lookup_key"], "starter");
    let path = format!("checkout/sessions?customer={customer}&status");
    assert_eq!(ids(&api.get(&format!("{path}=complete")).await).len(), 1);
    let session = api.checkout(customer, price.unwrap()).await;
    assert_eq!(api.get(&format!("{path}=open")).await["data"], json!([session]));
    let expired = api.post(&format!("checkout/sessions/{}/expire", id(&session)), &[]).await;
    assert_eq!((&expired["status"], &expired["url"]), (&json!("expired"), &Value::Null));
    let subscription = format!("subscriptions/{}", id(&row));
    let ends = api.post(&subscription, &[("cancel_at_period_end", "true")]).await;
    assert_eq!(ends["cancel_at"], ends["items"]["data"][0]["current_period_end"]);
    api.post(&subscription, &[("cancel_at_period_end", "false"), ("metadata[x]", "y")]).await;
    let said = api.send("POST", &format!("{subscription}/resume"), &[], &[]).await.unwrap();
    assert_eq!(said.status, 400);
    let invoices = api.get(&format!("invoices?customer={customer}&status=paid")).await;
    assert_eq!(ids(&invoices), [row["latest_invoice"].as_str().unwrap()]);
    let ended = api.send("DELETE", &subscription, &[], &[]).await.unwrap();
    assert_eq!((ended.status, &ended.json["status"]), (200, &json!("canceled")));
}

#[tokio::test]
async fn a_portal_offers_what_its_configuration_says() {
    let api = Api::start().await;
    let form = [
        ("business_profile[headline]", "OpenClaw"),
        ("default_return_url", "https://shop.example/"),
        ("features[invoice_history][enabled]", "true"),
        ("features[payment_method_update][enabled]", "true"),
        ("features[subscription_cancel][enabled]", "true"),
        ("features[subscription_cancel][mode]", "at_period_end"),
    ];
    let made = api.post("billing_portal/configurations", &form).await;
    assert_eq!(made["features"]["subscription_cancel"]["enabled"], true);
    assert_eq!(api.get("billing_portal/configurations").await["data"], json!([made]));
    let (customer, _) = api.shop().await;
    let form = [("customer", &*customer), ("locale", "pt-BR")];
    let session = api.post("billing_portal/sessions", &form).await;
    assert_eq!(session["configuration"], made["id"]);
    assert_eq!(session["return_url"], "https://shop.example/");
}

#[tokio::test]
async fn a_trial_without_a_card_pauses_and_is_resumed() {
    let api = Api::start().await;
    let (customer, price) = api.shop().await;
    let form = [
        ("mode", "subscription"),
        ("customer", &*customer),
        ("line_items[0][price]", &*price),
        ("line_items[0][quantity]", "1"),
        ("success_url", "https://shop.example/done"),
        ("payment_method_collection", "if_required"),
        ("subscription_data[trial_period_days]", "7"),
        ("subscription_data[trial_settings][end_behavior][missing_payment_method]", "pause"),
    ];
    let session = api.post("checkout/sessions", &form).await;
    api.server.control(&format!("checkout={}:none clock=+7d", id(&session))).unwrap();
    let row = api.get(&format!("subscriptions?customer={customer}&status=paused")).await;
    let path = format!("subscriptions/{}", ids(&row)[0]);
    api.server.control(&format!("card={customer}:works")).unwrap();
    let row = api.post(&format!("{path}/resume"), &[("billing_cycle_anchor", "now")]).await;
    assert_eq!(row["status"], "active");
}
