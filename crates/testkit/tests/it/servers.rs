use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use futures::future::join_all;
use oc_testkit::{Postgres, Redis, RedisOptions, wait_for};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::PATIENCE;

#[tokio::test]
async fn databases_are_made_at_the_same_time_and_each_is_empty() {
    let begun = Instant::now();
    let server = Postgres::shared().await.unwrap();
    eprintln!("Postgres ready after {:.1} s", begun.elapsed().as_secs_f32());
    let begun = Instant::now();
    let made = join_all((0..8).map(|_| server.create_database())).await;
    eprintln!("8 databases after {:.2} s", begun.elapsed().as_secs_f32());
    for url in made {
        let statements = "create table t (a int); select count(*) from t";
        assert_eq!(server.execute(&url.unwrap(), statements).await.unwrap(), "0");
    }
}

#[tokio::test]
async fn a_killed_postgres_comes_back_with_what_was_committed_and_later_leaves_nothing() {
    let mut server = Postgres::start().await.unwrap();
    let (url, first) = (server.create_database().await.unwrap(), server.pid());
    server.execute(&url, "create table t (a int); insert into t values (42)").await.unwrap();
    server.kill().unwrap();
    assert!(!exists(first));
    let begun = Instant::now();
    server.restart().await.unwrap();
    eprintln!("Postgres recovered after {:.2} s", begun.elapsed().as_secs_f32());
    assert_eq!(server.execute(&url, "select a from t").await.unwrap(), "42");
    let second = server.pid();
    drop(server);
    assert!(!exists(second));
    assert_eq!((shared_memory_of(first), shared_memory_of(second)), (0, 0));
}

#[tokio::test]
async fn a_postgres_in_a_kept_folder_begins_again_with_what_it_had() {
    let folder = tempfile::tempdir().unwrap();
    for (statements, answer) in
        [("create table t (a int); insert into t values (42)", ""), ("select a from t", "42")]
    {
        let server = Postgres::start_in(folder.path()).await.unwrap();
        let url = server.named_database("kept").await.unwrap();
        assert_eq!(server.execute(&url, statements).await.unwrap(), answer);
    }
}

#[tokio::test]
async fn a_killed_redis_keeps_its_data_only_if_it_is_durable() {
    for (durable, kept) in [(true, "$2\r\n42\r\n"), (false, "$-1\r\n")] {
        let mut server = Redis::start(RedisOptions { durable }).await.unwrap();
        let first = server.pid();
        assert_eq!(redis(&server, "SET a 42\r\n").await, "+OK\r\n");
        server.kill();
        assert!(!exists(first));
        server.restart().await.unwrap();
        assert_eq!(redis(&server, "GET a\r\n").await, kept);
        assert_ne!(server.pid(), first);
    }
}

#[tokio::test]
async fn servers_of_a_killed_process_end_without_a_rest() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_oc-testkit"))
        .arg("databases")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pids = Vec::new();
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        match line.unwrap().split_whitespace().collect::<Vec<_>>()[..] {
            ["#", _, pid] => pids.push(pid.parse().unwrap()),
            ["export", _] => {}
            _ => break,
        }
    }
    let &[postgres, redis] = &pids[..] else { panic!("{pids:?}") };
    let directories = [postgres, redis].map(|pid| fs::read_link(proc(pid).join("cwd")).unwrap());
    assert_eq!(shared_memory_of(postgres), 1);
    process.kill().unwrap(); // SIGKILL: no destructor runs.
    process.wait().unwrap();
    let gone = async || Ok((!directories.iter().any(|path| path.exists())).then_some(()));
    wait_for(PATIENCE, "the directories to be gone", gone).await.unwrap();
    assert_eq!(shared_memory_of(postgres), 0);
}

async fn redis(server: &Redis, command: &str) -> String {
    let address = server.url().replace("redis://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(command.as_bytes()).await.unwrap();
    let mut answer = Vec::with_capacity(64);
    stream.read_buf(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn proc(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn exists(pid: u32) -> bool {
    proc(pid).exists()
}

/// How many segments of shared memory a process has made, and not removed.
fn shared_memory_of(pid: u32) -> usize {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let creator = |row: &&str| row.split_whitespace().nth(4) == Some(&pid.to_string());
    table.lines().filter(creator).count()
}
