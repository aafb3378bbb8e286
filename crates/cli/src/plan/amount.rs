//! What pods ask for and nodes have, in every resource that runs out.

use strum::{Display, VariantArray};

/// A resource that a node can run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray, Display, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Resource {
    /// Thousandths of a CPU.
    Cpu,
    /// Mebibytes of memory.
    Memory,
    /// Mebibytes of the node's own disk.
    Disk,
    /// Pods that the kubelet takes; tenants on a node of pool `dedicated`.
    Pods,
    /// Volumes that can be attached.
    Volumes,
}

/// So much of each resource, in the order of [`Resource`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount(pub [u64; 5]);

/// As much as anybody asks for.
pub(crate) const UNLIMITED: u64 = u64::MAX;

impl Amount {
    /// The part of one resource.
    pub(crate) fn of(self, resource: Resource) -> u64 {
        let [cpu, memory, disk, pods, volumes] = self.0;
        match resource {
            Resource::Cpu => cpu,
            Resource::Memory => memory,
            Resource::Disk => disk,
            Resource::Pods => pods,
            Resource::Volumes => volumes,
        }
    }

    /// Both together; what is unlimited stays so.
    pub(crate) fn plus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// What is left of it without `other`; what is unlimited stays so.
    pub(crate) fn minus(self, other: Self) -> Self {
        self.zip(other, |a, b| if a == UNLIMITED { a } else { a.saturating_sub(b) })
    }

    /// `count` of it.
    pub(crate) fn times(self, count: u64) -> Self {
        Self(self.0.map(|part| part.saturating_mul(count)))
    }

    /// The larger part of each.
    pub(crate) fn max(self, other: Self) -> Self {
        self.zip(other, u64::max)
    }

    /// The same without a limit of one resource.
    pub(crate) fn without_limit(self, resource: Resource) -> Self {
        let mut parts = self.0;
        if let Some(part) = parts.get_mut(resource as usize) {
            *part = UNLIMITED;
        }
        Self(parts)
    }

    /// How many times it fits into `room`; without end where it asks for nothing.
    pub(crate) fn fits(self, room: Self) -> u64 {
        let each = self.0.into_iter().zip(room.0);
        each.filter_map(|(part, room)| room.checked_div(part)).min().unwrap_or(UNLIMITED)
    }

    /// Its largest part of `total`, in millionths: how much of a pool a pod keeps from others.
    pub(crate) fn share(self, total: Self) -> u64 {
        let part = |(part, total): (u64, u64)| match (part, total) {
            (0, _) | (_, UNLIMITED) => 0,
            (_, 0) => UNLIMITED,
            (part, total) => {
                let millionths = u128::from(part) * 1_000_000 / u128::from(total);
                u64::try_from(millionths).unwrap_or(UNLIMITED)
            }
        };
        self.0.into_iter().zip(total.0).map(part).max().unwrap_or_default()
    }

    fn zip(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        let mut parts = self.0;
        for (part, other) in parts.iter_mut().zip(other.0) {
            *part = with(*part, other);
        }
        Self(parts)
    }
}
