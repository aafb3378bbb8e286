//! Redis: limits, quota, reservations, and the usage events on their way to the ledger; what services
//! tell each other ([`Bulletin`]), and who was heard of ([`Presence`]).
//!
//! ```text
//!  reserve ──► [ open reservation, leased ] ──► settle ──► usage event ──► consumer ──► Postgres
//!                     │  beat: lease renewed every second        │
//!                     └─ reap: lease passed, booked as estimated ┘
//! ```
//!
//! Each arrow is one atomic script (`scripts/`), so at every instant `used + reserved <= quota`, and
//! every reservation ends in exactly one event. Redis may lose what it acknowledged in its last two
//! seconds, or everything: [`Ledger`] finds out with the next call, since scripts carry the run id of
//! the Redis process that they were loaded into, and [`recovery`] says how its callers bring back
//! what is missing before anything is admitted again.
//!
//! One Redis, no cluster: a script touches keys of a tenant and of its account.

mod bulletin;
mod call;
mod epoch;
mod events;
mod ledger;
mod mirror;
mod presence;
mod record;
pub mod recovery;
mod verdict;

pub use bulletin::{Bulletin, FLEET, Notices, TENANT, Told, Wake, Wakes};
pub use call::Error;
pub use epoch::{Epoch, Place};
pub use events::{Delivered, Events};
pub use ledger::{Beat, Connection, Ledger, Limits, Look, Open, Reserve, Watermark};
pub use mirror::{Mirror, Period, Tenant};
pub use presence::{Noted, Presence};
pub use record::{Reservation, Settled};
pub use verdict::{Admitted, Policy, Standing, Verdict};
