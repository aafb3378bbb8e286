//! The LLM gateway that meters to the token.
mod json;
mod inspect;
mod route;
mod shape;
mod usage;
