//! Questions to a container, as a kubelet asks them.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{plan::Probe, sandbox::Sandbox};

/// Asks until the container is up; what it said last if it is not after as many failures in a row as
/// are allowed.
pub(super) async fn until_up(probe: &Probe, sandbox: &Sandbox) -> Result<(), String> {
    let mut asked = Questions::new(probe, sandbox);
    loop {
        match asked.next().await {
            Ok(()) => return Ok(()),
            Err(complaint) if asked.failures >= probe.failures => return Err(complaint),
            Err(_) => {}
        }
    }
}

/// Asks until as many failures in a row as are allowed; what it said last.
pub(super) async fn until_down(probe: &Probe, sandbox: &Sandbox) -> String {
    let mut asked = Questions::new(probe, sandbox);
    loop {
        if let Err(complaint) = asked.next().await
            && asked.failures >= probe.failures
        {
            return complaint;
        }
    }
}

/// Asks for ever, and tells whenever it is decided whether the container is ready.
pub(super) async fn follow(
    probe: &Probe,
    sandbox: &Sandbox,
    mut tell: impl FnMut(Result<(), String>),
) -> Infallible {
    let mut asked = Questions::new(probe, sandbox);
    loop {
        let answer = asked.next().await;
        if answer.is_ok() || asked.failures >= probe.failures {
            tell(answer);
        }
    }
}

/// Questions at the probe's period, and how many in a row went wrong.
struct Questions<'a> {
    probe: &'a Probe,
    sandbox: &'a Sandbox,
    ticks: tokio::time::Interval,
    failures: u32,
}

impl<'a> Questions<'a> {
    fn new(probe: &'a Probe, sandbox: &'a Sandbox) -> Self {
        let mut ticks = interval(probe.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { probe, sandbox, ticks, failures: 0 }
    }

    /// Waits for its time, and asks.
    async fn next(&mut self) -> Result<(), String> {
        self.ticks.tick().await;
        let answer = match timeout(self.probe.timeout, ask(self.probe, self.sandbox)).await {
            Ok(Ok(status)) if (200..400).contains(&status) => Ok(()),
            Ok(Ok(status)) => Err(format!("HTTP probe failed with statuscode: {status}")),
            Ok(Err(error)) => Err(format!("{error:#}")),
            Err(_) => Err(format!("no answer within {} s", self.probe.timeout.as_secs())),
        };
        self.failures = if answer.is_ok() { 0 } else { self.failures + 1 };
        answer
    }
}

async fn ask(probe: &Probe, sandbox: &Sandbox) -> anyhow::Result<u16> {
    let address = SocketAddr::from((sandbox.address, probe.port));
    let stream = sandbox.socket()?.connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(&probe.path)
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, "kube-probe/1.36")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let answer = async move { sender.send_request(request).await.map(|answer| answer.status()) };
    // The connection ends when the answer has come, and nobody can send any more.
    let (status, _) = tokio::join!(answer, connection);
    Ok(status?.as_u16())
}
