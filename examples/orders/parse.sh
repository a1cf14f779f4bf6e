#!/bin/sh
# An order must have an item, a quantity and a unit price; what has not is
# refused for good: exit 100 makes a dead letter of it.
jq -ce 'select(.item and (.qty | type) == "number" and (.unit | type) == "number")' || {
    echo "not an order" >&2
    exit 100
}
