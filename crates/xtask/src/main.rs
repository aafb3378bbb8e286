//! Chores of the repository, as `cargo xtask <chore>`.

#![expect(clippy::print_stdout, reason = "a tool for the terminal")]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

mod queries;

/// Chores of the repository.
#[derive(Parser)]
enum Chore {
    /// Writes the files that are made from code: schemas, CRD, the reference of the command line,
    /// checked queries
    Codegen {
        /// Changes nothing, and fails where a file is not what the code says
        #[arg(long)]
        check: bool,
    },
}

/// Generated files, and the arguments of `openclaw-cloud` that print them.
const GENERATED: &[(&str, &[&str])] = &[
    ("docs/schema/tenant.json", &["schema", "tenant"]),
    ("docs/schema/inventory.json", &["schema", "inventory"]),
    ("docs/schema/crd.json", &["crd"]),
];

/// The programs whose help is their reference: package, binary, file, commands.
const REFERENCES: &[(&str, &str, &str, &[&[&str]])] = &[
    ("oc-cli", CLI, "docs/cli.md", COMMANDS),
    ("oc-store", "oc-store", "docs/oc-store.md", &[&[], &["migrate"], &["status"]]),
    ("oc-token-proxy", "oc-token-proxy", "docs/oc-token-proxy.md", &[&[]]),
    ("oc-billing", "oc-billing", "docs/oc-billing.md", BILLING),
    ("oc-operator", "oc-operator", "docs/oc-operator.md", OPERATOR),
    ("oc-channels", "oc-channels", "docs/oc-channels.md", CHANNELS),
    ("oc-agent", "oc-agent", "docs/oc-agent.md", &[&[]]),
];
const CLI: &str = "openclaw-cloud";

/// The commands of `oc-billing`.
const BILLING: &[&[&str]] =
    &[&[], &["serve"], &["sync-catalog"], &["events"], &["retry"], &["clear"], &["trace"]];

/// The commands of `oc-operator`.
const OPERATOR: &[&[&str]] = &[
    &[],
    &["serve"],
    &["revoke"],
    &["rollout"],
    &["rollout", "status"],
    &["rollout", "pause"],
    &["rollout", "resume"],
    &["rollout", "abort"],
];

/// The commands of `oc-channels`.
const CHANNELS: &[&[&str]] = &[
    &[],
    &["serve"],
    &["bot"],
    &["bot", "set"],
    &["bot", "show"],
    &["bot", "remove"],
    &["link"],
    &["chats"],
];

/// The commands of `openclaw-cloud`.
const COMMANDS: &[&[&str]] = &[
    &[],
    &["check"],
    &["render"],
    &["diff"],
    &["plan"],
    &["catalog"],
    &["crd"],
    &["schema"],
    &["tenant"],
    &["tenant", "new"],
    &["tenant", "show"],
    &["tenant", "set"],
    &["tenant", "hold"],
    &["tenant", "release"],
    &["tenant", "remove"],
    &["tenant", "list"],
];

fn main() -> Result<()> {
    let Chore::Codegen { check } = Chore::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("repository")?;
    // First: the programs do not compile without them.
    let mut stale = queries::refresh(root, check)?;
    let folder = build(root)?;
    let mut files: Vec<(&str, String)> = Vec::new();
    for (path, arguments) in GENERATED {
        files.push((path, output(&folder.join(CLI), arguments)?));
    }
    for (_, binary, path, commands) in REFERENCES {
        files.push((path, reference(&folder, binary, commands)?));
    }
    for (path, text) in files {
        let full = root.join(path);
        if fs::read_to_string(&full).is_ok_and(|old| old == text) {
            continue;
        }
        stale.push(path.to_owned());
        if !check {
            fs::create_dir_all(full.parent().context("folder")?)?;
            fs::write(&full, text).with_context(|| format!("write {path}"))?;
            println!("wrote {path}");
        }
    }
    if check && !stale.is_empty() {
        bail!("not what the code says, run `cargo xtask codegen`: {}", stale.join(", "));
    }
    Ok(())
}

/// Builds the programs; gives their folder.
fn build(root: &Path) -> Result<PathBuf> {
    let packages = REFERENCES.iter().flat_map(|(package, ..)| ["--package", package]);
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--bins"])
        .args(packages)
        .current_dir(root)
        .status()?;
    ensure!(built.success(), "the programs do not build");
    // Beside this program, wherever the target folder is.
    let own = std::env::current_exe()?;
    Ok(own.parent().context("target folder")?.to_owned())
}

fn output(binary: &Path, arguments: &[&str]) -> Result<String> {
    // A fixed width, since help is wrapped to the terminal's; and nobody's environment, since help
    // shows the values of variables.
    let output = Command::new(binary).args(arguments).env_clear().env("COLUMNS", "100").output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn reference(folder: &Path, binary: &str, commands: &[&[&str]]) -> Result<String> {
    let mut text = format!("# `{binary}`\n\nWritten by `cargo xtask codegen` from `--help`.\n");
    for command in commands {
        let name = [&[binary], *command].concat().join(" ");
        let help = output(&folder.join(binary), &[*command, &["--help"]].concat())?;
        let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
        write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n"))?;
    }
    Ok(text)
}
