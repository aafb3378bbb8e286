//! What Postgres says of each query of oc-store: `.sqlx/`, which builds without a database read.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use oc_testkit::Postgres;

const CRATE: &str = "crates/store";

/// Asks a private Postgres with the schema of `migrations/` about every query, and writes what it
/// says unless this is a `check`. Gives the files that were not what they should be.
pub(crate) fn refresh(root: &Path, check: bool) -> Result<Vec<String>> {
    let folder = root.join(CRATE).join(".sqlx");
    let fresh = tempfile::tempdir()?;
    tokio::runtime::Runtime::new()?.block_on(describe(root, fresh.path()))?;
    let (old, new) = (read(&folder)?, read(fresh.path())?);
    ensure!(!new.is_empty(), "oc-store has no checked query");
    let mut stale = Vec::new();
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        if old.get(name) == new.get(name) {
            continue;
        }
        let path = folder.join(name);
        match new.get(name) {
            _ if check => {}
            Some(text) => fs::write(&path, text)?,
            None => fs::remove_file(&path)?,
        }
        let path = path.strip_prefix(root)?.display().to_string();
        if !check {
            println!("wrote {path}");
        }
        stale.push(path);
    }
    Ok(stale)
}

async fn describe(root: &Path, out: &Path) -> Result<()> {
    let server = Postgres::start().await?;
    let url = server.create_database().await?;
    for migration in files(&root.join("migrations"), "sql")? {
        // Not by oc-store, which does not compile before its queries are known.
        let executed = server.execute(&url, &fs::read_to_string(&migration)?).await;
        executed.with_context(|| migration.display().to_string())?;
    }
    // The macros are asked again only when the crate has changed.
    let source = root.join(CRATE).join("src/lib.rs");
    fs::write(&source, fs::read(&source)?)?;
    let checked = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--package", "oc-store", "--lib"])
        .env("SQLX_OFFLINE", "false")
        .env("DATABASE_URL", &url)
        .env("SQLX_OFFLINE_DIR", out)
        .current_dir(root)
        .status()?;
    ensure!(checked.success(), "the queries of oc-store do not fit the schema of migrations/");
    Ok(())
}

fn read(folder: &Path) -> Result<BTreeMap<String, String>> {
    let file = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, fs::read_to_string(&path)?))
    };
    files(folder, "json")?.into_iter().map(file).collect()
}

/// The files of a folder by their extension, in order; none where there is no folder.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    Ok(paths)
}
