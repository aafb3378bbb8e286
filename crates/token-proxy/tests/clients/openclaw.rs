//! The pinned gateway holds a conversation: Telegram on its one side, the proxy on the other.

use std::{collections::HashSet, process::Command, time::Duration};

use oc_platform_token::{LinkKey, Purpose};
use oc_sandbox::{
    kimi::{End, Entry, Options},
    stack::{LINK_KEY, Setup, Stack, ask},
};
use oc_service::Clock;
use oc_store::periods;
use serde_json::Value;
use tokio::time::timeout;

use crate::{gateway::Gateway, telegram::Telegram};

const TENANT: &str = "c-7f3k2m9q";
const QUOTA: u64 = 100_000_000;
const LONGEST: Duration = Duration::from_mins(4);
/// The first turn loads half of the gateway.
const REPLY: Duration = Duration::from_mins(1);

/// A chat with a tenant's agent, and what is behind it.
struct Conversation {
    stack: Stack,
    token: String,
    telegram: Telegram,
    gateway: Gateway,
}

#[tokio::test(flavor = "multi_thread")]
async fn openclaw_holds_a_conversation_with_a_tool_a_spent_quota_and_a_new_one() {
    timeout(LONGEST, async {
        let mut conversation = Conversation::begin().await;
        conversation.speaks("/v1/chat/completions").await;
        conversation.is_told_of_a_spent_quota().await;
        conversation.gateway.speak_anthropic(&conversation.stack).await;
        conversation.speaks("/v1/messages").await;
        conversation.is_told_of_a_spent_quota().await;
        conversation.compare().await;
    })
    .await
    .unwrap();
}

impl Conversation {
    async fn begin() -> Self {
        let kimi = Options { capture: true, ..Options::default() };
        let program = env!("CARGO_BIN_EXE_oc-token-proxy");
        let stack = Stack::start(Setup { kimi, ..Setup::new(program) }).await.unwrap();
        let token = stack.tenant(TENANT, QUOTA).await.unwrap();
        let telegram = Telegram::start(format!("1:{token}")).await;
        let gateway = Gateway::start(&stack, TENANT, &token, &telegram).await;
        Self { stack, token, telegram, gateway }
    }

    /// What the agent answers, and what the provider was asked for that.
    async fn turn(&self, text: &str) -> (String, Vec<Entry>) {
        let before = self.stack.kimi.log().len();
        self.telegram.say(text);
        let reply = self.telegram.reply(REPLY).await;
        let reply = reply.unwrap_or_else(|error| panic!("{error:#}\n{}", self.gateway.log()));
        (reply, self.stack.kimi.log().split_off(before))
    }

    /// A turn in words, and one with a tool, whose result goes back to the model.
    async fn speaks(&self, path: &str) {
        let (reply, asked) = self.turn("olá [[kimi frames=1]]").await;
        assert!(reply.starts_with("00000000 "), "{reply}");
        assert_eq!(asked.len(), 1, "{asked:#?}");
        assert!(asked[0].path == path && asked[0].stream);
        let (reply, asked) = self.turn("tool:session_status [[kimi frames=1]]").await;
        assert!(reply.starts_with("00000000 "), "{reply}");
        // As long as no result follows the person's words, the provider calls the tool.
        let [called, _] = &asked[..] else { panic!("{asked:#?}") };
        let sent = String::from_utf8_lossy(called.sent.as_ref().unwrap());
        assert!(sent.contains(r#""name":"session_status""#), "{sent}");
    }

    /// Our words reach the person as they are, and a new quota is used at once.
    async fn is_told_of_a_spent_quota(&self) {
        self.set_quota(1).await;
        let (reply, asked) = self.turn("e agora?").await;
        assert_eq!(reply, self.notice().await);
        assert!(asked.is_empty(), "{asked:#?}");
        self.set_quota(QUOTA).await;
        let (reply, asked) = self.turn("e agora? [[kimi frames=1]]").await;
        assert!(reply.starts_with("00000000 ") && asked.len() == 1, "{reply} {asked:#?}");
    }

    /// The notice as the proxy says it and Telegram shows it: with a link.
    async fn notice(&self) -> String {
        let answer = self.stack.chat(&self.token, &ask("?")).await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
        let (words, url) = text.rsplit_once(' ').unwrap();
        assert!(words.starts_with("Você já usou todos os tokens"), "{words}");
        let link = url.strip_prefix("https://openclaw.cloud/u/").unwrap();
        let link = LinkKey::new(LINK_KEY.as_bytes()).unwrap().verify(link, 0).unwrap();
        assert_eq!((link.purpose, link.tenant.as_str()), (Purpose::Upgrade, TENANT));
        format!(r#"{words} <a href="{url}">{url}</a>"#)
    }

    /// In Postgres, as billing does; Redis forgets what it had, so it is read again.
    async fn set_quota(&self, limit: u64) {
        let account = format!("a-{TENANT}");
        let now = Clock::system().now();
        let store = &self.stack.store;
        let found = periods::current_and_next(store, &account.parse().unwrap(), now).await.unwrap();
        periods::set_limit(store, found[0].id, limit).await.unwrap();
        let url = self.stack.redis.url();
        let key = format!("oc:p:{account}");
        let deleted = Command::new("redis-cli").args(["-u", &url, "del", &key]).output().unwrap();
        assert_eq!(deleted.stdout, b"1\n", "{deleted:?}");
    }

    async fn compare(&self) {
        let log = self.stack.kimi.log();
        assert!(log.iter().all(|entry| entry.end == End::Served));
        let requests: HashSet<_> = log.iter().map(|entry| &entry.request_id).collect();
        let totals = self.stack.rows(TENANT, requests.len() as u64).await.unwrap();
        let served = self.stack.kimi.stats().tokens;
        assert_eq!((totals.tokens.input, totals.tokens.output), (served.input, served.output));
    }
}
