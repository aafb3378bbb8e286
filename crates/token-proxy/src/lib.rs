//! The LLM gateway that meters to the token.
