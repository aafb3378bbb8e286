//! What a pod reaches.

use std::net::{Ipv4Addr, SocketAddr};

use oc_sandbox::node::Forward;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket, UnixListener},
    task::JoinSet,
};

use crate::support::{Stage, root, shared, token_proxy};

/// Tries addresses from inside; each line is one, and what came of it.
const TRY: &str = r#"
import socket, sys

def attempt(kind, family, type_, address, data=b""):
    with socket.socket(family, type_) as s:
        s.settimeout(1)
        try:
            s.connect(address)
            s.sendall(data)
            print(kind, "answered", s.recv(100).decode())
        except Exception as error:
            print(kind, type(error).__name__)

tcp = lambda kind, host, port: attempt(kind, socket.AF_INET, socket.SOCK_STREAM, (host, port), b"ping")
"#;

#[tokio::test]
async fn nothing_but_the_services_can_be_reached() {
    if !root() {
        return;
    }
    let mut others = JoinSet::new();
    let service = answering(&mut others).await;
    let loopback = answering(&mut others).await;
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let abstract_ = UnixListener::bind("\0openclaw-node-test").unwrap();
    let forward = Forward { address: token_proxy(), to: service };
    let stage = Stage::on(shared().await, "sealed", vec![forward]).await;
    let (tenant, neighbour) = (stage.tenant("c-sealed00"), stage.tenant("c-sealed01"));
    tenant.apply().await;
    neighbour.apply().await;
    tenant.ready().await;
    let neighbour = neighbour.ready().await.status.unwrap().pod_ip.unwrap();
    let api = shared().await.config_as("nobody", &[]).cluster_url;
    let (api_host, api_port) = (api.host().unwrap(), api.port_u16().unwrap());
    let here = machine().await;
    let proxy = token_proxy().ip();
    let script = format!(
        r#"{TRY}
tcp("service", "{proxy}", 8080)
tcp("service by name", "token-proxy.platform.svc.cluster.local", 8080)
tcp("other port of the service", "{proxy}", 8081)
tcp("machine's loopback", "127.0.0.1", {})
tcp("machine", "{here}", {})
tcp("API server", "{api_host}", {api_port})
tcp("neighbour", "{neighbour}", 9090)
tcp("internet", "1.1.1.1", 443)
tcp("metadata", "169.254.169.254", 80)
attempt("UDP to a name server", socket.AF_INET, socket.SOCK_DGRAM, ("1.1.1.1", 53), b"x")
attempt("UDP to loopback", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", {}), b"x")
attempt("IPv6", socket.AF_INET6, socket.SOCK_STREAM, ("2606:4700:4700::1111", 443))
attempt("abstract socket", socket.AF_UNIX, socket.SOCK_STREAM, "\0openclaw-node-test")
try:
    print("name", socket.getaddrinfo("example.com", 443))
except Exception as error:
    print("name", type(error).__name__)
"#,
        loopback.port(),
        loopback.port(),
        udp.local_addr().unwrap().port(),
    );
    let said = tenant.inside("try.py", &script).await;
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "service answered pong",
            "service by name answered pong",
            "other port of the service ConnectionRefusedError",
            "machine's loopback ConnectionRefusedError",
            "machine OSError",
            "API server ConnectionRefusedError",
            "neighbour OSError",
            "internet OSError",
            "metadata OSError",
            "UDP to a name server OSError",
            "UDP to loopback ConnectionRefusedError",
            "IPv6 OSError",
            "abstract socket ConnectionRefusedError",
            "name gaierror",
        ]
    );
    drop(abstract_);
}

/// Answers every connection with `pong`.
async fn answering(tasks: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut ping = [0; 4];
            if stream.read_exact(&mut ping).await.is_ok() {
                let _ = stream.write_all(b"pong").await;
            }
        }
    });
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// An address of this machine that is not loopback; the documentation's where it has none.
async fn machine() -> Ipv4Addr {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    let documentation = Ipv4Addr::new(192, 0, 2, 1);
    match socket.connect((documentation, 9)).await.and_then(|()| socket.local_addr()) {
        Ok(SocketAddr::V4(address)) => *address.ip(),
        _ => documentation,
    }
}
