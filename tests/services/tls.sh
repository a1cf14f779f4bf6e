#!/bin/sh
# Makes what tests of TLS need in a folder: tls.sh DIR
#
#   ca.crt                   whom to trust
#   server.crt, server.key   of 127.0.0.1 and localhost
#   client.crt, client.key   for servers that ask who is there
#   server.pem               the server's key and certificates in one file
#   other.crt                somebody else to trust, who signed none of these
set -eu

# Made for each run, so nothing here is secret or lasts.
DAYS=7

fail() { # WHAT-CANNOT-BE-DONE REASON WHAT-TO-TRY
    echo "tls.sh: cannot $1: $2" >&2
    echo "  try: $3" >&2
    exit 69
}

key() { # NAME
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
}

authority() { # NAME
    key "$1"
    openssl req -x509 -new -key "$1.key" -days $DAYS -subj "/CN=faas-tools test $1" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
        -out "$1.crt"
}

# Clients look at the alternative names alone.
signed() { # NAME WHAT-FOR
    key "$1"
    cat >"$1.ext" <<EOF
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=$2
subjectAltName=IP:127.0.0.1,DNS:localhost
EOF
    openssl req -new -key "$1.key" -subj "/CN=faas-tools test $1" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days $DAYS \
        -extfile "$1.ext" -out "$1.crt"
    rm "$1.ext" "$1.csr"
}

make() {
    authority ca
    authority other
    signed server serverAuth
    signed client clientAuth
    cat server.key server.crt ca.crt >server.pem
}

explain() {
    code=$?
    if [ $code -eq 0 ]; then return; fi
    cat log >&2
    fail "make certificates" "openssl ended with $code" "openssl version: is it 1.1.1 or newer?"
}

[ $# -eq 1 ] || { echo "usage: tls.sh DIR" >&2 && exit 64; }
command -v openssl >/dev/null 2>&1 ||
    fail "make certificates" "there is no openssl here" "scripts/deps.sh test"
mkdir -p "$1"
cd "$1"
# Not `make || fail`: left of || a shell goes on after an error.
trap explain EXIT
make >log 2>&1
rm log
