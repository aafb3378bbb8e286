//! Errors with their causes.

use std::{error::Error, fmt, iter};

/// An error and all its causes on one line, `outer: inner: innermost`, as the log keeps them:
/// `tracing::warn!(error = %oc_service::chain(&error), "...")`.
///
/// A bare `&dyn Error` field would lose the causes, since JSON logs show an error's own text only.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl fmt::Display + use<'a> {
    fmt::from_fn(move |f| {
        write!(f, "{error}")?;
        iter::successors(error.source(), |&error| error.source())
            .try_for_each(|cause| write!(f, ": {cause}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_told() {
        let error = anyhow::anyhow!("refused").context("connecting").context("starting");
        assert_eq!(chain(error.as_ref()).to_string(), "starting: connecting: refused");
    }
}
