#!/bin/sh
# Text, binary or empty? A file with a NUL byte in it is no text.
read -r file
if [ ! -s "$file" ]; then kind=empty
elif [ "$(tr -d '\0' < "$file" | wc -c)" -eq "$(wc -c < "$file")" ]; then kind=text
else kind=binary
fi
jq -nc --arg file "$file" --arg kind "$kind" '{file: $file, kind: $kind}'
