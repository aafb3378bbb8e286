//! The SDKs run programs of their own, `python/*.py` and `node/*.mjs`, which say what is expected of
//! them; afterwards the ledger is compared with what the provider served.

use std::{collections::HashSet, fs::File, path::PathBuf, time::Duration};

use oc_domain::usage::Tokens;
use oc_sandbox::{
    kimi::{End, Entry},
    stack::Stack,
};
use oc_testkit::wait_for;
use tokio::{process::Command, time::timeout};

use crate::{
    installed::{node, node_modules, python},
    start,
};

/// Half a minute is usual.
const LONGEST: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread")]
async fn openais_sdk_for_python_works() {
    check(in_python("openai_sdk.py"), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_sdk_for_node_works() {
    check(in_node("openai_sdk.mjs"), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropics_sdk_for_python_works() {
    check(in_python("anthropic_sdk.py"), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropics_sdk_for_node_works() {
    check(in_node("anthropic_sdk.mjs"), 1).await;
}

fn in_python(program: &str) -> Command {
    let mut command = Command::new(python());
    command.arg("-I").arg(file("python", program));
    command
}

/// A module is looked for beside the program that imports it; beside the working directory where
/// that program comes from the standard input.
fn in_node(program: &str) -> Command {
    let mut command = Command::new(node());
    let program = File::open(file("node", program)).unwrap();
    command.args(["--input-type=module", "-"]).stdin(program).current_dir(node_modules());
    command
}

fn file(folder: &str, name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/clients", folder, name].iter().collect()
}

/// Runs a program, which counts tokens so many times.
async fn check(mut program: Command, counts: u64) {
    let stack = start().await;
    let token = stack.tenant("c-main", 100_000_000).await.unwrap();
    let cut = stack.tenant("c-cut", 100_000_000).await.unwrap();
    let spent = stack.tenant("c-spent", 100).await.unwrap();
    program
        .env("OPENAI_BASE_URL", stack.url("/v1"))
        .env("OPENAI_API_KEY", &token)
        .env("ANTHROPIC_BASE_URL", stack.url(""))
        .env("ANTHROPIC_API_KEY", &token)
        .env("STANDIN", format!("http://{}", stack.kimi.addr()))
        .env("TOKEN_CUT", cut)
        .env("TOKEN_SPENT", spent)
        .kill_on_drop(true);
    let output = timeout(LONGEST, program.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "after {}{}", text(&output.stdout), text(&output.stderr));
    compare(&stack, counts).await;
}

/// Every request that reached the provider is one row, and every token is charged.
async fn compare(stack: &Stack, counts: u64) {
    // An answer that its client left is read to the end.
    let idle = async || Ok((stack.kimi.stats().in_flight == 0).then_some(()));
    wait_for(Duration::from_secs(20), "the provider to be idle", idle).await.unwrap();
    let log = stack.kimi.log();
    let (cut, whole): (Vec<&Entry>, Vec<&Entry>) =
        log.iter().partition(|entry| entry.end == End::Cut);
    assert!(whole.iter().all(|entry| entry.end != End::Aborted));
    let totals = stack.rows("c-main", requests(&whole) + counts).await.unwrap();
    assert_eq!(totals.tokens, sum(&whole));
    let totals = stack.rows("c-cut", requests(&cut)).await.unwrap();
    assert!(totals.requests == 2 && totals.tokens.output > 0, "{totals:?}");
    assert_eq!(stack.totals("c-spent").await.unwrap().requests, 0);
}

/// Requests, however often the proxy made each.
fn requests(entries: &[&Entry]) -> u64 {
    entries.iter().map(|entry| &entry.request_id).collect::<HashSet<_>>().len() as u64
}

fn sum(entries: &[&Entry]) -> Tokens {
    entries.iter().fold(Tokens::default(), |sum, Entry { tokens, path, .. }| Tokens {
        input: sum.input + tokens.input,
        cached_input: sum.cached_input + tokens.cached_input,
        output: sum.output + tokens.output,
        // Anthropic's dialect does not tell it apart.
        reasoning: sum.reasoning + if *path == "/v1/messages" { 0 } else { tokens.reasoning },
    })
}
