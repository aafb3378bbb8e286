# Every Kubernetes object of a fleet, as files, from one run of the generator. Nix reads none of
# them while it evaluates, so any system can be evaluated on any machine.
{
  runCommand,
  openclaw-cloud,
  fleet ? import ./fleet.nix, # another repository's: k8s-manifests.override { fleet = ./.; }
}:
runCommand "k8s-manifests" { nativeBuildInputs = [ openclaw-cloud ]; } ''
  # not straight into $out: render stages its output beside the destination and exchanges the two,
  # and beside $out is the store
  openclaw-cloud render --root ${fleet} --out ./manifests
  mv ./manifests "$out"
''
