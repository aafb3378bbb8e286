# A part of this repository as a source of its own: `keep` gets the path of each file and folder,
# relative to the root, and says whether it belongs. The result is named by its content alone, so
# what it leaves out can change without rebuilding anything.
{ name, keep }:
let
  root = ../.;
  prefixLength = builtins.stringLength (toString root) + 1;
in
builtins.path {
  inherit name;
  path = root;
  filter = path: _type: keep (builtins.substring prefixLength (-1) path);
}
