//! What processes take from the machine.

use std::{fs, io, time::Duration};

use super::Error;

/// A process to watch; one with the name of a target is charged to its requests, others to all.
#[derive(Clone, Debug)]
pub struct Process {
    /// What the report calls it.
    pub name: String,
    /// Its id.
    pub pid: u32,
}

/// What one has taken so far.
pub(super) struct Usage {
    /// To the hundredth of a second, as the kernel counts it.
    pub(super) cpu: Duration,
    /// The most memory that it ever had, in bytes.
    pub(super) peak_bytes: u64,
}

pub(super) fn usage(processes: &[Process]) -> Result<Vec<Usage>, Error> {
    let usage =
        |process: &Process| read(process.pid).map_err(|error| Error::Process(process.pid, error));
    processes.iter().map(usage).collect()
}

fn read(pid: u32) -> io::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    parse(&stat, &status).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The name, which may hold anything, ends with the last parenthesis; user and system time are
    // the 12th and the 13th field after it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let ticks: u64 = times.next()?.parse::<u64>().ok()? + times.next()?.parse::<u64>().ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = peak.split_whitespace().next()?.parse().ok()?;
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let cpu = Duration::from_millis(ticks * 1000 / ticks_per_second);
    Some(Usage { cpu, peak_bytes: kibibytes * 1024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        let usage = parse(stat, "Name:\tx\nVmHWM:\t    12 kB\n").unwrap();
        let second = Duration::from_millis(200 * 1000 / rustix::param::clock_ticks_per_second());
        assert_eq!((usage.cpu, usage.peak_bytes), (second, 12 * 1024));
        assert!(parse("7 x", "").is_none());
    }
}
