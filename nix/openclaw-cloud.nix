# The generator, for people and for nix/k8s-manifests.nix. Without its feature `cluster`: what a
# manifest is rendered by needs no client of Kubernetes.
{ craneLib }:
craneLib.buildPackage {
  pname = "openclaw-cloud";
  inherit ((builtins.fromTOML (builtins.readFile ../Cargo.toml)).workspace.package) version;
  src = import ./crate-source.nix { crate = "cli"; };
  strictDeps = true;
  cargoExtraArgs = "--package oc-cli --no-default-features --locked";
  # The tests belong to the whole workspace and want Postgres, Redis and a Kubernetes control plane:
  # CI runs them by cargo, on every change, before anything is built here.
  doCheck = false;
  meta = {
    description = "Checks, renders and compares a fleet of tenants";
    mainProgram = "openclaw-cloud";
  };
}
