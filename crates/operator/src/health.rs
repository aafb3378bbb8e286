//! What is wrong with a tenant's pod, and what to do about it.
