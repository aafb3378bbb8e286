# What is wrong with flake.lock: a list of sentences, empty when all is well. Plain data, so it needs
# neither the inputs nor a network. `nix-instantiate --eval --strict --json nix/ci/lock.nix`
let
  inherit (builtins)
    attrNames
    attrValues
    concatLists
    concatMap
    elem
    elemAt
    filter
    genericClosure
    hasAttr
    isInt
    isString
    length
    mapAttrs
    match
    ;
  inherit (import ../../flake.nix) inputs;
  lock = builtins.fromJSON (builtins.readFile ../../flake.lock);
  maxInputs = 6; # each is one more thing to trust and to update

  problem = isWrong: sentence: if isWrong then [ sentence ] else [ ];
  matches = regex: value: isString value && match regex value != null;
  nodes = removeAttrs lock.nodes [ lock.root ];
  rootInputs = lock.nodes.${lock.root}.inputs or { };

  reached = map ({ key }: key) (genericClosure {
    startSet = [ { key = lock.root; } ];
    operator =
      { key }:
      map (key: { inherit key; }) (filter isString (attrValues (lock.nodes.${key}.inputs or { })));
  });

  checkInput =
    name: input:
    let
      node = nodes.${rootInputs.${name}};
      # "github:owner/repo" or "github:owner/repo/ref"
      wanted = match "github:([^/]+)/([^/]+)(/(.+))?" input.url;
      found = node.original;
      checkFollows =
        own: target:
        problem (
          target ? follows
          && node.inputs.${own} or null != filter isString (builtins.split "/" target.follows)
        ) "${name}: its ${own} does not follow ${target.follows}";
    in
    if !hasAttr name rootInputs then
      [ "${name}: in flake.nix, not locked" ]
    else if wanted == null then
      [ "${name}: ${input.url} is not a GitHub repository" ]
    else
      problem (
        found.type or null != "github"
        || found.owner or null != elemAt wanted 0
        || found.repo or null != elemAt wanted 1
        || found.ref or null != elemAt wanted 3
      ) "${name}: locked from another place than ${input.url}"
      ++ concatLists (attrValues (mapAttrs checkFollows (input.inputs or { })));

  checkNode =
    name: node:
    problem (!matches "[0-9a-f]{40}" node.locked.rev or null) "${name}: no full revision"
    ++ problem (!matches "sha256-[A-Za-z0-9+/]{43}=" node.locked.narHash or null) "${name}: no narHash"
    ++ problem (!isInt node.locked.lastModified or null) "${name}: no lastModified"
    ++ problem (
      node.locked.owner or null != node.original.owner or null
      || node.locked.repo or null != node.original.repo or null
    ) "${name}: locked to another repository than it was asked for"
    ++ problem (isString node.inputs.nixpkgs or null) "${name}: brings a nixpkgs of its own"
    ++ problem (!elem name reached) "${name}: nothing uses it";
in
problem (lock.version != 7) "flake.lock has version ${toString lock.version}, not 7"
++ problem (length (attrNames inputs) > maxInputs) "more than ${toString maxInputs} inputs"
++ concatMap (name: problem (!hasAttr name inputs) "${name}: locked, not in flake.nix") (
  attrNames rootInputs
)
++ concatLists (attrValues (mapAttrs checkInput inputs))
++ concatLists (attrValues (mapAttrs checkNode nodes))
