//! The services as a pod reaches them: listeners in its network, answered from outside of it.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use super::{Forward, sandbox::Sandbox};

/// The connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
const PAUSE: Duration = Duration::from_millis(100);

/// The listeners of one pod, which end with this value, and their connections with them.
#[derive(Debug)]
pub(super) struct Forwards {
    _tasks: JoinSet<()>,
}

impl Forwards {
    /// Listens for `services` in the pod's network.
    pub(super) fn start(sandbox: &Sandbox, services: &[Forward]) -> io::Result<Self> {
        let mut tasks = JoinSet::new();
        for service in services {
            let socket = sandbox.socket()?;
            socket.set_reuseaddr(true)?;
            socket.bind(service.address)?;
            tasks.spawn(serve(socket.listen(BACKLOG)?, service.to));
        }
        Ok(Self { _tasks: tasks })
    }
}

async fn serve(listener: TcpListener, to: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                match accepted {
                    Ok((stream, _)) => drop(connections.spawn(forward(stream, to))),
                    // Out of file descriptors, for one: others end.
                    Err(_) => sleep(PAUSE).await,
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A service that does not answer closes the connection.
async fn forward(mut inside: TcpStream, to: SocketAddr) -> io::Result<()> {
    let mut outside = TcpStream::connect(to).await?;
    inside.set_nodelay(true)?;
    outside.set_nodelay(true)?;
    copy_bidirectional(&mut inside, &mut outside).await.map(drop)
}
