# The input of the generator: the tenants and the inventory, and nothing that could make a change
# of the code, of the documentation or of a NixOS module look like a change of the fleet.
import ./source.nix {
  name = "fleet";
  keep = path: builtins.match "nodes(/inventory\\.json)?|tenants(/.*)?" path != null;
}
