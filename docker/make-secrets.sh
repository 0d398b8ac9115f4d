#!/bin/sh
# Makes the secrets of docker-compose.yml that are not there yet, with random content, and changes none that is:
#     docker/make-secrets.sh [FOLDER]
# The folder is closed to all others on this machine. The files in it are not, because a container's user has to read those
# that it is given, whatever its number.
set -eu
folder=${1:-secrets}
umask 022
mkdir -p "$folder"
chmod 700 "$folder"

random() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

secret() {
    if [ ! -s "$folder/$1" ]; then
        printf %s "$2" > "$folder/.$1.draft"
        mv "$folder/.$1.draft" "$folder/$1"
        echo "made $folder/$1"
    fi
}

url() {
    secret "$1" "$2://$3:$(random)@postgres:5432/$4"
}

secret postgres_password "$(random)"
url migrator_database_url postgresql tapekeeper_migrator tapekeeper
url collector_database_url postgresql tapekeeper_collector tapekeeper
url tasks_database_url postgresql tapekeeper_tasks tapekeeper
url reader_database_url postgresql tapekeeper_viewer tapekeeper
url airflow_database_url postgresql+psycopg2 airflow airflow
secret grafana_database_password "$(random)"

secret airflow_admin_password "$(random)"
secret airflow_fernet_key "$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')"
secret airflow_api_secret_key "$(random)"
secret airflow_jwt_secret "$(random)"
secret celery_broker_url "redis://:$(random)@redis:6379/0"

secret grafana_admin_password "$(random)"
secret grafana_secret_key "$(random)"

# Of a subscription of yours. Empty: CryptoDataDownload is not asked.
[ -e "$folder/cryptodatadownload_api_key" ] || : > "$folder/cryptodatadownload_api_key"

# Where alerts go. Until an address of yours stands in it nobody is called.
secret webhook_url http://webhook.invalid/
# A dead-man's service, which calls somebody when the alert Watchdog stops. Empty: it goes to the same webhook.
[ -e "$folder/watchdog_url" ] || : > "$folder/watchdog_url"
