//! The words of the product, typed: ids, the catalog, the tenant spec, the inventory of nodes.
//!
//! ```text
//!  bytes ──► document (syntax, duplicates, schema) ──► Tenant, Inventory ──► fleet (rules across files)
//!                 └────────────── Diagnostic: every error at once, with file and JSON pointer ──┘
//! ```
//!
//! Pure: no I/O, no clock, no randomness of its own. The CLI, the operator and billing read files
//! their own way and hand the bytes in here, so that all of them accept and refuse the same.

pub mod catalog;
pub mod diagnostic;
pub mod document;
pub mod fleet;
pub mod heartbeat;
pub mod inventory;
#[expect(unreachable_pub, reason = "KubeSchema repeats TenantSpec inside of a function")]
pub mod tenant;
pub mod usage;

pub use catalog::{Locale, ModelId, NicheId, ProviderId, Thinking, TierId};
pub use diagnostic::{Diagnostic, Severity};
pub use fleet::Fleet;
pub use heartbeat::Heartbeat;
pub use inventory::Inventory;
pub use tenant::{TenantId, TenantSpec};
pub use usage::{AccountId, RequestId};
