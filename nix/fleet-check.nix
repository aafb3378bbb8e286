# Fails with the generator's own messages when the fleet of this repository is not valid.
{
  runCommand,
  openclaw-cloud,
  fleet ? import ./fleet.nix,
}:
runCommand "fleet-check" { nativeBuildInputs = [ openclaw-cloud ]; } ''
  openclaw-cloud check --root ${fleet}
  touch "$out"
''
