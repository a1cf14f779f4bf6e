#!/bin/sh
# Two hosts on this one, and a cable between them that can be cut:
#
#   two_hosts.sh SCRIPT
#
# runs SCRIPT on the first, 10.77.0.1, in a network of its own that goes with
# it. SCRIPT has these:
#
#   away COMMAND...   runs a command on the other host, 10.77.0.2
#   sever, heal       what is on its way gets lost; it is carried again
#
# and may define `stop`, which ends its servers, however it ends.
set -eu

fail() { # WHAT-CANNOT-BE-DONE REASON WHAT-TO-TRY
    echo "two_hosts.sh: cannot $1: $2" >&2
    echo "  try: $3" >&2
    exit 69
}

if [ -z "${TWO_HOSTS:-}" ]; then
    unshare -rn true 2>/dev/null ||
        fail "make a network" "user namespaces are not allowed here" \
            "sysctl kernel.unprivileged_userns_clone=1, or as root"
    for tool in ip nft nsenter; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null 2>&1 ||
            fail "make a network" "there is no $tool" "scripts/deps.sh test"
    done
    TWO_HOSTS=1 PATH=$PATH:/usr/sbin:/sbin exec unshare -rn sh "$0" "$@"
fi

# The other host is a process that holds its network open.
unshare -n sleep 300 &
other=$!
stop() { :; }
trap 'stop >/dev/null 2>&1 || true; kill $other 2>/dev/null || true' EXIT
away() { nsenter -n -t "$other" "$@"; }
# It has its own network once that is not ours any more.
until [ "$(readlink "/proc/$other/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do
    sleep 0.01
done
ip link set lo up
ip link add here type veth peer name there netns "$other"
ip addr add 10.77.0.1/24 dev here
ip link set here up
away ip link set lo up
away ip addr add 10.77.0.2/24 dev there
away ip link set there up
nft add table inet cable
for hook in input output; do
    nft add chain inet cable $hook "{ type filter hook $hook priority 0; }"
done
sever() {
    nft add rule inet cable input iifname here drop
    nft add rule inet cable output oifname here drop
}
heal() { nft flush table inet cable; }

script=$1
# shellcheck source=/dev/null
. "$script"
