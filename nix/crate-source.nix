# The files that cargo needs to build one crate of the workspace: the crate and the workspace
# crates that it depends on, in full, their data files included (the catalog is compiled into the
# binary). Of the other members only what cargo reads before it compiles anything, their manifests
# and target roots, for Cargo.lock lists them and `--locked` wants it to be right. So an edit in a
# service does not rebuild the generator.
{
  crate, # folder in crates/
}:
let
  readTOML = file: builtins.fromTOML (builtins.readFile file);

  # "oc-domain" -> "crates/domain", for the members that others depend on
  folders =
    builtins.mapAttrs (_: dependency: dependency.path or null)
      (readTOML ../Cargo.toml).workspace.dependencies;

  dependenciesOf =
    folder:
    let
      manifest = readTOML (../. + "/${folder}/Cargo.toml");
      names = builtins.attrNames (manifest.dependencies or { } // manifest.build-dependencies or { });
    in
    builtins.filter (dependency: dependency != null) (map (name: folders.${name} or null) names);

  needed = map ({ key }: key) (
    builtins.genericClosure {
      startSet = [ { key = "crates/${crate}"; } ];
      operator = { key }: map (folder: { key = folder; }) (dependenciesOf key);
    }
  );

  # fuzz targets are workspaces of their own
  inNeeded = folder: rest: builtins.elem folder needed && builtins.match "/fuzz(/.*)?" rest == null;
  isTargetRoot =
    rest:
    builtins.match "/(Cargo\\.toml|build\\.rs|src(/(lib|main)\\.rs|/bin(/.*)?)?|(tests|benches|examples)(/.*)?)" rest
    != null;
in
import ./source.nix {
  name = "${crate}-source";
  keep =
    path:
    let
      member = builtins.match "(crates/[^/]+)(.*)" path;
      folder = builtins.elemAt member 0;
      rest = builtins.elemAt member 1;
    in
    if member == null then
      builtins.match "Cargo\\.(toml|lock)|crates" path != null
    else
      rest == "" || inNeeded folder rest || isTargetRoot rest;
}
