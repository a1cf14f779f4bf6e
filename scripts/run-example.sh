#!/bin/sh
# Runs the orders example on its real data and shows what came of it.
set -eu
cd "$(dirname "$0")/../examples/orders"
bin=${1:?usage: run-example.sh FOLDER-OF-THE-TOOLS}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

echo "The chain (examples/orders/chain.json):"
"$bin/faas-chain" check chain.json
"$bin/faas-chain" graph chain.json | sed 's/^/    /'
echo
echo "Running it on examples/orders/orders.ndjson:"
code=0
"$bin/faas-chain" run --dead "$out/dead.ndjson" chain.json <orders.ndjson >"$out/results.ndjson" || code=$?
[ "$code" -le 1 ] || exit "$code"
echo
echo "Results (the first five of $(wc -l <"$out/results.ndjson")):"
jq -c .data "$out/results.ndjson" | head -5
echo "Dead letters (one of the orders is none):"
jq -c '{reason: .faasreason, function: .faasfunction, stderr: .faasstderr, data}' "$out/dead.ndjson"
