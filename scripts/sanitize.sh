#!/bin/sh
# The queue's shared memory under the address and thread sanitizers, and the
# slot's protocol under a model checker. Needs a nightly toolchain with its
# sources; says so and goes on where there is none.
set -eu
cd "$(dirname "$0")/.."
target=$(rustc -vV | sed -n 's/^host: //p')

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "sanitize: skipped: no nightly toolchain (rustup toolchain install nightly)"
else
    echo "sanitize: address"
    RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/address cargo +nightly test --locked -q \
        --target "$target" -p faas-tests --test conformance -- mq::
    if [ -d "$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library" ]; then
        echo "sanitize: thread"
        export RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR=target/thread
        set -- -Zbuild-std --target "$target" -p faas-tests --test conformance
        if cargo +nightly test --locked -q "$@" --no-run; then
            # Clients of brokers bring code that is not built for this.
            cargo +nightly test --locked -q "$@" -- mem:: mq::
        else
            echo "sanitize: thread: skipped: the standard library cannot be built here"
        fi
        unset RUSTFLAGS CARGO_TARGET_DIR
    else
        echo "sanitize: thread: skipped: no sources (rustup component add rust-src --toolchain nightly)"
    fi
fi

echo "sanitize: model of the slot's protocol"
RUSTFLAGS='--cfg loom' CARGO_TARGET_DIR=target/loom cargo test --locked -q -p faas-common --lib loom_
