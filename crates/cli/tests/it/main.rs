//! The command line from outside: the real binary on fleets in temporary folders.

#[cfg(test)]
mod bad_inputs;
#[cfg(test)]
mod catalog;
#[cfg(feature = "cluster")]
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod diff;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod render;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tenant;
