//! PID 1 of a tenant's pod: starts the OpenClaw gateway, keeps it alive, and speaks for it.
//!
//! ```text
//! ConfigMap, Secret ──► configuration, prompts ──► gateway ◄── /healthz, /startupz ── watch
//!      (each second)       (regular files)           │ ▲                               │
//!                                    log, timeline ◄─┘ └─ start, signals, kill      status
//!                                          │                                        │    │
//!                                     our stdout                               probes   heartbeat
//! ```
//!
//! One thread and no TLS: the pod's memory is the gateway's. Nothing here knows what a gateway says
//! to people or models; the configuration itself is rendered by `oc-manifests`.

mod activity;
mod backoff;
mod config;
mod files;
mod gateway;
mod heartbeat;
mod http;
mod memory;
mod output;
mod probes;
mod run;
mod secrets;
mod signals;
mod status;
mod supervise;
mod volumes;

use config::Config;
pub use run::main;
