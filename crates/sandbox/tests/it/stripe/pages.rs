use super::http::{Api, id};

/// Asks for a page as a browser does, or clicks; gives the status, where it leads, and the text.
async fn visit(api: &Api, url: &str, click: Option<&str>) -> (u16, String, String) {
    let browser = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let request = match click {
        Some(action) => browser.post(url).body(format!("action={action}")),
        None => browser.get(url),
    };
    let answer = request.send().await.unwrap();
    let location = answer.headers().get("location");
    let location = location.map_or("", |value| value.to_str().unwrap()).to_owned();
    assert!(url.starts_with(&api.server.url()));
    (answer.status().as_u16(), location, answer.text().await.unwrap())
}

#[tokio::test]
async fn a_person_pays_at_checkout_in_their_language() {
    let api = Api::start().await;
    let (customer, price) = api.shop().await;
    let session = api.checkout(&customer, &price).await;
    let url = session["url"].as_str().unwrap();
    let (status, _, text) = visit(&api, url, None).await;
    assert_eq!(status, 200);
    for words in ["<html lang=\"pt-BR\">", "Assinar Starter", "USD 19.00", "Pagar", "Voltar"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let (status, _, text) = visit(&api, url, Some("declines")).await;
    assert_eq!(status, 402);
    assert!(text.contains("Seu cartão foi recusado."));
    let (status, location, _) = visit(&api, url, Some("abandon")).await;
    assert_eq!((status, &*location), (303, "https://shop.example/back"));
    let (status, location, _) = visit(&api, url, Some("works")).await;
    let done = format!("https://shop.example/done?session={}", id(&session));
    assert_eq!((status, location), (303, done));
    let session = api.get(&format!("checkout/sessions/{}?expand[]=line_items", id(&session))).await;
    assert_eq!(session["payment_status"], "paid");
    assert_eq!(session["line_items"]["data"][0]["price"]["id"], price);
    assert!(session["url"].is_null());
    assert_eq!(visit(&api, url, Some("works")).await.0, 400);
}

#[tokio::test]
async fn a_person_cancels_and_returns_in_the_portal() {
    let api = Api::start().await;
    let row = api.subscription().await;
    let customer = row["customer"].as_str().unwrap();
    let form = [("customer", customer), ("return_url", "https://shop.example/?a=1&b=2")];
    let session = api.post("billing_portal/sessions", &form).await;
    let configurations = api.get("billing_portal/configurations?is_default=true").await;
    assert_eq!(configurations["data"][0]["id"], session["configuration"]);
    let url = session["url"].as_str().unwrap();
    let path = format!("subscriptions/{}", id(&row));
    let (_, _, text) = visit(&api, url, Some("cancel")).await;
    assert!(text.contains("href=\"https://shop.example/?a=1&amp;b=2\""));
    assert!(text.contains("ends on"));
    assert_eq!(api.get(&path).await["cancel_at_period_end"], true);
    visit(&api, url, Some("undo")).await;
    assert_eq!(api.get(&path).await["cancel_at_period_end"], false);
    visit(&api, url, Some("declines")).await;
    api.server.control("clock=+31d").unwrap();
    assert_eq!(api.get(&path).await["status"], "past_due");
    visit(&api, url, Some("works")).await;
    let invoice = api.get(&path).await["latest_invoice"].as_str().unwrap().to_owned();
    let invoice = api.get(&format!("invoices/{invoice}")).await;
    let (_, _, text) =
        visit(&api, invoice["hosted_invoice_url"].as_str().unwrap(), Some("pay")).await;
    assert!(text.contains("(paid)"), "{text}");
    assert_eq!(api.get(&path).await["status"], "active");
    visit(&api, url, Some("cancel_now")).await;
    assert_eq!(api.get(&path).await["status"], "canceled");
}

#[tokio::test]
async fn a_page_that_is_not_there_says_so() {
    let api = Api::start().await;
    for path in ["c/pay/cs_x", "p/session/bps_x", "i/in_x", "favicon.ico"] {
        let (status, _, _) = visit(&api, &format!("{}/{path}", api.server.url()), None).await;
        assert_eq!(status, 404, "{path}");
    }
}
