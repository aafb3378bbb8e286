//! Files of 5 MB, in both directions, without being held in memory.

use std::time::Duration;

use bytes::Bytes;
use oc_sandbox::telegram::Upload;
use oc_testkit::wait_for;
use serde_json::{Value, json};

use crate::support::{Agent, By, Stack, person};

const SIZE: usize = 5_000_000;

fn content() -> Bytes {
    let bytes = (0..SIZE / 4).flat_map(|number| {
        u32::try_from(number).unwrap().wrapping_mul(2_654_435_761).to_le_bytes()
    });
    bytes.collect::<Vec<u8>>().into()
}

/// The memory that a process has had at most, in MiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}

/// Nothing where the relay has hung up on what is still being sent.
async fn upload(stack: &Stack, agent: &Agent, chat: i64, content: Bytes) -> Option<(u16, Value)> {
    let url = format!("{}/bot{}:{}/sendDocument", stack.replicas[0].url, agent.number, agent.token);
    let head = format!(
        "--b\r\nContent-Disposition: form-data; name=\"chat_id\"\r\n\r\n{chat}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"document\"; filename=\"a.bin\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let pieces = [head.into_bytes().into(), content, Bytes::from_static(b"\r\n--b--\r\n")];
    let pieces = pieces.map(Ok::<Bytes, std::io::Error>);
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let request = stack.client.post(url).header("content-type", "multipart/form-data; boundary=b");
    let answer = request.body(body).send().await.ok()?;
    Some((answer.status().as_u16(), answer.json().await.unwrap()))
}

#[tokio::test]
async fn files_are_streamed_both_ways() {
    let stack = Stack::start(1, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    let content = content();
    let (status, sent) = upload(&stack, &agent, ana, content.clone()).await.unwrap();
    assert_eq!(status, 200, "{sent}\n{}", stack.log(0));
    assert_eq!(sent["result"]["document"]["file_size"], json!(content.len()), "{sent}");
    let refused = upload(&stack, &agent, 1, content.clone()).await;
    assert!(refused.as_ref().is_none_or(|(status, _)| *status == 400), "{refused:?}");
    assert!(stack.telegram.sent(agent.bot.id, 1).is_empty());

    let file = Upload {
        name: "b.bin".into(),
        kind: "application/octet-stream".into(),
        bytes: content.clone(),
    };
    stack.telegram.send(ana, agent.bot.id, "document", file, "").unwrap();
    let came = wait_for(Duration::from_secs(30), "the document", async || {
        let (_, came) = stack.call(&agent, "getUpdates", json!({"timeout": 10})).await;
        Ok((came["result"][0].is_object()).then_some(came))
    });
    let came = came.await.unwrap();
    let file_id = &came["result"][0]["message"]["document"]["file_id"];
    assert!(file_id.is_string(), "{came}");
    let (status, file) = stack.call(&agent, "getFile", json!({"file_id": file_id})).await;
    assert_eq!(status, 200, "{file}");
    let path = file["result"]["file_path"].as_str().unwrap();
    let url = |path: &str| {
        format!("{}/file/bot{}:{}/{path}", stack.replicas[0].url, agent.number, agent.token)
    };
    let got = stack.client.get(url(path)).send().await.unwrap();
    assert_eq!(got.status(), 200);
    assert_eq!(got.bytes().await.unwrap(), content);
    assert_eq!(stack.client.get(url("../x")).send().await.unwrap().status(), 404);

    // Many at once cost what one costs.
    let before = peak(stack.pid(0));
    let downloads = (0..12).map(|_| async {
        stack.client.get(url(path)).send().await.unwrap().bytes().await.unwrap().len()
    });
    let sizes = futures::future::join_all(downloads).await;
    assert!(sizes.iter().all(|size| *size == content.len()));
    let grown = peak(stack.pid(0)) - before;
    println!("{before} MiB before twelve downloads of 5 MB at once, {grown} MiB more then");
    assert!(grown < 24, "{grown} MiB more");
}
