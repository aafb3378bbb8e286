//! Logs and traces.

use std::{
    io::{self, IsTerminal as _},
    panic,
    time::Duration,
};

use anyhow::Result;
use axum::http::Uri;
use opentelemetry::{
    Context, KeyValue,
    trace::{
        SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
        TracerProvider as _,
    },
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{LevelFilter, ParseError, Targets},
    fmt,
    layer::SubscriberExt as _,
    reload,
    util::SubscriberInitExt as _,
};

use crate::Process;

/// The target for spans of single calls: for traces alone. The log would write down the fields of
/// each, whether or not anything is ever logged in it.
pub const CALL: &str = "oc_service::call";

/// The target of the spans of tasks: for the log alone, since a trace that lasts as long as the
/// process is none.
pub(crate) const TASK: &str = "oc_service::task";

/// Makes a span part of a trace that began elsewhere, by its W3C id of 32 hexadecimal digits. Such a
/// trace is kept, whatever part of the traces begun here is; without an endpoint nothing is.
pub fn join_trace(span: &Span, trace: &str) {
    let Ok(id) = TraceId::from_hex(trace) else { return };
    // Whoever began it told no span's id: all that join it have the same parent, which is not there.
    let parent = SpanId::from_bytes(*id.to_bytes().last_chunk().unwrap_or(&[1; 8]));
    let context = SpanContext::new(id, parent, TraceFlags::SAMPLED, true, TraceState::default());
    // Refused only where a layer for traces is missing, or the span is none.
    let _ = span.set_parent(Context::new().with_remote_span_context(context));
}

/// The name and version of the binary.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// What must end after everything else.
#[must_use = "spans are lost without a flush"]
pub(crate) struct Telemetry {
    pub(crate) level: LogLevel,
    traces: Option<SdkTracerProvider>,
}

/// What is logged, changeable while the process lives.
#[derive(Clone)]
pub(crate) struct LogLevel(reload::Handle<EnvFilter, Registry>);

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// Begins both: JSON, or compact lines on a terminal; traces where there is an endpoint.
pub(crate) fn init(process: &Process, service: &Service) -> Result<Telemetry> {
    let (filter, handle) = reload::Layer::new(logged(&process.log)?);
    let mut layers: Vec<Boxed> = vec![if io::stdout().is_terminal() {
        fmt::layer().compact().with_filter(filter).boxed()
    } else {
        let json = fmt::layer().json().flatten_event(true).with_current_span(false);
        json.with_filter(filter).boxed()
    }];
    let traces = process.otlp_endpoint.as_ref();
    let traces = traces.map(|to| provider(to, process.trace_ratio, service)).transpose()?;
    if let Some(traces) = &traces {
        // Not by the log's directives: whoever silences the log still wants the traces.
        let filter = Targets::new().with_default(LevelFilter::INFO);
        let filter = filter.with_target(TASK, LevelFilter::OFF);
        let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer(service.name.clone()));
        layers.push(layer.with_filter(filter).boxed());
    }
    tracing_subscriber::registry().with(layers).try_init()?;
    panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panic")));
    Ok(Telemetry { level: LogLevel(handle), traces })
}

/// What the log takes: not the spans of single calls, whatever `directives` say.
fn logged(directives: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("{directives},{CALL}=off"))
}

fn provider(endpoint: &Uri, ratio: f64, service: &Service) -> Result<SdkTracerProvider> {
    // The environment variable names the collector; a programmatic endpoint is the whole address.
    let endpoint = format!("{}/v1/traces", endpoint.to_string().trim_end_matches('/'));
    let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).build()?;
    let resource = Resource::builder()
        .with_service_name(service.name.clone())
        .with_attribute(KeyValue::new("service.version", service.version.clone()))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_resource(resource)
        .build())
}

impl Telemetry {
    /// Sends what is left of the traces, within `limit`; not from inside the runtime.
    pub(crate) fn flush(self, limit: Duration) {
        let flushed = self.traces.map(|traces| traces.shutdown_with_timeout(limit));
        if let Some(Err(error)) = flushed {
            tracing::warn!(error = %crate::chain(&error), "the last traces are lost");
        }
    }
}

impl LogLevel {
    /// Replaces the directives; the log says so itself.
    pub(crate) fn set(&self, directives: &str) -> Result<(), ParseError> {
        let filter = logged(directives)?;
        // Refused only once the process ends.
        let _ = self.0.reload(filter);
        tracing::info!(directives, "log level");
        Ok(())
    }
}
