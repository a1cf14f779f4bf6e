#!/bin/sh
# Installs what building and testing need, on Debian and Ubuntu; elsewhere it
# says what is missing.
set -eu

missing=
# Servers are not on everybody's PATH.
need() { PATH=$PATH:/usr/sbin command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need cc build-essential
need make make
need jq jq
if [ "${1:-}" = test ]; then
    need setpriv util-linux
    need unshare util-linux
    need pgrep procps
    need bash bash
    need python3 python3
    need perl perl
    need bwrap bubblewrap
fi
if [ "${1:-}" = bench ]; then
    # Peers to measure against.
    need nginx nginx-light
    need haproxy haproxy
    need redis-cli redis-tools
fi

if [ -n "$missing" ]; then
    if command -v apt-get >/dev/null 2>&1; then
        as_root=
        [ "$(id -u)" -eq 0 ] || as_root=sudo
        echo "installing:$missing"
        export DEBIAN_FRONTEND=noninteractive
        # shellcheck disable=SC2086 # the list is meant to be split
        { $as_root apt-get update -qq && $as_root apt-get install -y -qq $missing; } >/dev/null || {
            echo "deps: cannot install:$missing" >&2
            echo "  try: install them by hand, then make again" >&2
            exit 69
        }
    else
        echo "deps: these programs are missing:$missing (Debian's names for their packages)" >&2
        echo "  try: install them with your package manager, then make again" >&2
        exit 69
    fi
fi

if ! command -v cargo >/dev/null 2>&1; then
    echo "deps: there is no Rust here (cargo, 1.88 or newer)" >&2
    echo "  try: install it from https://rustup.rs" >&2
    exit 69
fi
