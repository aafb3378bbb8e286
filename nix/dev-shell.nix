# `nix develop`: what building, testing and operating the platform takes.
{
  mkShell,
  linkFarm,
  age,
  cargo,
  clippy,
  colmena,
  etcd,
  git,
  go,
  jq,
  k9s,
  kubectl,
  kubernetes,
  kwok,
  postgresql,
  redis,
  rust-analyzer,
  rustc,
  rustfmt,
  sops,
  ssh-to-age,
}:
mkShell {
  packages = [
    # code
    cargo
    clippy
    git
    go
    rust-analyzer
    rustc
    rustfmt
    # what the tests start
    etcd
    kubernetes
    kwok
    postgresql
    redis
    # clusters, nodes and their secrets
    age
    colmena
    jq
    k9s
    kubectl
    sops
    ssh-to-age
  ];

  # The tests' Kubernetes is a real one: all of its programs in one folder, under the name by which
  # the Kubernetes world's test tools look for it.
  KUBEBUILDER_ASSETS = linkFarm "control-plane" {
    etcd = "${etcd}/bin/etcd";
    kube-apiserver = "${kubernetes}/bin/kube-apiserver";
    kube-controller-manager = "${kubernetes}/bin/kube-controller-manager";
    kube-scheduler = "${kubernetes}/bin/kube-scheduler";
    kubectl = "${kubectl}/bin/kubectl";
  };
}
