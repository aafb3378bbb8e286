//! What is wrong with a tenant's pod, and what to do about it.
//!
//! ```text
//!  Pod::of ─► Input ─► assess ─► Assessment ─┬─► problem: the condition's reason and message
//!                                            ├─► action: at most to replace one pod, within a Budget
//!                                            ├─► recheck_at: when time alone changes the answer
//!                                            └─► notices: what customer and ops are told, once
//! ```
//!
//! Pure: data in, decisions out, the time is a parameter. The kubelet restarts containers; what is
//! done here beyond that is to delete a pod that no restart helps, so that a new one comes,
//! perhaps on another node. A pod that is on its way out is never touched, and never by force.

mod assess;
mod budget;
mod dial;
mod notices;
mod pod;
mod problem;
#[cfg(test)]
mod tests;

pub use assess::{Action, Assessment, Input, assess};
pub use budget::Budget;
pub(crate) use dial::Dial;
pub use notices::{Episode, Kind, notices};
pub use pod::{End, Ended, Phase, Placement, Pod, Waiting};
pub use problem::Problem;
