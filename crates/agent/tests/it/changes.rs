//! What changes while the gateway runs, and its end.

use std::time::Duration;

use oc_domain::heartbeat::{Activity, GatewayPhase};
use oc_testkit::wait_for;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    chat::Chat,
    model::Model,
    pod::{Pod, REPLY},
    process,
};

/// A second until the agent looks, one until the gateway does, and a busy machine.
const APPLIED: Duration = Duration::from_secs(30);
const OLD: &str = "an-old-platform-token.with-a-signature";
const NEW: &str = "a-new-platform-token.with-a-signature";

/// A pod that has answered once.
struct Conversation {
    chat: Chat,
    model: Model,
    pod: Pod,
    gateway: u32,
    /// The digest of what the gateway was given, as last heard.
    config: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_outlives_every_change_and_the_pod_ends_when_its_work_is_done() {
    let mut conversation = Conversation::begin().await;
    conversation.is_told_of_activity().await;
    conversation.gets_new_prompts().await;
    conversation.gets_another_thinking().await;
    conversation.gets_a_new_token().await;
    conversation.gets_another_bot().await;
    conversation.is_the_same();
    conversation.ends().await;
}

impl Conversation {
    async fn begin() -> Self {
        let (chat, model) = (Chat::start(OLD).await, Model::start().await);
        let mut pod = Pod::new(&chat, &model, OLD);
        pod.start();
        pod.ready(&chat).await;
        let (reply, asked) = pod.turn(&chat, &model, "o primeiro assunto [[kimi frames=1]]").await;
        assert!(reply.starts_with("00000000 "), "{reply}");
        assert!(asked.contains("o primeiro assunto"));
        assert_eq!(model.asked()[0].key, OLD);
        let gateway = pod.gateway().unwrap();
        Self { chat, model, pod, gateway, config: String::new() }
    }

    /// The second request to the model holds the first exchange.
    async fn asks(&self, text: &str) -> String {
        let (_, asked) = self.pod.turn(&self.chat, &self.model, text).await;
        assert!(asked.contains("o primeiro assunto") && asked.contains("00000000 "), "{asked}");
        asked
    }

    async fn is_told_of_activity(&mut self) {
        let idle = |heartbeat: &oc_domain::Heartbeat| heartbeat.activity == Activity::Idle;
        self.chat.heartbeat(APPLIED, "the end of the turn", idle).await.unwrap();
        self.chat.say("devagar [[kimi delay=4s frames=1]]");
        let busy = |heartbeat: &oc_domain::Heartbeat| heartbeat.activity == Activity::Busy;
        let heard = self.chat.heartbeat(APPLIED, "a turn", busy).await.unwrap();
        assert_eq!(heard.gateway, GatewayPhase::Ready);
        assert!(heard.memory_bytes > 100_000_000, "{heard:?}");
        self.pod.reply(&self.chat).await;
        let idle = self.chat.heartbeat(APPLIED, "the end of the turn", idle).await.unwrap();
        self.config = idle.config;
    }

    async fn gets_new_prompts(&mut self) {
        let before = self.config.clone();
        self.pod.change("SOUL.md", |text| format!("{text}\nUma regra inteiramente nova.\n"));
        let heard = self.chat.heartbeat(APPLIED, "new prompts", |beat| beat.config != before).await;
        heard.unwrap();
        let asked = self.asks("e agora? [[kimi frames=1]]").await;
        assert!(asked.contains("Uma regra inteiramente nova."), "{asked}");
    }

    async fn gets_another_thinking(&mut self) {
        let last = self.model.asked().last().unwrap().body["reasoning_effort"].clone();
        assert_eq!(last, "medium");
        self.pod.configure(|config| config["agents"]["defaults"]["thinkingDefault"] = json!("low"));
        let applied = async || {
            self.asks("pense [[kimi frames=1]]").await;
            let last = self.model.asked().last().unwrap().body["reasoning_effort"].clone();
            Ok((last == "low").then_some(()))
        };
        wait_for(APPLIED, "another thinking", applied).await.unwrap();
    }

    async fn gets_a_new_token(&mut self) {
        self.chat.rotate(NEW);
        self.pod.give_secret(NEW, "1");
        self.asks("com a chave nova [[kimi frames=1]]").await;
        assert_eq!(self.model.asked().last().unwrap().key, NEW);
    }

    async fn gets_another_bot(&mut self) {
        self.pod.give_secret(NEW, "2");
        let changed = async || Ok((self.chat.number().as_deref() == Some("2")).then_some(()));
        wait_for(APPLIED, "the other bot", changed).await.unwrap();
        self.asks("com o robô novo [[kimi frames=1]]").await;
    }

    fn is_the_same(&self) {
        assert_eq!(self.pod.gateway(), Some(self.gateway));
        assert!(self.chat.last_heartbeat().is_none_or(|last| last.restarts == 0));
        let log = self.pod.log();
        assert!(!log.contains(OLD) && !log.contains(NEW), "{log}");
        for line in log.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }

    /// The answer under way is given, though the pod is not ready from the first moment on.
    async fn ends(&mut self) {
        let before = self.model.asked().len();
        self.chat.say("a última [[kimi delay=5s frames=1]]");
        let asked = async || Ok((self.model.asked().len() > before).then_some(()));
        wait_for(REPLY, "the question", asked).await.unwrap();
        let family = process::family(self.pod.agent());
        let begun = Instant::now();
        process::signal("TERM", &[self.pod.agent()]);
        let unready = async || Ok((self.pod.probe("/readyz").await == 503).then_some(()));
        wait_for(Duration::from_secs(2), "an end to readiness", unready).await.unwrap();
        assert_eq!(self.pod.probe("/livez").await, 200);
        let reply = self.pod.reply(&self.chat).await;
        assert!(reply.starts_with("00000000 "), "{reply}");
        let ended = self.pod.ended(Duration::from_mins(1)).await;
        assert!(ended.success(), "{ended}\n{}", self.pod.log());
        assert!(begun.elapsed() > Duration::from_secs(3), "{:?}", begun.elapsed());
        assert!(!family.into_iter().any(process::lives));
    }
}
