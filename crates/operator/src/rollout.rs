//! Waves of a change that concerns the whole fleet.
