//! Waves of a change that concerns the whole fleet.
//!
//! A *revision* names all that a rendering depends on beside the tenant's spec. A running binary
//! renders one revision; a rollout brings it to all tenants:
//!
//! ```text
//!              wave 0: canaries      wave 1: 10 %          …        all
//!  running ──► healthy for a soak ─► healthy for a soak ─► … ─► done
//!     │  ▲              └─────────────────┴── too many fail ──► rolled back ─┐  every tenant goes back
//!   pause resume                               people: abort ──► aborted ────┴─ to its stored rendering
//! ```
//!
//! Pure, and without a memory of its own: all follows from the row of the rollout and from what is
//! known of each tenant, so a process that takes over goes on. The caller writes [`Next`] by
//! compare-and-set, and applies what the newest [`Plan`] admits and nothing that an older one did.
//!
//! What belongs to no wave: a tenant that is new or whose own spec has changed can be rendered by
//! the running binary alone, so it gets that one's revision at once, in a pause and after a rollback
//! too. It is not counted for or against the revision, and stays where it is when the others go
//! back. So after a rollback the binary should be replaced soon.

mod begin;
mod describe;
mod member;
mod plan;
mod policy;
#[cfg(test)]
mod tests;
mod waves;

pub use begin::{Start, due};
pub use describe::{Failed, Report, Wave, describe};
pub use member::{Applied, Health, Member, Refusal};
pub use plan::{Next, Plan, plan};
pub use policy::Policy;
