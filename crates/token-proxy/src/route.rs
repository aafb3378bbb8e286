//! The table of routes: what is not in it is closed.

use http::Method;

/// In whose words client and provider speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    /// Chat completions.
    OpenAi,
    /// Messages.
    Anthropic,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// An answer of a model.
    Generate(Dialect),
    /// How many tokens a prompt has; goes to the provider and costs nothing.
    CountTokens,
    /// The models that the tenant may use.
    Models,
    /// The tenant's usage and what is left.
    Usage,
}

/// Why there is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Nothing is at that path.
    NotFound,
    /// Something is, by another method.
    Method(&'static str),
}

impl Route {
    /// The route of a request.
    pub(crate) fn find(method: &Method, path: &str) -> Result<Self, Closed> {
        let (route, wanted) = match path {
            "/v1/chat/completions" => (Self::Generate(Dialect::OpenAi), Method::POST),
            "/v1/messages" => (Self::Generate(Dialect::Anthropic), Method::POST),
            "/v1/messages/count_tokens" => (Self::CountTokens, Method::POST),
            "/v1/models" => (Self::Models, Method::GET),
            "/v1/usage" => (Self::Usage, Method::GET),
            _ => return Err(Closed::NotFound),
        };
        if *method == wanted {
            Ok(route)
        } else {
            Err(Closed::Method(if wanted == Method::POST { "POST" } else { "GET" }))
        }
    }
}

impl Dialect {
    /// The dialect to answer in, also where there is no route.
    pub(crate) fn of(path: &str) -> Self {
        if path.starts_with("/v1/messages") { Self::Anthropic } else { Self::OpenAi }
    }
}
