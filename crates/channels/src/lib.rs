//! The relay between Telegram and tenants' pods, which hold no bot token.
//!
//! ```text
//!  Telegram ──► webhook, or polling ──► who is it? ──► inbox: sealed in Postgres, then 200
//!                                        │ unknown                  │ wakes, by Redis
//!                                        ▼                          ▼
//!                                      refusal        pod ◄── getUpdates, as Telegram answers it
//!
//!  pod ──► /bot<number>:<platform token>/<method> ──► checked, paced ──► Telegram, by the real token
//! ```
//!
//! Inbound every update reaches the pod once and in order, by numbers of our own; outbound a send that
//! was in flight when something died may repeat, and repeats are counted. Addresses hold tokens, so
//! none is ever logged.

mod answer;
mod config;
mod courier;
mod desk;
mod digest;
mod http;
mod inbound;
mod inbox;
mod metrics;
mod notices;
mod office;
mod pace;
mod polling;
mod polls;
mod relay;
mod replays;
mod run;
mod server;
mod texts;
mod verbs;
mod wakes;

pub use config::Config;
pub use run::run;
pub use verbs::Verb;
