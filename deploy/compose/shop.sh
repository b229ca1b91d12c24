#!/bin/sh
# A shop whose directory cannot be reached for two minutes of every fifteen. Each line is one second of its day.
#
#   shop.sh [LINES [PAUSE]]     without LINES it goes on for ever; PAUSE is in seconds, 1 unless given
lines=${1:-0} pause=${2:-1} second=0
[ -d /var/log/shop ] && [ -z "$1" ] && exec >>/var/log/shop/backend.log

while [ "$lines" -eq 0 ] || [ "$second" -lt "$lines" ]; do
    second=$((second + 1))
    now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    if [ $((second % 900)) -lt 120 ] && [ $((second % 5)) -eq 0 ]; then
        echo "time=$now level=error msg=\"login failed\" user=u$second password=hunter$second err=\"LDAP Result Code 200 \\\"Network Error\\\": dial tcp 10.0.0.9:389: i/o timeout\""
    else
        echo "time=$now level=info msg=\"order placed\" order=$second took=$((second % 40 + 5))ms"
    fi
    [ "$pause" = 0 ] || sleep "$pause"
done
