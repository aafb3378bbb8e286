//! The way to Stripe.

use std::{fmt, time::Duration};

use miniserde::Deserialize;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use stripe::{Client, ClientBuilder, IdempotencyKey, RequestStrategy, StripeError};
use stripe_client_core::{RequestBuilder, StripeMethod};

use crate::{Error, wire::List};

/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Objects on one page of a list, as many as Stripe gives.
const PAGE: usize = 100;
/// Pages of a list that are read: an account with more objects of one kind is not looked at further.
const PAGES: usize = 20;

/// Stripe, with our key. Clones share connections.
#[derive(Clone)]
pub struct Stripe {
    client: Client,
}

impl fmt::Debug for Stripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stripe")
    }
}

/// A parameter of a request, by Stripe's name with brackets.
pub(crate) type Parameters<'a> = Vec<(&'a str, String)>;

impl Stripe {
    /// Stripe itself, or what stands in for it at `base`.
    pub fn new(key: &SecretString, base: Option<&str>) -> Result<Self, Error> {
        let mut builder = ClientBuilder::new(key.expose_secret()).timeout(LIMIT);
        if let Some(base) = base {
            builder = builder.url(base);
        }
        Ok(Self { client: builder.build()? })
    }

    pub(crate) async fn get<T: Deserialize>(
        &self,
        path: &str,
        parameters: &Parameters<'_>,
    ) -> Result<T, Error> {
        let mut request = RequestBuilder::new(StripeMethod::Get, path);
        if !parameters.is_empty() {
            request.query = Some(encode(parameters)?);
        }
        Ok(request.customize().send(&self.client).await?)
    }

    /// Creates or changes something once, however often it is asked for with this key.
    pub(crate) async fn post<T: Deserialize>(
        &self,
        path: &str,
        parameters: &Parameters<'_>,
        key: &str,
    ) -> Result<T, Error> {
        let mut request = RequestBuilder::new(StripeMethod::Post, path);
        request.body = Some(encode(parameters)?);
        self.send_once(request, key).await
    }

    pub(crate) async fn delete<T: Deserialize>(&self, path: &str, key: &str) -> Result<T, Error> {
        self.send_once(RequestBuilder::new(StripeMethod::Delete, path), key).await
    }

    async fn send_once<T: Deserialize>(
        &self,
        request: RequestBuilder,
        key: &str,
    ) -> Result<T, Error> {
        let key =
            IdempotencyKey::new(key).map_err(|error| Error::Configuration(error.to_string()))?;
        let request = request.customize().request_strategy(RequestStrategy::Idempotent(key));
        Ok(request.send(&self.client).await?)
    }

    /// A whole list, newest first.
    pub(crate) async fn list<T: Deserialize + Listed>(
        &self,
        path: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Vec<T>, Error> {
        let mut all: Vec<T> = Vec::new();
        for _ in 0..PAGES {
            let mut page = parameters.clone();
            page.push(("limit", PAGE.to_string()));
            if let Some(last) = all.last() {
                page.push(("starting_after", last.id().to_owned()));
            }
            let List { data, has_more } = self.get(path, &page).await?;
            let empty = data.is_empty();
            all.extend(data);
            if !has_more || empty {
                return Ok(all);
            }
        }
        Err(Error::Shape(format!("{path}: more than {} objects", PAGE * PAGES)))
    }
}

/// What stands in lists.
pub(crate) trait Listed {
    fn id(&self) -> &str;
}

fn encode(parameters: &impl Serialize) -> Result<String, StripeError> {
    serde_urlencoded::to_string(parameters)
        .map_err(|error| StripeError::ConfigError(error.to_string()))
}
