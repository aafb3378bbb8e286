//! What the agent of a pod says of itself.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantArray};

/// Sent by the agent to `channels` (`POST /agent/v1/heartbeat`) every [`Heartbeat::PERIOD_SECONDS`],
/// and soon after something in it has changed.
///
/// Ages are in seconds and not moments, so that the pod's clock does not matter. Fields that a newer
/// agent adds are ignored by an older platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Drawn at each start of the agent: another one means that the pod has started again.
    pub boot: String,
    /// How far the gateway is.
    pub gateway: GatewayPhase,
    /// Whether it works on an answer at this moment.
    pub activity: Activity,
    /// For how long it has been doing so, in seconds.
    pub activity_seconds: u64,
    /// How often the agent had to start the gateway again since it began.
    pub restarts: u32,
    /// The memory of the whole pod as the kernel counts it, in bytes; 0 where it cannot be read.
    pub memory_bytes: u64,
    /// The agent's version.
    pub agent_version: String,
    /// The version of OpenClaw.
    pub gateway_version: String,
    /// SHA-256, in hex, of the configuration and prompts that the gateway has been given.
    pub config: String,
    /// The last thing that went wrong, 500 characters at most, never with a token in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl Heartbeat {
    /// How often the agent sends one, in seconds. Whoever has heard nothing for four of them may
    /// call the agent silent.
    pub const PERIOD_SECONDS: u64 = 15;
}

/// How far the gateway is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum GatewayPhase {
    /// Its process runs and does not yet answer.
    Starting,
    /// It answers.
    Ready,
    /// It ends its work before it leaves.
    Draining,
    /// It hangs, or has no process at this moment.
    Down,
}

/// Whether the gateway works on an answer.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Activity {
    /// A turn is running.
    Busy,
    /// None is.
    Idle,
}
