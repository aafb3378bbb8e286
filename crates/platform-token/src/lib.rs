//! Platform tokens: signed by the operator, verified by every proxy.
