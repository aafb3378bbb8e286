# Stands in for crane where there is no network. scripts/check-nix copies this file to a temporary
# folder, puts an `openclaw-cloud` that cargo has built beside it, and hands the folder to Nix with
# `--override-input crane`.
{
  description = "As much of crane as handing out a binary that exists already takes";

  outputs = _: {
    mkLib = pkgs: {
      buildPackage =
        {
          pname,
          version,
          src,
          ...
        }:
        pkgs.runCommand "${pname}-${version}" { inherit src; } ''
          # crane would begin with these
          test -f "$src/Cargo.toml"
          test -f "$src/Cargo.lock"
          mkdir -p "$out/bin"
          cp ${./openclaw-cloud} "$out/bin/${pname}"
          chmod 755 "$out/bin/${pname}"
        '';
    };
  };
}
