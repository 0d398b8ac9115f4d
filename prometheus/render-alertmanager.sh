#!/bin/sh
# Puts the secret addresses into Alertmanager's configuration, which older versions cannot read from files:
#     render-alertmanager.sh TEMPLATE OUTPUT WEBHOOK_URL_FILE [WATCHDOG_URL_FILE]
# Without a file for Watchdog, or with an empty one, it goes to the same webhook. The output is readable by its owner alone.
set -eu
template=$1 output=$2 webhook_file=$3 watchdog_file=${4:-}

address() {
    read -r url < "$1" || [ -n "${url:-}" ] || { echo "$1 is empty: write the address of the webhook into it" >&2; exit 1; }
    case $url in
        *[!A-Za-z0-9._~:/?@!\$\&*+,\;=%-]*) echo "$1 holds characters that no address has" >&2; exit 1 ;;
        http://?* | https://?*) printf '%s' "$url" | sed 's/[&|\\]/\\&/g' ;;
        *) echo "$1 has to begin with http:// or https://" >&2; exit 1 ;;
    esac
}

webhook=$(address "$webhook_file")
if [ -n "$watchdog_file" ] && [ -s "$watchdog_file" ]; then
    watchdog=$(address "$watchdog_file")
else
    watchdog=$webhook
fi
umask 077
sed -e "s|http://webhook\.invalid/|$webhook|" -e "s|http://watchdog\.invalid/|$watchdog|" "$template" > "$output"
