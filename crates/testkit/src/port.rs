//! Ports for servers.

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
};

use anyhow::Result;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with,
    sockopt::{set_socket_reuseaddr, set_socket_reuseport},
};

/// A loopback port which stays ours: a bound socket that never listens, beside which a server binds
/// its own. A port that was free a moment ago would be a race between parallel tests.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    pub(crate) address: SocketAddr,
    _socket: OwnedFd,
}

impl ReservedPort {
    pub(crate) fn new() -> Result<Self> {
        let socket =
            socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Postgres and Redis set the first, the API server the second (`--permit-port-sharing`).
        set_socket_reuseaddr(&socket, true)?;
        set_socket_reuseport(&socket, true)?;
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = getsockname(&socket)?.try_into()?;
        Ok(Self { address, _socket: socket })
    }
}
