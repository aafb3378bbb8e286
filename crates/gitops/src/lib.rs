//! The fleet repository, and the only code that writes to it.
//!
//! ```text
//!  changes ──► fetch ──► found by Change-Id? ──► edit by JSON pointer, validate ──► fast-import
//!                ▲                                                                     │
//!                └──────────── the branch moved: all of it again ◄── push ◄── noted ◄──┘
//! ```
//!
//! One commit a change, one push a batch, never by force. The clone is a cache: whatever is wrong
//! with it, it is thrown away and made again, and nothing of a change is lost by that, since a change
//! is done when it is on the remote's branch and not before. A change that may have been pushed by a
//! process that died is looked for by its `Change-Id` since the tip that it was tried on.
//!
//! Who only reads asks for [`Fleet::tip`] and then what it says: its files, what they hold, where they
//! come from. A branch that was rewritten is followed.
//!
//! The clone is whole. Ten thousand tenant files with their history pack into a few megabytes, and
//! a shallow or blobless clone would ask the remote in the middle of a search or a read.
//!
//! What this does not do: sign commits, merge, or know why a tenant should change.

mod change;
mod command;
mod config;
mod edit;
mod error;
mod fleet;
mod group;
mod history;
mod import;
mod listing;
mod objects;
mod oid;
mod options;
mod origin;
mod push;
mod repository;
mod revise;
mod tree;

pub use change::{Change, Outcome};
pub use config::FleetConfig;
pub use error::Error;
pub use fleet::{Blob, Fleet, Noted};
pub use history::Commit;
pub use listing::Files;
pub use oid::{InvalidOid, Oid};
pub use options::{Author, Limits, Options, Ssh};
pub use origin::Origin;
