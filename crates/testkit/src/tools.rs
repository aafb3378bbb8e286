//! The programs that a cluster is made of: found on this machine, or built once from pinned Go
//! modules.
//!
//! Each set is looked for in the directory that `KUBEBUILDER_ASSETS` names, in
//! `~/.cache/openclaw-cloud`, on `PATH` (there and in the first one only if all of the set is
//! present and new enough), and else built into that cache. To raise a version, edit the `go.mod`
//! in `tools/` and call `go mod tidy`: its files are the key of what is cached.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

use self::module::Module;
pub(crate) use self::module::say;

mod module;

/// The four programs of a control plane.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    /// `etcd`
    pub etcd: PathBuf,
    /// `kube-apiserver`
    pub api_server: PathBuf,
    /// `kube-controller-manager`
    pub controller_manager: PathBuf,
    /// `kube-scheduler`
    pub scheduler: PathBuf,
}

/// A program and the oldest version (major, minor) that will do.
struct Program(&'static str, (u32, u32));

macro_rules! files {
    ($folder:literal: $($name:literal),+) => {
        &[$(($name, include_str!(concat!("../tools/", $folder, "/", $name)))),+]
    };
}

/// Kubernetes no older than the `v1_NN` of k8s-openapi; etcd 3.4, which Debian has, lacks what the
/// API server asks of it.
const CONTROL_PLANE: [Program; 4] = [
    Program("etcd", (3, 5)),
    Program("kube-apiserver", (1, 35)),
    Program("kube-controller-manager", (1, 35)),
    Program("kube-scheduler", (1, 35)),
];
const KWOK: [Program; 1] = [Program("kwok", (0, 7))];

/// etcd, kube-apiserver, kube-controller-manager and kube-scheduler.
pub fn control_plane() -> Result<ControlPlane> {
    let files = files!("controlplane": "go.mod", "go.sum", "main.go");
    let module = Module::new("controlplane", "about five minutes", files, build(files)?);
    let [etcd, api_server, controller_manager, scheduler] =
        locate(&CONTROL_PLANE, &module, |_, out| {
            for Program(name, _) in &CONTROL_PLANE {
                std::os::unix::fs::symlink("controlplane", out.join(name))?;
            }
            Ok(())
        })?;
    Ok(ControlPlane { etcd, api_server, controller_manager, scheduler })
}

/// kwok, which plays the kubelets of simulated nodes.
pub fn kwok() -> Result<PathBuf> {
    let arguments =
        [&["build"][..], COMMON, &["-ldflags=-s -w", "-o=../out/", "sigs.k8s.io/kwok/cmd/kwok"]]
            .concat();
    let arguments = arguments.into_iter().map(str::to_owned).collect();
    let module =
        Module::new("kwok", "about a minute", files!("kwok": "go.mod", "go.sum"), arguments);
    let [kwok] = locate(&KWOK, &module, |_, _| Ok(()))?;
    Ok(kwok)
}

/// The CRDs that K3s serves besides Kubernetes' own kinds: `HelmChart` and `HelmChartConfig`.
pub fn k3s_crds() -> Result<Vec<Value>> {
    let arguments = ["mod", "download", "-json", "github.com/k3s-io/helm-controller"]
        .map(str::to_owned)
        .to_vec();
    let files = files!("k3s-crds": "go.mod", "go.sum");
    let directory =
        Module::new("k3s-crds", "a moment", files, arguments).obtain(|downloaded, out| {
            let downloaded: Value = serde_json::from_slice(downloaded)?;
            let directory = downloaded
                .get("Dir")
                .and_then(Value::as_str)
                .context("no directory of the Go module")?;
            for file in fs::read_dir(Path::new(directory).join("pkg/crds/yaml/generated"))? {
                let file = file?;
                // Not fs::copy: the module cache is read-only, and copies could not be replaced.
                fs::write(out.join(file.file_name()), fs::read(file.path())?)?;
            }
            Ok(())
        })?;
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    paths.sort();
    let parse = |path: &PathBuf| {
        serde_saphyr::from_str(&fs::read_to_string(path)?)
            .with_context(|| format!("parsing {}", path.display()))
    };
    paths.iter().map(parse).collect()
}

const COMMON: &[&str] = &["-trimpath"];

/// Builds the module's own package, with the version that clients shall see: without it they see
/// v0.0.0.
fn build(files: &[(&str, &str)]) -> Result<Vec<String>> {
    let (_, module) = files.first().context("no go.mod")?;
    let version = module
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"))
        .context("go.mod names no version of k8s.io/kubernetes")?;
    let (major, minor) = leading_version(version).context("no version of k8s.io/kubernetes")?;
    let own = "-X k8s.io/component-base/version";
    let client = "-X k8s.io/client-go/pkg/version";
    let ldflags = format!(
        "-ldflags=-s -w {own}.gitVersion=v{version} {own}.gitMajor={major} {own}.gitMinor={minor} \
         {client}.gitVersion=v{version}"
    );
    let mut arguments: Vec<String> = vec!["build".to_owned()];
    arguments.extend(COMMON.iter().map(|flag| (*flag).to_owned()));
    arguments.extend([ldflags, "-o=../out/".to_owned(), ".".to_owned()]);
    Ok(arguments)
}

/// The paths of `programs`, from the first place that has them all.
fn locate<const N: usize>(
    programs: &[Program; N],
    module: &Module,
    finish: impl FnOnce(&[u8], &Path) -> Result<()>,
) -> Result<[PathBuf; N]> {
    let assets = env::var_os("KUBEBUILDER_ASSETS").filter(|assets| !assets.is_empty());
    if let Some(found) = assets.as_ref().and_then(|assets| usable(programs, assets)) {
        return Ok(found);
    }
    if !module.is_cached()? {
        if let Some(found) = env::var_os("PATH").and_then(|path| usable(programs, &path)) {
            return Ok(found);
        }
        if let Some(assets) = assets {
            let names = programs.each_ref().map(|Program(name, _)| *name).join(", ");
            say(&format!(
                "not all of {names}, or none new enough, in KUBEBUILDER_ASSETS={}",
                assets.display()
            ));
        }
    }
    let directory = module.obtain(finish)?;
    Ok(programs.each_ref().map(|Program(name, _)| directory.join(name)))
}

/// The paths of `programs` in the folders of `search`, if each is there and new enough.
fn usable<const N: usize>(programs: &[Program; N], search: &OsString) -> Option<[PathBuf; N]> {
    let found = programs.each_ref().map(|Program(name, oldest)| {
        let path =
            env::split_paths(search).map(|folder| folder.join(name)).find(|path| path.is_file())?;
        let output = Command::new(&path).arg("--version").output().ok()?;
        let version = leading_version(&String::from_utf8_lossy(&output.stdout))?;
        (version >= *oldest).then_some(path)
    });
    found.iter().all(Option::is_some).then(|| found.map(Option::unwrap_or_default))
}

/// The first `major.minor` in a text such as `Kubernetes v1.36.3`.
fn leading_version(text: &str) -> Option<(u32, u32)> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
        let mut numbers = word.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::{CONTROL_PLANE, KWOK, Program, leading_version, usable};

    #[test]
    fn programs_are_taken_only_if_all_are_there_and_new_enough() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, prints: &str| {
            let path = folder.path().join(name);
            fs::write(&path, format!("#!/bin/sh\necho '{prints}'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let search = folder.path().as_os_str().to_owned();
        for Program(name, _) in &CONTROL_PLANE {
            assert_eq!(usable(&CONTROL_PLANE, &search), None);
            put(name, "Kubernetes v1.36.0");
        }
        put("etcd", "etcd Version: 3.4.23");
        assert_eq!(usable(&CONTROL_PLANE, &search), None);
        put("etcd", "etcd Version: 3.6.1");
        let found = usable(&CONTROL_PLANE, &search).unwrap();
        assert_eq!(found[3], folder.path().join("kube-scheduler"));
        assert_eq!(usable(&KWOK, &search), None);
    }

    #[test]
    fn versions_are_found_in_what_programs_print() {
        for (text, version) in [
            ("etcd Version: 3.4.23\nGit SHA: Not provided\nGo Version: go1.19.8\n", (3, 4)),
            ("Kubernetes v1.36.3\n", (1, 36)),
            ("kwok version v0.8.0 go1.26.8 (linux/amd64)", (0, 8)),
        ] {
            assert_eq!(leading_version(text), Some(version), "{text}");
        }
        assert_eq!(leading_version("unknown flag 7"), None);
    }
}
