# Stands in for nixpkgs where there is no network: scripts/check-nix gives it to Nix with
# `--override-input nixpkgs`, the flake itself knows nothing of it. Builders are the host's shell
# and tools, so builds need `sandbox = false`; packages are names that evaluate and do not build.
{
  description = "As much of nixpkgs as evaluating this repository and building its manifests takes";

  outputs =
    _:
    let
      pkgsFor =
        system:
        let
          derive =
            name: attrs: script:
            derivation (
              {
                inherit name system script;
                builder = "/bin/sh";
                args = [
                  "-euc"
                  ''
                    PATH=/usr/bin:/bin
                    for input in ''${nativeBuildInputs-}; do PATH=$input/bin:$PATH; done
                    eval "$script"
                  ''
                ];
              }
              // attrs
            );

          # Only names that were looked up in nixpkgs are here, so that a mistyped one is an error.
          packages = builtins.listToAttrs (
            map
              (name: {
                inherit name;
                value = derive name { } ''
                  echo "${name} is the real nixpkgs' to build, this is its stand-in" >&2
                  exit 1
                '';
              })
              [
                "age"
                "cargo"
                "clippy"
                "colmena"
                "etcd"
                "git"
                "go"
                "jq"
                "k9s"
                "kubectl"
                "kubernetes"
                "kwok"
                "nixfmt-tree"
                "postgresql"
                "redis"
                "rust-analyzer"
                "rustc"
                "rustfmt"
                "sops"
                "ssh-to-age"
              ]
          );
          functions = {
            callPackage =
              file: args:
              let
                function = import file;
              in
              function (builtins.intersectAttrs (builtins.functionArgs function) (packages // functions) // args);
            runCommand = derive;
            linkFarm =
              name: entries:
              derive name { } (
                builtins.concatStringsSep "\n" (
                  [ ''mkdir "$out"'' ]
                  ++ map (entry: ''ln -s "${entries.${entry}}" "$out/${entry}"'') (builtins.attrNames entries)
                )
              );
            mkShell = attrs: derive "shell" attrs "exit 1";
          };
        in
        packages // functions;
    in
    {
      legacyPackages = {
        x86_64-linux = pkgsFor "x86_64-linux";
        aarch64-linux = pkgsFor "aarch64-linux";
      };
    };
}
