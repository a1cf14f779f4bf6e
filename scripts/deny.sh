#!/bin/sh
# Licences, sources and bans of all dependencies; advisories too where their
# database can be reached.
set -eu
if ! command -v cargo-deny >/dev/null 2>&1; then
    echo "verify: installing cargo-deny, once"
    cargo install --locked cargo-deny
fi
cargo deny --locked check bans licenses sources
cargo deny --locked check advisories || {
    code=$?
    if cargo deny --locked fetch db >/dev/null 2>&1; then exit "$code"; fi
    echo "verify: skipped advisories: their database cannot be reached from here"
}
