//! From a pushed spec to its objects.

use std::{collections::HashMap, time::Duration};

use oc_sandbox::operator::Stack;
use serde_json::json;
use tokio::time::interval;

use super::{applied_generation, draw, first, now, pay_for, provision, quantiles, seconds, size};
use crate::support::{setup, spec};

#[tokio::test(flavor = "multi_thread")]
async fn one_pushed_spec_a_second_is_applied_soon() {
    let (fleet, pushes) = size((10, 6), (100, 30), (1_000, 300));
    let stack = Stack::start(setup()).await.unwrap();
    let others = draw(0..fleet);
    pay_for(&stack, &others).await;
    // A change of each of these.
    let changed = &others[..pushes / 2];
    let state = |number| if number < changed.len() { "active" } else { "suspended" };
    provision(&stack, &others, state).await;
    let ids = draw(fleet..fleet + pushes / 2);
    pay_for(&stack, &ids).await;
    let pushing = async {
        let mut beat = interval(Duration::from_secs(1));
        let mut times = HashMap::new();
        for (new, old) in ids.iter().zip(changed) {
            for (id, generation, tier) in [(new, 1, "starter"), (old, 2, "pro")] {
                beat.tick().await;
                times.insert((id.clone(), generation), now());
                stack.push(&[(id, spec(tier, "active"))]).await.unwrap();
            }
        }
        times
    };
    let done = first(&stack, applied_generation, fleet + pushes);
    let (times, applied) = tokio::join!(pushing, done);
    let took = |generation| {
        let mine = times.iter().filter(move |(key, _)| key.1 == generation);
        mine.map(|(key, at)| seconds(*at, applied[key])).collect::<Vec<_>>()
    };
    let all = [took(1), took(2)].concat();
    let report = json!({"fleet": fleet, "pushes": pushes, "applied_ms": quantiles(all),
        "new_ms": quantiles(took(1)), "changed_ms": quantiles(took(2))});
    println!("bench {report}");
}
