//! A real gateway that dies or hangs.

use std::time::Duration;

use oc_testkit::wait_for;
use tokio::time::Instant;

use crate::{
    chat::Chat,
    model::Model,
    pod::{Pod, REPLY, START},
    process,
};

const TOKEN: &str = "a-platform-token.with-a-signature";

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_or_hangs_is_back_and_answers_what_was_under_way() {
    let (chat, model) = (Chat::start(TOKEN).await, Model::start().await);
    let mut pod = Pod::new(&chat, &model, TOKEN);
    pod.start();
    pod.ready(&chat).await;
    pod.turn(&chat, &model, "o primeiro assunto [[kimi frames=1]]").await;

    // While its answer is there, and its sending has not begun.
    let mut script = pod.kill_before_sending(pod.gateway().unwrap());
    chat.say("entre um e outro [[kimi frames=1]]");
    let ended = wait_for(REPLY, "the kill", async || Ok(script.try_wait()?));
    assert!(ended.await.unwrap().success());
    while pod.reply(&chat).await.starts_with("I'm continuing your interrupted request") {}
    let asked = model.asked().last().unwrap().text();
    assert!(asked.contains("entre um e outro"), "{asked}");
    pod.ready(&chat).await;

    let killed = pod.gateway().unwrap();
    let before = model.asked().len();
    chat.say("no meio [[kimi delay=5s frames=1]]");
    let asked = async || Ok((model.asked().len() > before).then_some(()));
    wait_for(REPLY, "the question", asked).await.unwrap();
    process::signal("KILL", &[killed]);
    pod.reply(&chat).await;
    let asked = model.asked().last().unwrap().text();
    assert!(asked.contains("no meio") && asked.contains("o primeiro assunto"), "{asked}");
    assert_ne!(pod.gateway(), Some(killed));
    pod.ready(&chat).await;

    // While its answer is on the way, and nobody knows whether it has arrived.
    chat.mute(true);
    chat.say("sem resposta [[kimi frames=1]]");
    let lost = pod.reply(&chat).await;
    process::signal("KILL", &[pod.gateway().unwrap()]);
    chat.mute(false);
    assert_eq!(pod.reply(&chat).await, lost);
    pod.ready(&chat).await;

    let hung = pod.gateway().unwrap();
    process::signal("STOP", &[hung]);
    let begun = Instant::now();
    let limit = Duration::from_mins(1);
    wait_for(limit, "another gateway", async || {
        assert_eq!(pod.probe("/livez").await, 200);
        Ok(pod.gateway().filter(|pid| *pid != hung))
    })
    .await
    .unwrap();
    println!("a hung gateway was replaced after {:?}", begun.elapsed());
    let told = chat.heartbeat(START, "why", |beat| {
        beat.last_error.as_ref().is_some_and(|error| error.contains("hangs"))
    });
    assert!(told.await.is_ok(), "{}", pod.log());
    let back = chat.heartbeat(START, "the fifth gateway", |beat| {
        beat.restarts == 4 && beat.gateway == oc_domain::heartbeat::GatewayPhase::Ready
    });
    assert!(back.await.is_ok(), "{}", pod.log());
    pod.turn(&chat, &model, "e depois? [[kimi frames=1]]").await;
}
