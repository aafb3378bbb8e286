//! What people ask on a terminal.

use oc_domain::TierId;
use serde_json::Value;

use crate::support::{By, Stack};

#[tokio::test]
async fn a_bot_is_set_shown_and_removed() {
    let stack = Stack::start(1, By::Polling).await;
    stack.tenant("c-one", TierId::Starter).await;
    let bot = stack.telegram.bot("verb_bot", "Verb");
    let file = stack.path("token");
    std::fs::write(&file, format!("{}\n", bot.token)).unwrap();
    let file = file.display().to_string();
    assert_eq!(stack.verb(&["bot", "show", "c-one"]).await.0, 1);
    assert_eq!(stack.verb(&["link", "c-one"]).await.0, 1);
    let (code, text) = stack.verb(&["bot", "set", "c-one", "--token-file", &file, "--json"]).await;
    assert_eq!(code, 0, "{text}");
    let set: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(set["username"], "verb_bot");
    let (code, text) = stack.verb(&["bot", "show", "c-one"]).await;
    assert_eq!((code, text.contains("@verb_bot")), (0, true), "{text}");
    let (code, text) = stack.verb(&["link", "c-one"]).await;
    assert!(code == 0 && text.starts_with("https://t.me/verb_bot?start="), "{text}");
    let (code, text) = stack.verb(&["chats", "c-one", "--json"]).await;
    assert_eq!((code, text.trim()), (0, "[]"));
    std::fs::write(stack.path("token"), "7:wrong").unwrap();
    let (code, text) = stack.verb(&["bot", "set", "c-one", "--token-file", &file]).await;
    assert_eq!((code, text.contains("does not know")), (1, true), "{text}");
    assert!(!text.contains("7:wrong"));
    assert_eq!(stack.verb(&["bot", "remove", "c-one"]).await.0, 0);
    assert_eq!(stack.verb(&["bot", "remove", "c-one"]).await.0, 1);
    assert_eq!(stack.verb(&["bot"]).await.0, 2);
}
