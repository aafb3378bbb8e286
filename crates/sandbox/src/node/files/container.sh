# The last steps of what becomes PID 1 of the container.
# ROOT PID_FILE USER GROUP GROUPS [NAME=VALUE...] PROGRAM [ARGUMENT...]
set -e
root=$1 user=$3 group=$4 groups=$5
read -r pid _ </proc/self/stat
echo "$pid" >"$2"
shift 5
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
cd "$root"
# The old root lies on top of the new one for a moment.
pivot_root . .
umount --lazy .
exec setpriv --reuid "$user" --regid "$group" --groups "$groups" --no-new-privs \
  --bounding-set=-all --inh-caps=-all --ambient-caps=-all -- env -i "$@"
