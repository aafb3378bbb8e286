//! A client of the API.

use http::HeaderMap;
use oc_sandbox::stripe::{self, Options, Server};
use serde_json::Value;

use super::mirror::mirror;

/// A server and a client with a key.
pub(crate) struct Api {
    pub(crate) server: Server,
    pub(crate) client: reqwest::Client,
}

/// What the API said.
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Api {
    pub(crate) async fn start() -> Self {
        let options = Options { now: Some(super::support::START), ..Options::default() };
        let server = stripe::start(options).await.unwrap();
        server.control("freeze").unwrap();
        Self { server, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> reqwest::Result<Said> {
        let url = format!("{}/v1/{path}", self.server.url());
        let mut request = self.client.request(method.parse().unwrap(), url);
        request = request.header("authorization", "Bearer sk_test_1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = encode(form);
        let answer = request.body(body.clone()).send().await?;
        let (status, head) = (answer.status().as_u16(), answer.headers().clone());
        let json = serde_json::from_slice(&answer.bytes().await?).unwrap_or_default();
        let new = headers.iter().all(|(name, _)| *name != "stripe-version");
        if new {
            mirror(&self.client, method, path, &body, status, &json).await;
        }
        Ok(Said { status, headers: head, json })
    }

    /// A request that succeeds.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let said = self.send("POST", path, form, &[]).await.unwrap();
        assert_eq!(said.status, 200, "{path}: {}", said.json);
        said.json
    }

    /// A request that succeeds.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let said = self.send("GET", path, &[], &[]).await.unwrap();
        assert_eq!(said.status, 200, "{path}: {}", said.json);
        said.json
    }

    /// A customer, and the id of a price.
    pub(crate) async fn shop(&self) -> (String, String) {
        let customer = self.post("customers", &[("email", "ana@example.com")]).await;
        let product = self.post("products", &[("name", "Starter"), ("metadata[tier]", "starter")]);
        let product = product.await;
        let price = self
            .post(
                "prices",
                &[
                    ("product", product["id"].as_str().unwrap()),
                    ("currency", "usd"),
                    ("unit_amount", "1900"),
                    ("recurring[interval]", "month"),
                    ("lookup_key", "starter"),
                ],
            )
            .await;
        (id(&customer), id(&price))
    }

    /// A checkout session.
    pub(crate) async fn checkout(&self, customer: &str, price: &str) -> Value {
        self.post(
            "checkout/sessions",
            &[
                ("mode", "subscription"),
                ("customer", customer),
                ("line_items[0][price]", price),
                ("line_items[0][quantity]", "1"),
                ("success_url", "https://shop.example/done?session={CHECKOUT_SESSION_ID}"),
                ("cancel_url", "https://shop.example/back"),
                ("locale", "pt-BR"),
                ("metadata[openclaw_tenant_id]", "c-1"),
                ("subscription_data[metadata][openclaw_tenant_id]", "c-1"),
            ],
        )
        .await
    }

    /// A subscription that is active.
    pub(crate) async fn subscription(&self) -> Value {
        let (customer, price) = self.shop().await;
        let session = id(&self.checkout(&customer, &price).await);
        self.server.control(&format!("checkout={session}:works")).unwrap();
        let session = self.get(&format!("checkout/sessions/{session}")).await;
        self.get(&format!("subscriptions/{}", session["subscription"].as_str().unwrap())).await
    }
}

pub(crate) fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

fn encode(form: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect()
    };
    let pair = |(name, value): &(&str, &str)| format!("{}={}", encode(name), encode(value));
    form.iter().map(pair).collect::<Vec<_>>().join("&")
}
