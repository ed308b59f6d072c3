# shellcheck shell=sh disable=SC2154  # annotator.sh sets state, port, service, tool
# Label Studio as a process, in .venv-annotate: the same functions as in annotator_coco.sh.
. scripts/assistant.sh
annotate="$(pwd)/.venv-annotate/bin/python" home="$(pwd)/$state/label-studio"

is_up() { runs_as "$state/pid" label-studio; }

# Nothing is sent anywhere: no analytics, no error reports, no look for newer versions. Its account comes from the environment,
# where no list of processes shows it. HOST would be taken for the address in its links. The service that proposes is on this
# machine or in this plant, whose addresses it would refuse by default; link-local ones stay refused.
run_studio() {
    unset HOST
    files=$(pwd)/coco-annotator/datasets
    export LABEL_STUDIO_BASE_DATA_DIR="$home" LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true \
        LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT="$files" COLLECT_ANALYTICS=false SENTRY_DSN='' \
        FRONTEND_SENTRY_DSN='' LATEST_VERSION_CHECK=false LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK=true \
        USE_DEFAULT_BANNED_SUBNETS=false USER_ADDITIONAL_BANNED_SUBNETS=0.0.0.0/8,169.254.0.0/16,fe80::/10 \
        LABEL_STUDIO_USERNAME="$ANNOTATOR_LOGIN" LABEL_STUDIO_PASSWORD="$ANNOTATOR_PASSWORD" \
        LABEL_STUDIO_USER_TOKEN="$ANNOTATOR_TOKEN" NO_PROXY="127.0.0.1,localhost,${NO_PROXY:-}"
    exec nohup setsid "$annotate" .venv-annotate/bin/label-studio start --no-browser --internal-host "$1" --port "$port" \
        --enable-legacy-api-token --log-level WARNING >>"$state/log" 2>&1 </dev/null
}

up() {
    annotate_env
    owner=$("$annotate" scripts/port_owner.py "$port") ||
        fail "port $port is taken by $owner" "stop that program, or label elsewhere: ANNOTATOR_PORT=8891 sh annotator.sh"
    mkdir -p "$home"
    first=$([ -f "$home/label_studio.sqlite3" ] || printf ' (the first time takes a minute or two)')
    host=$(listen_on ANNOTATOR_HOST "${ANNOTATOR_HOST:-}" 127.0.0.1)
    (run_studio "$host") &
    echo "$!" >"$state/pid"
    printf 'starting Label Studio on port %s%s ' "$port" "$first" && tries=0
    until curl -sf -m 2 -o /dev/null "http://127.0.0.1:$port/health"; do
        kill -0 "$(cat "$state/pid")" 2>/dev/null || { tail -n 15 "$state/log" >&2 && fail "Label Studio did not start" "read the lines above ($state/log)"; }
        [ "$((tries += 1))" -lt 600 ] || fail " it does not answer" "sh annotator.sh logs"
        [ $((tries % 10)) -ne 0 ] || printf .
        sleep 0.5
    done
    say " ready"
}

down() {
    clicks_down
    end_group "$(cat "$state/pid")" 10
    rm -f "$state/pid"
}

logs() { tail -n 200 "$@" "$state/log"; }

# SQLite itself copies the database, so that the copy is whole while somebody labels.
backup() {
    annotate_env
    file=annotator-$(date +%Y-%m-%d-%H%M%S).tar.gz
    rm -rf "$state/backup" && mkdir -p "$state/backup/label-studio"
    "$annotate" -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))' \
        "$home/label_studio.sqlite3" "$state/backup/label-studio/label_studio.sqlite3"
    cp "$state/account" "$state/backup/"
    for part in media .env; do [ ! -e "$home/$part" ] || cp -R "$home/$part" "$state/backup/label-studio/"; done
    (umask 077 && tar -C "$state/backup" -czf ".$file.part" .) && mv ".$file.part" "$file"
    rm -rf "$state/backup"
    say "$file holds all labels and the account ($(du -k "$file" | cut -f1) kB); photographs are in coco-annotator/datasets"
}

restore() {
    [ -f "${1:-}" ] || fail "there is no file ${1:-}" "name the file that sh annotator.sh backup wrote"
    ! is_up || fail "Label Studio runs" "sh annotator.sh stop"
    unpack=$(find_python)
    rm -rf "$state/restored" && (umask 077 && mkdir -p "$state/restored")
    "$unpack" scripts/unpack_backup.py "$1" "$state/restored" ||
        fail "$1 is no backup of Label Studio, or damaged" "name the file that sh annotator.sh backup wrote"
    chmod 600 "$state/restored/account"
    # Label Studio takes every line of it for a variable; one is its own.
    settings=$state/restored/label-studio/.env
    [ ! -f "$settings" ] || { kept_settings=$(sed -n '/^SECRET_KEY=/p' "$settings") && say "$kept_settings" >"$settings"; }
    if [ -e "$home" ]; then rm -rf "$home-before" && mv "$home" "$home-before" && say "the labels of before are now in $home-before"; fi
    mv "$state/restored/label-studio" "$home" && mv "$state/restored/account" "$state/account" && rm -rf "$state/restored"
    say "label-studio" >"$state/tool"
    say "restored $1; sh annotator.sh starts it"
}

driver() { PYTHONPATH=src "$annotate" -m ss_poc.annotator --tool "$tool" --url "http://127.0.0.1:$port" "$@"; }
