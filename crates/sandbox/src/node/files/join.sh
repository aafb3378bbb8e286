# Inside the pod's namespaces: a process joins the cgroups, and becomes the parent of the container.
# CONTAINER_SCRIPT CGROUP... -- ARGUMENT...
script=$1
shift
while [ "$1" != -- ]; do
  echo 0 >"$1/cgroup.procs"
  shift
done
shift
# The parent is a shell: `unshare --fork` has forgotten by which signal its child ended.
exec unshare --mount --propagation private --cgroup --pid -- \
  sh -c '"$@"; exit $?' sh sh -c "$script" sh "$@"
