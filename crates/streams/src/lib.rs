//! Redis: limits, reservations, usage events.
