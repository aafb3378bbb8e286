//! Connections: accepted by one thread, served by several, each with a runtime of its own, so that a
//! request never waits for another thread to wake up.

use std::{
    net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use oc_service::Impatient;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime, select,
    sync::mpsc,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::handle::Handler;

/// Connections at once, all threads together.
const MOST_CONNECTIONS: usize = 16_384;
/// A head that is twice as large is refused, and so are most that are larger: it is read in pieces.
const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 64;
/// How long a head may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_mins(1);
/// How long a client may take no byte of its answer.
const STALLED: Duration = Duration::from_mins(1);

/// When the server stops.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    /// No more requests; those that are open go on.
    pub(crate) draining: CancellationToken,
    /// Open ones are cut.
    pub(crate) cut: CancellationToken,
}

/// One serving thread.
struct Worker {
    sender: mpsc::UnboundedSender<StdStream>,
    connections: Arc<AtomicUsize>,
    thread: thread::JoinHandle<()>,
}

/// Serves until `stop`, then until every connection has ended or is cut.
pub(crate) async fn serve(
    address: SocketAddr,
    threads: usize,
    stop: Stop,
    handler: impl Fn() -> Result<Handler> + Clone + Send + 'static,
) -> Result<()> {
    let listener = StdListener::bind(address).with_context(|| address.to_string())?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    tracing::info!(address = %listener.local_addr()?, threads, "listening");
    let workers: Result<Vec<Worker>> =
        (0..threads).map(|number| Worker::start(number, stop.clone(), handler.clone())).collect();
    let workers = workers?;
    while let Some(accepted) = stop.draining.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => hand_over(stream, &workers),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "accept");
                // Out of files: somebody has to end first.
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    for Worker { sender, thread, .. } in workers {
        drop(sender);
        let joined = tokio::task::spawn_blocking(move || thread.join()).await?;
        joined.map_err(|_| anyhow::anyhow!("a serving thread panicked"))?;
    }
    Ok(())
}

/// Gives a connection to the thread with the fewest.
fn hand_over(stream: TcpStream, workers: &[Worker]) {
    let load = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
    let total: usize = workers.iter().map(|worker| load(&worker)).sum();
    if total >= MOST_CONNECTIONS {
        return;
    }
    let (Some(worker), Ok(stream)) = (workers.iter().min_by_key(load), stream.into_std()) else {
        return;
    };
    worker.connections.fetch_add(1, Ordering::Relaxed);
    let _ = worker.sender.send(stream);
}

impl Worker {
    fn start(
        number: usize,
        stop: Stop,
        handler: impl Fn() -> Result<Handler> + Send + 'static,
    ) -> Result<Self> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let counter = Arc::clone(&connections);
        let thread = thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
            runtime.block_on(async {
                match handler() {
                    Ok(handler) => accept(receiver, &stop, &handler, counter).await,
                    Err(error) => {
                        tracing::error!(error = %oc_service::chain(&*error), "a thread cannot serve");
                    }
                }
            });
        })?;
        Ok(Self { sender, connections, thread })
    }
}

async fn accept(
    mut receiver: mpsc::UnboundedReceiver<StdStream>,
    stop: &Stop,
    handler: &Handler,
    connections: Arc<AtomicUsize>,
) {
    let tasks = TaskTracker::new();
    let ticks = stop.cut.child_token();
    let tick = ticks.clone();
    tasks.spawn(async move { tick.run_until_cancelled(keep_timer_near()).await });
    while let Some(stream) = receiver.recv().await {
        let Ok(stream) = TcpStream::from_std(stream) else { continue };
        let (stop, handler) = (stop.clone(), handler.clone());
        let connections = Arc::clone(&connections);
        tasks.spawn(async move {
            connection(stream, &stop, handler).await;
            connections.fetch_sub(1, Ordering::Relaxed);
        });
    }
    tasks.close();
    ticks.cancel();
    tasks.wait().await;
    // What a request leaves behind runs on this thread: settlements, answers that are read on.
    let left = &handler.shared.meter.tasks;
    left.close();
    select! {
        () = left.wait() => {}
        () = async { stop.cut.cancelled().await; sleep(Duration::from_secs(2)).await } => {}
    }
}

/// Keeps the runtime's next timer near. A timer that is due before all others makes the runtime wake
/// itself by a system call, and each call of Redis sets one; with this one they never are.
async fn keep_timer_near() -> std::convert::Infallible {
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    loop {
        ticks.tick().await;
    }
}

async fn connection(stream: TcpStream, stop: &Stop, handler: Handler) {
    // Or each small event would wait for the client's delayed acknowledgement: 40 ms.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Impatient::new(stream, STALLED));
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, std::convert::Infallible>(handler.handle(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    select! {
        _ = &mut connection => return,
        () = stop.draining.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    select! {
        _ = connection => {}
        () = stop.cut.cancelled() => {}
    }
}
