# shellcheck shell=sh disable=SC2034,SC2154  # annotator.sh sets state, port, service, tool; uses clicks
# coco-annotator in containers: the same functions as in annotator_studio.sh. Sourced after stack.sh.

# It has no tool that a click could be sent with.
clicks=''
clicks_up() { :; }
clicks_answered() { false; }

is_up() { [ -n "$(docker ps -q --filter label=com.docker.compose.project=ss-poc-annotator --filter label=com.docker.compose.service=webserver 2>/dev/null)" ]; }

up() {
    trouble=$(stack_trouble)
    [ -z "$trouble" ] || fail "coco-annotator cannot be started: $trouble" "put that right, or label with Label Studio: ANNOTATOR=label-studio"
    ANNOTATOR_HOST=$(listen_on ANNOTATOR_HOST "${ANNOTATOR_HOST:-}" 127.0.0.1)
    export ANNOTATOR_HOST
    said=$(compose up -d 2>&1) || {
        compose down >/dev/null 2>&1 || true
        case $said in
        *"already allocated"* | *"address already in use"*)
            fail "port $port is taken by another program" "stop that program, or label elsewhere: ANNOTATOR_PORT=8891 sh annotator.sh" ;;
        esac
        printf '%s\n' "$said" >&2
        fail "coco-annotator did not start" "read the lines above"
    }
    printf 'waiting for its page ' && tries=0
    until curl -sf -m 2 -o /dev/null "http://127.0.0.1:$port/"; do
        [ "$((tries += 1))" -lt 300 ] || fail " none after ${tries} tries" "sh annotator.sh logs"
        [ $((tries % 5)) -ne 0 ] || printf .
        sleep 1
    done
    say " ready"
}

down() { compose down >/dev/null 2>&1; }

logs() { compose logs --tail 200 "$@"; }

database() { docker ps -q --filter label=com.docker.compose.project=ss-poc-annotator --filter label=com.docker.compose.service=database; }

backup() {
    is_up || fail "coco-annotator does not run" "sh annotator.sh"
    file=annotator-$(date +%Y-%m-%d-%H%M%S).archive.gz
    docker exec "$(database)" mongodump --quiet --archive --gzip --db flask >".$file.part" && mv ".$file.part" "$file"
    say "$file holds all labels and accounts ($(du -k "$file" | cut -f1) kB); photographs are in coco-annotator/datasets"
}

restore() {
    [ -f "${1:-}" ] || fail "there is no file ${1:-}" "name the file that sh annotator.sh backup wrote"
    is_up || fail "coco-annotator does not run" "sh annotator.sh"
    docker exec -i "$(database)" mongorestore --quiet --archive --gzip --drop <"$1"
    say "restored $1"
}

# In .venv if training has set it up, else in the trainer's container.
driver() {
    if [ -x .venv/bin/python ] && [ -f .venv/.ready ]; then
        PYTHONPATH=src .venv/bin/python -m ss_poc.annotator --tool "$tool" --url "http://127.0.0.1:$port" "$@"
        return
    fi
    prepare_container
    one='' other='' named=0
    for word; do # what import names is shown to the container where it lies here
        named=$((named + 1)) && shift
        if [ "$verb" = import ] && [ -e "$word" ] && { [ "$named" = 3 ] || [ "${before:-}" = --photos ]; }; then
            word=$(cd "$(dirname "$word")" && pwd)/$(basename "$word")
            if [ "$named" = 3 ]; then one=$(dirname "$word"); else other=$word; fi
        fi
        before=$word
        set -- "$@" "$word"
    done
    docker run --rm --network host --user "$(container_user)" --env PYTHONPATH=src --env ANNOTATOR_LOGIN --env ANNOTATOR_PASSWORD \
        --mount "$(here coco-annotator/datasets)" ${one:+--mount "$(bind "$one" "$one" readonly)"} \
        ${other:+--mount "$(bind "$other" "$other" readonly)"} --entrypoint .venv/bin/python "$image" \
        -m ss_poc.annotator --tool "$tool" --url "http://127.0.0.1:$port" "$@"
}
