//! The figures of a run, for programs and for people.

use std::{collections::BTreeMap, fmt, ops::Deref};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Bound, Plan, process::Usage, tally::Tally};

/// The figures of a run and the conditions they were taken under.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Clients of each target.
    pub clients: usize,
    /// Requests a second that each target was meant to get.
    pub rate: Option<f64>,
    /// Whether streams were asked for.
    pub stream: bool,
    /// The size of a request's body.
    pub body_bytes: usize,
    /// Seconds that each target was meant to be asked for.
    pub seconds: Option<f64>,
    /// Distinct tokens.
    pub tokens: usize,
    /// The targets in the plan's order.
    pub targets: Vec<TargetReport>,
    /// The processes in the plan's order.
    pub processes: Vec<ProcessReport>,
}

/// The figures of one target.
#[derive(Clone, Debug, Serialize)]
pub struct TargetReport {
    /// Its name.
    pub name: String,
    /// Answers, whatever their status.
    pub answers: u64,
    /// Answers with status 200 per second of this target's turns.
    pub per_second: f64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a connection.
    pub unconnected: u64,
    /// Requests whose answer ended early.
    pub broken: u64,
    /// Time to the last byte.
    pub latency: Quantiles,
    /// Time to the first frame with text, of streams.
    pub first_frame: Option<Quantiles>,
    /// What frames came after their beat, of streams.
    pub lateness: Option<Quantiles>,
    /// Frames that never came.
    pub lost_frames: u64,
    /// Frames more than 200 ms late.
    pub late_frames: u64,
}

/// What a process took during the run.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessReport {
    /// Its name.
    pub name: String,
    /// Seconds of CPU, to the hundredth.
    pub cpu_seconds: f64,
    /// Microseconds of CPU for each answer of the target of its name, or of all.
    pub cpu_us_per_answer: f64,
    /// The most memory that it ever had, in bytes.
    pub peak_bytes: u64,
}

/// Quantiles in nanoseconds; 0 where nothing was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Half of all are at most this.
    pub p50_ns: u64,
    /// Nine of ten.
    pub p90_ns: u64,
    /// All but one of a hundred.
    pub p99_ns: u64,
    /// All but one of a thousand.
    pub p999_ns: u64,
    /// All.
    pub max_ns: u64,
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        body_bytes: usize,
        tallies: &[impl Deref<Target = Tally>],
        before: &[Usage],
        after: &[Usage],
    ) -> Self {
        let named = plan.targets.iter().zip(tallies);
        let targets: Vec<_> =
            named.map(|(target, tally)| TargetReport::new(&target.name, tally)).collect();
        let used = plan.processes.iter().zip(before.iter().zip(after));
        let processes = used.map(|(process, (before, after))| {
            let own = targets.iter().filter(|target| target.name == process.name);
            let own: u64 = own.map(|target| target.answers).sum();
            let all: u64 = targets.iter().map(|target| target.answers).sum();
            let answers = if own > 0 { own } else { all };
            let cpu_seconds = after.cpu.saturating_sub(before.cpu).as_secs_f64();
            ProcessReport {
                name: process.name.clone(),
                cpu_seconds,
                cpu_us_per_answer: cpu_seconds * 1e6 / float(answers.max(1)),
                peak_bytes: after.peak_bytes,
            }
        });
        Self {
            clients: plan.clients.get(),
            rate: plan.rate,
            stream: plan.stream,
            body_bytes,
            seconds: match plan.bound {
                Bound::Time(time) => Some(time.as_secs_f64()),
                Bound::Count(_) => None,
            },
            tokens: plan.tokens.len(),
            processes: processes.collect(),
            targets,
        }
    }
}

impl TargetReport {
    fn new(name: &str, tally: &Tally) -> Self {
        let good = tally.statuses.get(&200).copied().unwrap_or_default();
        let streamed =
            |histogram: &Histogram<u64>| (!histogram.is_empty()).then(|| Quantiles::of(histogram));
        Self {
            name: name.to_owned(),
            answers: tally.statuses.values().sum(),
            per_second: float(good) / tally.busy.as_secs_f64().max(f64::MIN_POSITIVE),
            statuses: tally.statuses.clone(),
            unconnected: tally.unconnected,
            broken: tally.broken,
            latency: Quantiles::of(&tally.latency),
            first_frame: streamed(&tally.first),
            lateness: streamed(&tally.lateness),
            lost_frames: tally.lost,
            late_frames: tally.late,
        }
    }

    /// Requests that did not bring what was asked for.
    pub fn errors(&self) -> u64 {
        let bad = self.statuses.iter().filter(|(status, _)| **status != 200);
        self.unconnected + self.broken + bad.map(|(_, count)| count).sum::<u64>()
    }
}

impl Quantiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            p50_ns: histogram.value_at_quantile(0.5),
            p90_ns: histogram.value_at_quantile(0.9),
            p99_ns: histogram.value_at_quantile(0.99),
            p999_ns: histogram.value_at_quantile(0.999),
            max_ns: histogram.max(),
        }
    }

    fn all(&self) -> [u64; 5] {
        [self.p50_ns, self.p90_ns, self.p99_ns, self.p999_ns, self.max_ns]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.stream { "streams" } else { "requests" };
        let (clients, bytes) = (self.clients, self.body_bytes);
        writeln!(f, "{kind} of {bytes} bytes, clients {clients}, tokens {}", self.tokens)?;
        writeln!(
            f,
            "{:22}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>8}",
            "microseconds", "p50", "p90", "p99", "p99.9", "max", "per s", "errors"
        )?;
        for target in &self.targets {
            row(f, &target.name, target.latency.all())?;
            writeln!(f, "{:>10.0}{:>8}", target.per_second, target.errors())?;
            for (name, line) in
                [("  first frame", target.first_frame), ("  lateness", target.lateness)]
            {
                if let Some(quantiles) = line {
                    row(f, name, quantiles.all())?;
                    writeln!(f)?;
                }
            }
            if self.stream {
                writeln!(f, "  lost {}, late {}", target.lost_frames, target.late_frames)?;
            }
            if target.errors() > 0 {
                let (broken, unconnected) = (target.broken, target.unconnected);
                writeln!(f, "  {:?}, broken {broken}, unconnected {unconnected}", target.statuses)?;
            }
        }
        self.write_added(f)?;
        for process in &self.processes {
            let ProcessReport { name, cpu_seconds, cpu_us_per_answer, peak_bytes } = process;
            let mebibytes = peak_bytes / (1 << 20);
            writeln!(
                f,
                "{name}: CPU {cpu_seconds:.2} s, {cpu_us_per_answer:.1} us an answer, peak {mebibytes} MiB"
            )?;
        }
        Ok(())
    }
}

impl Report {
    /// What the others take longer than the first target.
    fn write_added(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.targets.split_first() else { return Ok(()) };
        for other in others {
            let pairs = other.latency.all().into_iter().zip(first.latency.all());
            write!(f, "{:22}", format!("{} - {}", other.name, first.name))?;
            for (other, first) in pairs {
                write!(f, "{:>10.1}", (float(other) - float(first)) / 1e3)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, values: [u64; 5]) -> fmt::Result {
    write!(f, "{name:22}")?;
    values.into_iter().try_for_each(|value| write!(f, "{:>10.1}", float(value) / 1e3))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people, far below 2^52")]
fn float(value: u64) -> f64 {
    value as f64
}
