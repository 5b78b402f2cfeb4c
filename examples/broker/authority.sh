#!/bin/sh
# A certificate authority of one folder for a broker and its cars. Keep that folder on a machine without a network:
# whoever has ca.key makes cars, authors and admins.
# Usage: authority.sh new FOLDER              the authority itself, for ten years
#        authority.sh broker FOLDER HOST...   broker.pem and broker.key for these names or addresses, for a year
#        authority.sh client FOLDER NAME      NAME.pem and NAME.key for a year: a car's number, author-<list>, admin, dispatch
# A certificate is renewed by the same command: it gets a new key; what was there is kept as *.old.
set -eu
umask 077
usage() { sed -n 's/^# \(Usage: .*\)/\1/p; s/^# \{8,\}\(authority.*\)/       \1/p' "$0" >&2; exit 2; }
[ $# -ge 2 ] || usage
what=$1 folder=$2
shift 2
ec() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "$@" 2>&1 | grep -v -- '^-----$' >&2 || true; }

# sign NAME COMMON-NAME EXTENSIONS
sign() {
    for kind in pem key; do
        if [ -e "$1.$kind" ]; then mv "$1.$kind" "$1.$kind.old"; fi
    done
    ec -keyout "$1.key" -out "$1.csr" -subj "/CN=$2"
    printf '%s\n' "$3" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
    rm -f "$1.csr" "$1.ext"
    openssl verify -CAfile ca.pem "$1.pem" >/dev/null
    echo "$folder/$1.pem and $folder/$1.key, until $(openssl x509 -noout -enddate -in "$1.pem" | cut -d= -f2)"
}

case $what in
new)
    [ ! -e "$folder/ca.key" ] || { echo "$folder holds an authority already" >&2; exit 1; }
    mkdir -p "$folder"
    cd "$folder"
    ec -x509 -keyout ca.key -out ca.pem -days 3650 -subj "/CN=Outrider fleet authority" \
        -addext 'keyUsage=critical,keyCertSign,cRLSign'
    openssl x509 -noout -in ca.pem
    echo "$folder/ca.pem goes to the broker and every car; $folder/ca.key stays here"
    ;;
broker)
    [ $# -ge 1 ] || usage
    cd "$folder"
    names=
    for host in "$@"; do
        case $host in
        *[!0-9.]*) names="$names,DNS:$host" ;;
        *) names="$names,IP:$host" ;;
        esac
    done
    sign broker "$1" "subjectAltName=${names#,}
extendedKeyUsage=serverAuth"
    ;;
client)
    [ $# -eq 1 ] || usage
    # What goes into topics and names of files.
    case $1 in *[!A-Za-z0-9_-]* | '' | ca | broker) echo "$1: letters, digits, - and _, and neither ca nor broker" >&2; exit 1 ;; esac
    cd "$folder"
    sign "$1" "$1" "extendedKeyUsage=clientAuth"
    ;;
*) usage ;;
esac
