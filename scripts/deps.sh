#!/bin/sh
# Installs what building and testing need, on Debian and Ubuntu; elsewhere it
# says what is missing.
set -eu

missing=
# Servers are not on everybody's PATH.
need() { PATH=$PATH:/usr/sbin command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
library() { pkg-config --exists "$1" 2>/dev/null || missing="$missing $2"; }
need cc build-essential
need make make
need jq jq
# The client library of Kafka is built here.
need cmake cmake
need pkg-config pkg-config
library openssl libssl-dev
library zlib zlib1g-dev
library libcurl libcurl4-openssl-dev
if [ "${1:-}" = test ]; then
    need setpriv util-linux
    need unshare util-linux
    need nsenter util-linux
    need ip iproute2
    need nft nftables
    need pgrep procps
    need bash bash
    need python3 python3
    need perl perl
    need bwrap bubblewrap
    need tmux tmux
    need zsh zsh
    need fish fish
    # Brokers to test against.
    need redis-server redis-server
    need openssl openssl
    need java openjdk-17-jre-headless
    need mvn maven
fi
if [ "${1:-}" = bench ]; then
    # Peers to measure against.
    need nginx nginx-light
    need haproxy haproxy
    need redis-cli redis-tools
    need redis-server redis-server
    need python3 python3
    need setpriv util-linux
    need java openjdk-17-jre-headless
    need mvn maven
fi

# Not every release has Java 17; those without have a newer one by default.
java_of_this_release() {
    case $missing in *openjdk-17*) ;; *) return 0 ;; esac
    apt-cache show openjdk-17-jre-headless >/dev/null 2>&1 ||
        missing=$(echo "$missing" | sed 's/openjdk-17-jre/default-jre/')
}

if [ -n "$missing" ]; then
    if command -v apt-get >/dev/null 2>&1; then
        as_root=
        [ "$(id -u)" -eq 0 ] || as_root=sudo
        echo "installing:$missing"
        export DEBIAN_FRONTEND=noninteractive
        # shellcheck disable=SC2086 # the list is meant to be split
        { $as_root apt-get update -qq && java_of_this_release &&
            $as_root apt-get install -y -qq $missing; } >/dev/null || {
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

if [ "${1:-}" = test ] || [ "${1:-}" = bench ]; then
    "$(dirname "$0")/../tests/services/kafka.sh" install
fi
