//! Everything that a message passes on its way is killed while messages pass.

use std::{
    env, fs,
    time::{Duration, Instant},
};

use oc_domain::{Locale, NicheId};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    customer::Customer,
    sealed::processes,
    support::{PATIENCE, Product},
};

/// What is killed, in turn.
const VICTIMS: [&str; 5] = ["gateway", "channels", "Redis", "agent", "Postgres"];

/// How many messages, and after how many of them something is killed.
fn size() -> (usize, usize) {
    let large = env::var_os("OPENCLAW_CRASH").is_some_and(|size| size == "large");
    if large { (200, 5) } else { (10, 2) }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes many minutes: scripts/crash-product runs it"]
async fn each_message_is_answered_in_order_whatever_is_killed() {
    let (messages, every) = size();
    let mut product = Product::start(Duration::ZERO).await;
    let eva = Customer::arrive(&product, 2001, "eva", (NicheId::Pharmacy, Locale::PtBr)).await;
    // So much talk is beyond any plan.
    let more = "update periods set token_limit = 1000000000";
    let database = product.local.database().to_owned();
    product.local.postgres().execute(&database, more).await.unwrap();
    // The first turn loads what the gateway has not needed before.
    eva.ask(&product, "Olá!").await;
    let (mut kills, mut slowest) = (0, Duration::ZERO);
    for number in 0..messages {
        let text = format!("Quanto é {number} + 1000?");
        let said = product.journey.say(eva.user, &eva.bot, &text).await.unwrap();
        let began = Instant::now();
        if number % every == every - 1 {
            // Before, during and after the turn, from message to message.
            let pause = u64::try_from(number).unwrap() * 137 % 1500;
            tokio::time::sleep(Duration::from_millis(pause)).await;
            kill(&mut product, &eva, VICTIMS[kills % VICTIMS.len()]).await;
            kills += 1;
        }
        let expected = (number + 1000).to_string();
        let mut after = said;
        loop {
            let answer = product.journey.answer(eva.user, &eva.bot, after, PATIENCE).await;
            let answer = answer
                .unwrap_or_else(|error| panic!("{text}: {error:#}\n{}", product.log(&eva.tenant)));
            after = answer.number;
            if answer.result["text"].as_str().unwrap_or_default().contains(&expected) {
                break;
            }
            // An answer of before that is repeated, or what OpenClaw says when its model is away.
            println!("beside the answer: {:?}", answer.result["text"]);
        }
        slowest = slowest.max(began.elapsed());
    }
    let wait = Duration::from_secs(5);
    let sent = product.journey.sent(eva.user, &eva.bot, 0, wait).await.unwrap();
    let texts: Vec<&str> = sent
        .iter()
        .filter(|sent| sent.is_message())
        .filter_map(|sent| sent.result["text"].as_str())
        .collect();
    let mut repeats = 0;
    let mut last = 0;
    for number in 0..messages {
        let expected = (number + 1000).to_string();
        let places: Vec<usize> =
            (0..texts.len()).filter(|place| texts[*place].contains(&expected)).collect();
        repeats += places.len() - 1;
        assert!(places[0] >= last, "{number} is answered before one that was asked earlier");
        last = places[0];
    }
    println!(
        "{messages} messages, {kills} kills: all answered in order, {repeats} repeated, the slowest \
         after {:.1} s",
        slowest.as_secs_f64()
    );
    assert!(repeats <= kills, "only a send that was under way may be repeated");
    product.local.stop().await;
}

/// Kills something with SIGKILL; what does not come back by itself is started again.
async fn kill(product: &mut Product, customer: &Customer, victim: &'static str) {
    println!("-- SIGKILL of {victim}");
    match victim {
        "channels" => product.local.restart("channels").await.unwrap(),
        "Redis" => {
            product.local.redis().kill();
            product.local.redis().restart().await.unwrap();
        }
        "Postgres" => {
            product.local.postgres().kill().unwrap();
            product.local.postgres().restart().await.unwrap();
        }
        _ => {
            let pids = processes(&customer.tenant);
            let is_agent = |pid: &u32| name_of(*pid) == "oc-agent";
            let found = pids.into_iter().find(|pid| is_agent(pid) == (victim == "agent"));
            let pid = Pid::from_raw(found.expect("a process").cast_signed()).unwrap();
            kill_process(pid, Signal::KILL).unwrap();
        }
    }
}

fn name_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}
