//! The command line from outside: the real binary on fleets in temporary folders.

#[cfg(test)]
mod bad_inputs;
#[cfg(all(test, feature = "cluster"))]
mod cluster;
#[cfg(test)]
mod diff;
#[cfg(test)]
mod render;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tenant;
