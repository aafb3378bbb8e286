//! Telegram's Bot API: what of it a tenant's pod may use, and our own calls. The only crate that
//! knows the API.
//!
//! ```text
//!  a pod's call ──► Method::find ──► params::read ──► check ──► Call ──► Client::forward ──► Telegram
//!                   on the list?     all encodings    bound chats, no addresses,
//!                                                     written anew
//! ```
//!
//! What is checked is what Telegram reads: nothing of the bytes that came is passed on, but for the
//! content of files; [`check`] writes the call anew from what it understood, in one encoding, and only
//! what it has written can be sent. What it does not understand it refuses. Without this Telegram would
//! be a way out for data: to other chats, or to whoever owns an address that Telegram fetches.
//!
//! | what Telegram does | and here |
//! |---|---|
//! | delivers to a chat, by number or `@name` | a number, and that of a chat that is allowed |
//! | fetches media from an address | `file_id` or upload only |
//! | fetches what a text links to, for a preview | previews are off, whatever the client says |
//! | shows addresses in links and buttons | stay: the person sees them and decides |
//! | opens pages with the person's data (`login_url`, `web_app`, `url` of an answer to a button) | refused |
//! | brings us what buttons say, ours too | buttons that say what ours say are refused |
//! | takes the bot's text to other chats (`switch_inline_query`, inline mode, stories) | refused |
//! | shows the bot's name, picture, texts and commands to anybody | refused, but commands of one chat |
//! | publishes stickers | refused |

mod call;
mod chat;
mod check;
mod client;
mod error;
mod method;
mod refusal;
mod shape;

pub mod params;
pub mod update;

pub use call::{Call, CallBody};
pub use chat::ChatId;
pub use check::check;
pub use client::{Bot, Client, File, Message, SetWebhook};
pub use error::Error;
pub use method::{LISTED, METHODS, Method, Rule};
pub use params::Params;
pub use refusal::Refusal;
pub use shape::RESERVED;
pub use update::{Chat, ChatKind, Kind, Press, Update, User};

#[cfg(fuzzing)]
pub mod fuzz;
