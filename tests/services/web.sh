#!/bin/sh
# Installs an unmodified web function runtime, once, and prints the path of the
# program that starts it: web.sh watchdog|python|node
#
# FAAS_TEST_CACHE            where to keep them (target/services)
# FAAS_TEST_WATCHDOG_SOURCE  a git clone of of-watchdog to build from, for
#                            places where Go's module proxy does not have it
set -eu

WATCHDOG=github.com/openfaas/of-watchdog
# Its tags (this is 0.11.6) have no v, so Go knows it by commit only.
WATCHDOG_COMMIT=9bdadb1e8c68
WATCHDOG_VERSION=v0.0.0-20260513144341-$WATCHDOG_COMMIT
PYTHON_VERSION=3.10.2
NODE_VERSION=5.0.5

root=$(cd "$(dirname "$0")/../.." && pwd)
what=${1:-}

fail() { # WHAT-IS-WRONG WHAT-TO-TRY
    echo "web: $1" >&2
    echo "  try: $2" >&2
    exit 69
}

need() { # COMMAND-THAT-TELLS DEBIAN-PACKAGE...
    if sh -c "$1" >/dev/null 2>&1; then return; fi
    shift
    if ! command -v apt-get >/dev/null 2>&1; then
        fail "missing: $* (Debian's names)" "install them with your package manager"
    fi
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    export DEBIAN_FRONTEND=noninteractive
    { $as_root apt-get update -qq && $as_root apt-get install -y -qq "$@"; } >&2 ||
        fail "cannot install: $*" "install them by hand"
}

# Its dependencies come with its source. The repository around the cache is not
# its own, so nothing of that is to go into the program.
build() {
    mkdir "$place/source" "$place/bin" &&
        git -C "$FAAS_TEST_WATCHDOG_SOURCE" archive -o "$place/source.tar" "$WATCHDOG_COMMIT" >&2 &&
        tar -xf "$place/source.tar" -C "$place/source" &&
        (cd "$place/source" && go build -mod=vendor -buildvcs=false -o "$place/bin/" .) >&2
}

install_watchdog() {
    need 'command -v go' golang-go
    if [ -n "${FAAS_TEST_WATCHDOG_SOURCE:-}" ]; then
        need 'command -v git' git
        build || fail "cannot build of-watchdog from $FAAS_TEST_WATCHDOG_SOURCE" \
            "a full clone of $WATCHDOG, and Go 1.26 or newer"
        rm -rf "$place/source" "$place/source.tar"
    else
        GOBIN="$place/bin" go install "$WATCHDOG@$WATCHDOG_VERSION" >&2 ||
            fail "cannot install $WATCHDOG@$WATCHDOG_VERSION" \
                "Go 1.26 or newer; or FAAS_TEST_WATCHDOG_SOURCE=FOLDER, a clone of it"
    fi
}

install_python() {
    # Debian's python3 has a venv module that cannot make one without ensurepip.
    need 'python3 -c "import venv, ensurepip"' python3 python3-venv
    { python3 -m venv "$place" &&
        "$place/bin/pip" install -q "functions-framework==$PYTHON_VERSION"; } >&2 ||
        fail "cannot install functions-framework $PYTHON_VERSION" "pip config list: is its index reachable?"
}

install_node() {
    need 'command -v node && command -v npm' nodejs npm
    # A package.json of its own, or npm looks for one in the folders above.
    echo '{"private": true}' >"$place/package.json"
    npm install --prefix "$place" --no-audit --no-fund "@google-cloud/functions-framework@$NODE_VERSION" >&2 ||
        fail "cannot install @google-cloud/functions-framework $NODE_VERSION" \
            "npm config list: is its registry reachable?"
}

case $what in
watchdog) name=watchdog-$WATCHDOG_VERSION program=bin/of-watchdog ;;
python) name=python-$PYTHON_VERSION program=bin/functions-framework ;;
node) name=node-$NODE_VERSION program=node_modules/.bin/functions-framework ;;
*) echo "usage: web.sh watchdog|python|node" >&2 && exit 64 ;;
esac

need 'command -v flock' util-linux
cache=${FAAS_TEST_CACHE:-$root/target/services}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd) # a venv and GOBIN need an absolute path
place=$cache/$name

# The kernel gives the lock back however its holder ends; `installed` is
# written last, so what was cut short is begun again.
exec 9>"$cache/$what.lock"
flock 9
if ! [ -e "$place/installed" ] || ! [ -x "$place/$program" ]; then
    rm -rf "$place"
    mkdir "$place"
    "install_$what"
    [ -x "$place/$program" ] || fail "$what: there is no $program after installing" "rm -r $place, then again"
    : >"$place/installed"
fi
echo "$place/$program"
