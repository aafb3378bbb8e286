{
  description = "openclaw-cloud: sealed AI agents for every tenant on NixOS and K3s";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    crane.url = "github:ipetkov/crane";
  };

  outputs =
    {
      self,
      nixpkgs,
      crane,
    }:
    let
      # Spelled out with plain attribute sets, without nixpkgs.lib: so an output can be named,
      # listed or mistyped without fetching nixpkgs first.
      eachSystem = f: {
        x86_64-linux = f nixpkgs.legacyPackages.x86_64-linux self.packages.x86_64-linux;
        aarch64-linux = f nixpkgs.legacyPackages.aarch64-linux self.packages.aarch64-linux;
      };
    in
    {
      packages = eachSystem (
        pkgs: packages: {
          default = packages.openclaw-cloud;

          # the generator: one binary, built from Cargo.lock
          openclaw-cloud = pkgs.callPackage ./nix/openclaw-cloud.nix { craneLib = crane.mkLib pkgs; };

          # what it renders for the fleet of this repository
          k8s-manifests = pkgs.callPackage ./nix/k8s-manifests.nix { inherit (packages) openclaw-cloud; };
        }
      );

      checks = eachSystem (
        pkgs: packages: {
          inherit (packages) k8s-manifests;
          fleet = pkgs.callPackage ./nix/fleet-check.nix { inherit (packages) openclaw-cloud; };
        }
      );

      devShells = eachSystem (pkgs: _: { default = pkgs.callPackage ./nix/dev-shell.nix { }; });

      formatter = eachSystem (pkgs: _: pkgs.nixfmt-tree);
    };
}
