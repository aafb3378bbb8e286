//! Bad tokens in numbers.

use std::time::{Duration, Instant};

use oc_platform_token::{Claims, SigningKey};
use oc_sandbox::stack::{Setup, Stack, ask};
use tokio::time::sleep;

use crate::setup;

const BLOCKS: usize = 7;
const REQUESTS: usize = 100;

/// The 99th percentile of good requests, one after another.
async fn good(stack: &Stack, token: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..REQUESTS {
        let began = Instant::now();
        let response = stack.chat(token, &ask("hi")).await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap();
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times[REQUESTS * 99 / 100 - 1]
}

/// Some hundreds a second: more would measure this machine, not the proxy.
async fn flood(stack: &Stack, bad: &[String], refused: &mut u32) {
    for token in bad.iter().cycle() {
        let response = stack.chat(token, &ask("x")).await.unwrap();
        assert!([401, 429].contains(&response.status().as_u16()));
        *refused += 1;
        sleep(Duration::from_millis(1)).await;
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_bad_tokens_leaves_good_requests_as_fast_as_they_were() {
    let arguments = ["--rate", "100000", "--burst", "100000"].map(str::to_owned).to_vec();
    let stack = Stack::start(Setup { arguments, ..setup() }).await.unwrap();
    let token = stack.tenant("c-good", 100_000_000).await.unwrap();
    // Signed by a key that is none of ours: the dearest kind of bad token.
    let other = SigningKey::parse(&SigningKey::generate().unwrap()).unwrap();
    let sign = |n| other.sign(&Claims { tenant: format!("c-{n}").parse().unwrap(), generation: 1 });
    let bad: Vec<String> = (0..1000).map(sign).collect();
    good(&stack, &token).await;
    let mut tries = Vec::new();
    // Tests run beside each other, so blocks take turns, and there are two more tries.
    while tries.len() < 3 {
        let (mut quiet, mut flooded, mut refused) = (Vec::new(), Vec::new(), 0);
        for _ in 0..BLOCKS {
            quiet.push(good(&stack, &token).await);
            flooded.push(tokio::select! {
                time = good(&stack, &token) => time,
                () = flood(&stack, &bad, &mut refused) => unreachable!(),
            });
        }
        let (quiet, flooded) = (median(quiet), median(flooded));
        println!("99% of good requests: {quiet:?} quiet, {flooded:?} beside {refused} bad ones");
        if flooded < quiet * 3 / 2 + Duration::from_millis(2) {
            return;
        }
        tries.push((quiet, flooded));
    }
    panic!("{tries:?}");
}
