#!/bin/sh
# Large orders of known customers pass; the others end here, quietly.
order=$(cat)
case $(printf '%s' "$order" | jq -r .customer) in
    ada | grace | barbara) printf '%s' "$order" | jq -c '.reviewed = true' ;;
    *) exit 1 ;;
esac
