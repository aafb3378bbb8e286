//! What a pod can reach, and what it holds.

use std::{fs, os::unix::fs::MetadataExt as _, process::Command};

use oc_domain::TenantId;

use crate::{customer::Customer, support::Product};

/// Tries each address from inside of a network, and prints those that answer.
const KNOCK: &str = r#"
import socket, sys
for address in sys.argv[1:]:
    host, port, kind = address.rsplit("|", 2)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if kind == "udp":
            s = socket.socket(family, socket.SOCK_DGRAM)
            s.settimeout(0.3)
            s.connect((host, int(port)))
            s.send(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01")
            s.recv(512)
        else:
            s = socket.socket(family, socket.SOCK_STREAM)
            s.settimeout(0.3)
            s.connect((host, int(port)))
        print(address)
    except OSError:
        pass
"#;

/// The processes of a tenant's pod, as this machine numbers them.
pub(crate) fn processes(tenant: &TenantId) -> Vec<u32> {
    let mark = format!("OPENCLAW_TENANT_ID={tenant}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|one| one == mark.as_bytes()) {
            found.push(pid);
        }
    }
    found
}

/// From the running gateways: the services answer, and nothing else does, on this machine or beyond.
pub(crate) fn no_address_but_the_services_is_reachable(product: &Product, all: &[&Customer]) {
    let book = &product.journey.book;
    let mut addresses: Vec<String> = Vec::new();
    let mut local = |url: &str| {
        let host = url.rsplit('@').next().unwrap_or(url).split("://").last().unwrap_or(url);
        let host = host.split('/').next().unwrap_or(host);
        if let Some((host, port)) = host.rsplit_once(':') {
            addresses.push(format!("{host}|{port}|tcp"));
        }
    };
    local(&book.database);
    local(&book.redis);
    for url in [&book.stripe, &book.telegram, &book.kimi].into_iter().flatten() {
        local(url);
    }
    for service in book.services.values() {
        local(&service.url);
        local(&service.admin);
    }
    let more = [
        "10.43.0.1|443|tcp",
        "10.43.0.20|22|tcp",
        "10.43.0.22|8090|tcp",
        "10.43.0.30|80|tcp",
        "127.0.0.1|53|udp",
        "10.43.0.10|53|udp",
        "1.1.1.1|53|udp",
        "1.1.1.1|443|tcp",
        "8.8.8.8|53|tcp",
        "169.254.169.254|80|tcp",
        "10.0.0.1|443|tcp",
        "192.0.2.1|80|tcp",
        "::1|5432|tcp",
        "2606:4700:4700::1111|443|tcp",
    ];
    addresses.extend(more.map(str::to_owned));
    for other in all {
        for pid in processes(&other.tenant) {
            addresses.extend(own_addresses(pid).into_iter().map(|ip| format!("{ip}|9090|tcp")));
        }
    }
    let services = ["10.43.0.20|8080|tcp", "10.43.0.21|8092|tcp"];
    for customer in all {
        let pid = *processes(&customer.tenant).first().expect("a process of the pod");
        let own: Vec<String> =
            own_addresses(pid).into_iter().map(|ip| format!("{ip}|9090|tcp")).collect();
        let foreign = addresses.iter().filter(|address| !own.contains(address));
        let output = Command::new("nsenter")
            .args(["--target", &pid.to_string(), "--net", "python3", "-c", KNOCK])
            .args(foreign)
            .args(services)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let reached = String::from_utf8(output.stdout).unwrap();
        let reached: Vec<&str> = reached.lines().collect();
        assert_eq!(reached, services, "of {} tried from {}", addresses.len(), customer.tenant);
    }
    println!("{} addresses are out of reach, {} are not", addresses.len(), services.len());
}

/// The addresses of a pod's network that are not the services'.
fn own_addresses(pid: u32) -> Vec<String> {
    let output = Command::new("nsenter")
        .args(["--target", &pid.to_string(), "--net", "ip", "-4", "-o", "addr", "show"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let address = |line: &str| Some(line.split_whitespace().nth(3)?.split('/').next()?.to_owned());
    let all = text.lines().filter_map(address);
    all.filter(|ip| !ip.starts_with("127.") && !ip.starts_with("10.43.")).collect()
}

/// Environment, arguments and files of the pods: no key of ours, no bot's token, and no platform token
/// but the tenant's own. And its processes have no rights.
pub(crate) fn a_pod_holds_no_secret_but_its_own(product: &Product, all: &[&Customer]) {
    let keys = product.local.folder().join("keys");
    let mut secrets: Vec<(String, Vec<u8>)> = fs::read_dir(keys)
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name() != "public")
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().to_string_lossy().into_owned(), text.trim().as_bytes().to_vec())
        })
        .collect();
    secrets
        .extend(all.iter().map(|one| (format!("bot of {}", one.tenant), one.token.clone().into())));
    for customer in all {
        let others = all.iter().filter(|other| other.tenant != customer.tenant);
        let mut forbidden = secrets.clone();
        forbidden.extend(others.map(|other| {
            (format!("platform token of {}", other.tenant), format!("oc_{}_", other.tenant).into())
        }));
        let pids = processes(&customer.tenant);
        let (mut files, mut own) = (0, 0);
        let mut look = |place: String, bytes: &[u8]| {
            files += 1;
            for (name, secret) in &forbidden {
                let found = bytes.windows(secret.len()).any(|part| part == secret.as_slice());
                assert!(!found, "{name} in {place}");
            }
            let token = format!("oc_{}_", customer.tenant);
            own += usize::from(bytes.windows(token.len()).any(|part| part == token.as_bytes()));
        };
        for pid in &pids {
            for name in ["environ", "cmdline"] {
                let path = format!("/proc/{pid}/{name}");
                look(path.clone(), &fs::read(path).unwrap_or_default());
            }
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = |name: &str| {
                status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
            };
            assert_eq!(line("CapEff:"), "0000000000000000", "{status}");
            assert_eq!(line("CapBnd:"), "0000000000000000", "{status}");
            assert_eq!(line("NoNewPrivs:"), "1", "{status}");
            assert!(line("Uid:").starts_with("10001"), "{status}");
        }
        let root = format!("/proc/{}/root", pids.first().expect("a process of the pod"));
        for folder in ["etc/openclaw", "var/lib/openclaw", "tmp", "etc"] {
            walk(std::path::Path::new(&root).join(folder).as_path(), &mut look);
        }
        assert!(own > 0, "its own token was not seen either: nothing was read");
        println!(
            "{}: {files} files and lists hold its own token ({own}) and no other",
            customer.tenant
        );
    }
}

fn walk(folder: &std::path::Path, look: &mut impl FnMut(String, &[u8])) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_dir() {
            walk(&path, look);
        } else if metadata.is_file() && metadata.size() < 32 * 1024 * 1024 {
            look(path.display().to_string(), &fs::read(&path).unwrap_or_default());
        }
    }
}
