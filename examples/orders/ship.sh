#!/bin/sh
# The idempotency key is the same however often a step is tried.
[ -n "$FAAS_IDEMPOTENCY_KEY" ] || exit 100
jq -c --arg carrier "$CARRIER" '{item, total, reviewed: (.reviewed // false), carrier: $carrier}'
