use serde_json::json;

use super::*;

fn folder(concurrency: u32, key: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = json!({"upstreams": [{
        "name": "moonshot",
        "openai": "https://api.moonshot.ai/v1",
        "anthropic": "https://api.moonshot.ai/anthropic/",
        "keys": [{"name": "a", "file": "a.key"}],
        "concurrency": concurrency,
        "models": {"kimi-coding/k2p5": {"name": "kimi-k2.6", "prices": [
            {"from": "2026-01-01", "input": 950, "cachedInput": 160, "output": 4000},
            {"from": "2027-01-01", "input": 1000, "cachedInput": 200, "output": 5000}]}},
    }]});
    std::fs::write(folder.path().join("upstreams.json"), file.to_string()).unwrap();
    std::fs::write(folder.path().join("a.key"), [key, "\n"].concat()).unwrap();
    folder
}

fn read(folder: &tempfile::TempDir, before: Option<&Pool>) -> Pool {
    Pool::read(&folder.path().join("upstreams.json"), before).unwrap()
}

#[test]
fn addresses_follow_the_dialect() {
    let pool = read(&folder(3, "sk-12345678"), None);
    let upstream = &pool.upstreams[0];
    let address = |dialect, path| upstream.address(dialect, path).unwrap().to_string();
    assert_eq!(
        address(Dialect::OpenAi, "/v1/chat/completions"),
        "https://api.moonshot.ai/v1/chat/completions"
    );
    assert_eq!(
        address(Dialect::Anthropic, "/v1/messages"),
        "https://api.moonshot.ai/anthropic/v1/messages"
    );
}

#[test]
fn the_price_of_the_day_holds() {
    let pool = read(&folder(3, "sk-12345678"), None);
    let offer = pool.first_offer(ModelId::KimiK2p5).unwrap();
    let tokens = Tokens { input: 10, cached_input: 100, output: 5, reasoning: 3 };
    let cost = |when: &str| offer.cost(tokens, when.parse().unwrap());
    assert_eq!(cost("2025-12-31T23:59:59Z"), 0);
    assert_eq!(cost("2026-06-01T00:00:00Z"), 9_500 + 16_000 + 20_000);
    assert_eq!(cost("2027-01-01T00:00:00Z"), 10_000 + 20_000 + 25_000);
}

#[test]
fn a_key_that_stays_keeps_its_state_and_a_new_one_starts_afresh() {
    let before = read(&folder(3, "sk-12345678"), None);
    let same = read(&folder(5, "sk-12345678"), Some(&before));
    assert!(Arc::ptr_eq(&before.upstreams[0].lanes[0], &same.upstreams[0].lanes[0]));
    let other = read(&folder(3, "sk-87654321"), Some(&before));
    assert!(!Arc::ptr_eq(&before.upstreams[0].lanes[0], &other.upstreams[0].lanes[0]));
}

#[test]
fn a_key_is_never_printed_and_is_taken_out_of_texts() {
    let pool = read(&folder(3, "sk-12345678"), None);
    let printed = format!("{pool:?} {:?}", pool.upstreams[0].lanes[0].key.header(Dialect::OpenAi));
    assert!(!printed.contains("12345678"), "{printed}");
    let scrubbed = pool.upstreams[0].lanes[0].key.scrub(b"bad key sk-12345678!").unwrap();
    assert_eq!(scrubbed, b"bad key [key]!");
}

#[test]
fn a_file_that_is_wrong_is_refused_with_the_reason() {
    let folder = folder(3, "sk-12345678");
    std::fs::remove_file(folder.path().join("a.key")).unwrap();
    let error = Pool::read(&folder.path().join("upstreams.json"), None).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("upstream moonshot: key a: ") && error.contains("a.key"), "{error}");
}
