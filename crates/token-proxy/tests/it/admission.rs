//! Who is let in.

use serde_json::{Value, json};

use oc_platform_token::{LinkKey, Purpose};
use oc_sandbox::stack::{LINK_KEY, Setup, Stack, ask};

use crate::{setup, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_accepted_in_three_places_and_nothing_else_is() {
    let stack = start().await;
    let token = stack.tenant("c-auth", 1_000_000).await.unwrap();
    let post = || {
        let request = stack.client.post(stack.url("/v1/chat/completions"));
        request.header("content-type", "application/json").body(ask("hi").to_string())
    };
    for request in [
        post().header("x-proxy-key", &token),
        post().bearer_auth(&token),
        post().header("x-api-key", &token),
        post().header("x-proxy-key", &token).header("x-api-key", "custom-local"),
    ] {
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let unknown = stack.sign(&"c-nobody".parse().unwrap(), 1);
    let older = stack.sign(&"c-auth".parse().unwrap(), 2);
    for request in [
        post(),
        post().bearer_auth("oc_c-auth_1_x"),
        post().bearer_auth(&unknown),
        post().bearer_auth(&older),
        post().bearer_auth(&token).header("x-proxy-key", "custom-local"),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["error"]["code"], "invalid_api_key");
    }
    assert_eq!(stack.rows("c-auth", 4).await.unwrap().requests, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_table_of_routes_is_closed() {
    let stack = start().await;
    let token = stack.tenant("c-routes", 1_000_000).await.unwrap();
    for path in ["/", "/v1/embeddings", "/v1/chat/completions/", "/v1/files", "/healthz"] {
        let response = stack.post(path, &token, &ask("x")).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
    }
    let get = stack.client.get(stack.url("/v1/messages")).bearer_auth(&token);
    let response = get.send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["allow"]),
        (405, &"POST".parse().unwrap())
    );
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["type"], "error");
    assert_eq!(stack.kimi.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_quota_is_told_as_an_answer_in_the_tenants_language() {
    let stack = start().await;
    let portuguese = stack.tenant("c-spent", 100).await.unwrap();
    let english = stack
        .tenant_with("c-english", 100, |tenant| tenant.locale = oc_domain::Locale::En)
        .await
        .unwrap();
    let response = stack.chat(&portuguese, &ask("oi")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-openclaw-notice"], "quota-spent");
    let answer: Value = response.json().await.unwrap();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.starts_with("Você já usou todos os tokens"), "{text}");
    let (_, link) = text.rsplit_once("https://openclaw.cloud/u/").unwrap();
    let key = LinkKey::new(LINK_KEY.as_bytes()).unwrap();
    let now = u32::try_from(oc_service::Clock::system().unix_ms() / 1000).unwrap();
    let link = key.verify(link, now).unwrap();
    assert_eq!((link.tenant.as_str(), link.purpose), ("c-spent", Purpose::Upgrade));
    assert_eq!(answer["usage"]["total_tokens"], 0);
    let mut body = ask("hi");
    body["stream"] = json!(true);
    body["max_tokens"] = json!(1000);
    let response = stack.post("/v1/messages", &english, &body).send().await.unwrap();
    assert_eq!(response.headers()["x-openclaw-notice"], "quota-spent");
    let text = response.text().await.unwrap();
    assert!(text.contains("You have used all tokens") && text.contains("message_stop"), "{text}");
    assert_eq!(stack.kimi.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_and_unpaid_tenants_are_told_so_and_cost_nothing() {
    let stack = start().await;
    let suspended = |tenant: &mut oc_store::tenants::Tenant| {
        tenant.state = oc_store::tenants::State::Suspended;
    };
    let suspended = stack.tenant_with("c-suspended", 1_000_000, suspended).await.unwrap();
    let account = "a-unpaid".parse().unwrap();
    oc_store::accounts::insert(&stack.store, &account).await.unwrap();
    let unpaid = stack.tenant_of("c-unpaid", account, |_| ()).await.unwrap();
    for (token, notice) in [(suspended, "suspended"), (unpaid, "unpaid")] {
        let response = stack.chat(&token, &ask("oi")).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-openclaw-notice"], notice);
    }
    assert_eq!(stack.kimi.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_held_back_and_a_flood_is_refused_for_a_moment() {
    let stack = Stack::start(Setup {
        arguments: ["--rate", "10", "--burst", "5", "--concurrency", "100"]
            .map(str::to_owned)
            .to_vec(),
        ..setup()
    })
    .await
    .unwrap();
    let token = stack.tenant("c-burst", 10_000_000).await.unwrap();
    let burst = |count: usize| {
        futures::future::join_all((0..count).map(|_| async {
            let response = stack.chat(&token, &ask("hi")).await.unwrap();
            let after = response.headers().get("retry-after").cloned();
            (response.status().as_u16(), after)
        }))
    };
    // Five at once and ten a second: fifteen fit into the two seconds that they are held.
    let began = std::time::Instant::now();
    let answers = burst(15).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    assert!(began.elapsed().as_millis() > 800, "{:?}", began.elapsed());
    let answers = burst(60).await;
    let refused: Vec<_> = answers.iter().filter(|(status, _)| *status == 429).collect();
    assert!(!refused.is_empty());
    for (_, after) in refused {
        let after: u32 = after.as_ref().unwrap().to_str().unwrap().parse().unwrap();
        assert!((1..=5).contains(&after));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_of_one_account_share_its_quota() {
    let stack = start().await;
    let first = stack.tenant("c-first", 100_000).await.unwrap();
    let second = stack.tenant_of("c-second", "a-c-first".parse().unwrap(), |_| ()).await.unwrap();
    for token in [&first, &second] {
        assert_eq!(stack.chat(token, &ask("hi")).await.unwrap().status(), 200);
    }
    let (one, two) =
        (stack.rows("c-first", 1).await.unwrap(), stack.rows("c-second", 1).await.unwrap());
    let usage = stack.usage(&first).await.unwrap();
    assert_eq!(usage["quota"]["used_tokens"].as_u64(), Some(one.charged + two.charged));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_cap_shrinks_with_the_quota() {
    let stack = start().await;
    let token = stack.tenant("c-clamp", 1_000).await.unwrap();
    let mut body = ask("hi [[kimi frames=2000]]");
    body["max_tokens"] = json!(100_000);
    let response = stack.chat(&token, &body).await.unwrap();
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let totals = stack.rows("c-clamp", 1).await.unwrap();
    assert!(totals.charged <= 1_000 && totals.tokens.output > 500, "{totals:?}");
}
