//! How a command fails, and with which exit code.

use std::{collections::BTreeMap, fmt, io, path::Path, process::ExitCode};

use anstyle::{AnsiColor, Style};
use oc_domain::{Diagnostic, Severity};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const BOLD: Style = Style::new().bold();

/// How many files are named for one and the same warning.
const SHOWN: usize = 5;

/// Why a command gave up.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input is invalid; the findings were printed. Exit code 1.
    Invalid,
    /// The command was used wrongly. Exit code 2.
    Usage(String),
    /// The disk, git or the cluster failed. Exit code 3.
    Outside(String),
}

impl Failure {
    /// An I/O error while doing `what` to `path`.
    pub(crate) fn io(what: &str, path: &Path, error: &io::Error) -> Self {
        Self::Outside(format!("{what} {}: {error}", path.display()))
    }

    /// Prints what has not been said yet.
    pub(crate) fn report(self) -> ExitCode {
        let (code, message) = match self {
            Self::Invalid => return ExitCode::from(1),
            Self::Usage(message) => (2, message),
            Self::Outside(message) => (3, message),
        };
        anstream::eprintln!("{ERROR}error:{ERROR:#} {message}");
        ExitCode::from(code)
    }
}

/// Prints findings to standard error, one a line, and how many there are.
pub(crate) fn print_diagnostics(diagnostics: &[Diagnostic]) {
    // Every error, but a warning that a thousand files share only a few times.
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for diagnostic in diagnostics {
        let count = seen.entry((&diagnostic.pointer, &diagnostic.message)).or_default();
        *count += 1;
        if diagnostic.severity == Severity::Error || *count <= SHOWN {
            anstream::eprintln!("{}", Coloured(diagnostic));
        } else if *count == SHOWN + 1 {
            anstream::eprintln!(
                "{WARNING}warning:{WARNING:#} (more files with this: check --json)"
            );
        }
    }
    let of = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    if errors + warnings > 0 {
        anstream::eprintln!("{} and {}", plural(errors, "error"), plural(warnings, "warning"));
    }
}

/// `1 tenant`, `2 tenants`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

struct Coloured<'a>(&'a Diagnostic);

impl fmt::Display for Coloured<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { file, pointer, severity, message, help } = self.0;
        match severity {
            Severity::Error => write!(f, "{ERROR}error:{ERROR:#} ")?,
            Severity::Warning => write!(f, "{WARNING}warning:{WARNING:#} ")?,
        }
        write!(f, "{BOLD}{file}{BOLD:#}: ")?;
        if !pointer.is_empty() {
            write!(f, "{pointer}: ")?;
        }
        f.write_str(message)?;
        help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}
