//! The groups of options that services share.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Result;
use axum::http::Uri;
use clap::Args;
use jiff::SignedDuration;
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

use crate::secret;

/// What every service is told about its own process.
#[derive(Clone, Debug, Args)]
pub struct Process {
    /// Where /livez, /readyz, /metrics and PUT /log-level are served
    #[arg(long, env = "OPENCLAW_ADMIN_LISTEN", value_name = "ADDRESS")]
    #[arg(default_value = "127.0.0.1:9090")]
    pub(crate) admin_listen: SocketAddr,
    /// How long the work in hand may take to end after SIGTERM, as in 25s or 2m
    #[arg(long, env = "OPENCLAW_GRACE", value_name = "DURATION", value_parser = duration)]
    #[arg(default_value = "25s")]
    pub(crate) grace: Duration,
    /// What is logged, as in info or info,sqlx=debug
    #[arg(long, env = "RUST_LOG", value_name = "DIRECTIVES", value_parser = directives)]
    #[arg(default_value = "info")]
    pub(crate) log: String,
    /// The collector that traces go to, by OTLP over HTTP; without it there are none
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_parser = endpoint)]
    #[arg(value_name = "http://HOST:4318")]
    pub(crate) otlp_endpoint: Option<Uri>,
    /// The part of the traces begun here that is kept, between 0 and 1
    #[arg(long, env = "OPENCLAW_TRACE_RATIO", value_name = "RATIO", value_parser = ratio)]
    #[arg(default_value = "0.1")]
    pub(crate) trace_ratio: f64,
}

/// Where Postgres is: one of the two, or it is wrong use.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct DatabaseConfig {
    /// Where Postgres is, and as whom to enter
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    #[arg(value_name = "postgres://USER:PASSWORD@HOST/NAME")]
    database_url: Option<SecretString>,
    /// The file that holds it
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE")]
    database_url_file: Option<PathBuf>,
}

/// Where Redis is: one of the two, or it is wrong use.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct RedisConfig {
    /// Where Redis is, and as whom to enter
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    #[arg(value_name = "redis://USER:PASSWORD@HOST:6379")]
    redis_url: Option<SecretString>,
    /// The file that holds it
    #[arg(long, env = "REDIS_URL_FILE", value_name = "FILE")]
    redis_url_file: Option<PathBuf>,
}

impl DatabaseConfig {
    /// The connection string.
    pub fn url(&self) -> Result<SecretString> {
        secret(self.database_url.as_ref(), self.database_url_file.as_deref(), "DATABASE_URL")
    }
}

impl RedisConfig {
    /// The connection string.
    pub fn url(&self) -> Result<SecretString> {
        secret(self.redis_url.as_ref(), self.redis_url_file.as_deref(), "REDIS_URL")
    }
}

/// Reads a span of time with its unit, as in `25s` or `1m 30s`; a clap value parser.
pub fn duration(text: &str) -> Result<Duration, jiff::Error> {
    Duration::try_from(text.parse::<SignedDuration>()?)
}

fn directives(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

fn endpoint(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        _ => Err("expected http://host:port or https://host:port".to_owned()),
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("expected a number between 0 and 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};
    use secrecy::ExposeSecret as _;

    use super::*;

    #[derive(Debug, Parser)]
    struct Config {
        #[command(flatten)]
        process: Process,
        #[command(flatten)]
        database: DatabaseConfig,
        #[command(flatten)]
        redis: RedisConfig,
    }

    const GOOD: [&str; 5] =
        ["probe", "--database-url", "postgres://hush", "--redis-url", "redis://hush"];

    fn parse(more: &[&str]) -> Result<Config, clap::Error> {
        Config::try_parse_from(GOOD.iter().chain(more))
    }

    #[test]
    fn the_options_fit_together() {
        Config::command().debug_assert();
    }

    #[test]
    fn a_secret_is_read_and_never_shown() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.database.url().unwrap().expose_secret(), "postgres://hush");
        assert_eq!(config.redis.url().unwrap().expose_secret(), "redis://hush");
        assert!(!format!("{config:?}").contains("hush"));
        assert_eq!(config.process.grace, Duration::from_secs(25));
    }

    #[test]
    fn one_source_of_a_secret_is_required_and_two_are_refused() {
        let none = Config::try_parse_from(["probe", "--redis-url", "redis://a"]).unwrap_err();
        assert!(none.to_string().contains("--database-url-file"), "{none}");
        let both = parse(&["--redis-url-file", "/a"]).unwrap_err();
        assert_eq!(both.exit_code(), 2);
    }

    #[test]
    fn wrong_values_are_wrong_use() {
        for wrong in [
            ["--grace", "25"],
            ["--grace", "-25s"],
            ["--log", "a=loud"],
            ["--otlp-endpoint", "collector:4318"],
            ["--trace-ratio", "2"],
            ["--trace-ratio", "NaN"],
        ] {
            let joined = wrong.join("=");
            assert_eq!(parse(&[&joined]).unwrap_err().exit_code(), 2, "{joined}");
        }
    }

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(duration("25s").unwrap(), Duration::from_secs(25));
        assert_eq!(duration("2m").unwrap(), Duration::from_mins(2));
        assert_eq!(duration("1h 30m").unwrap(), Duration::from_mins(90));
        assert!(duration("25").is_err());
    }
}
