# The pod's namespaces are set up, and then live as long as standard input stays open: `cat` is PID 1.
# ROOT FSTAB HOSTNAME ADDRESS...
set -e
root=$1 fstab=$2
# This /proc is still the machine's, and so is the number in it.
read -r pid _ </proc/self/stat
echo "$3" >/proc/sys/kernel/hostname
shift 3
mount --all --fstab "$fstab"
mount -o remount,bind,ro "$root"
ip link set lo up
for address do
  ip address add "$address/32" dev lo
done
echo "$pid"
exec cat >/dev/null
