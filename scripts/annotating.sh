# shellcheck shell=sh disable=SC2034,SC2154  # annotator.sh sets state, verb, service; uses fresh
# Which annotator runs, and its account. Sourced by annotator.sh, after stack.sh.

# Choose the tool: what ANNOTATOR names, else the one that has the labels, else what this machine can run.
choose_tool() {
    used=$(cat "$state/tool" 2>/dev/null || true)
    tool=${ANNOTATOR:-$used}
    if [ -z "$tool" ] && [ "$verb" != start ] && [ "$verb" != restore ]; then
        fail "no annotator was started here yet" "sh annotator.sh"
    elif [ -z "$tool" ]; then
        if [ "${MODE:-auto}" = native ]; then trouble="MODE is native"; else trouble=$(stack_trouble); fi
        if [ -z "$trouble" ]; then tool=coco-annotator; else tool=label-studio; fi
        say "annotator: $tool${trouble:+, because $trouble}"
    fi
    case $tool in
    coco-annotator) . scripts/annotator_coco.sh ;;
    label-studio) . scripts/annotator_studio.sh ;;
    *) printf 'error: ANNOTATOR is %s\n  expected: coco-annotator or label-studio\n' "$tool" >&2 && exit 2 ;;
    esac
    [ -z "$used" ] || [ "$used" = "$tool" ] ||
        say "labels made with $used stay there: sh annotator.sh export NAME before you change, import NAME FILE after"
}

serves() { curl -sf -m 2 -o /dev/null "$service/readyz"; }

# kept NAME: what the account's file says of NAME: all that follows its first =, whatever it is. It is read, never run.
kept() { sed -n "s/^$1=//p" "$state/account" | head -n 1; }

# Name, password and secrets: made once, in a file that nobody else may read.
account() {
    if [ ! -f "$state/account" ]; then
        case ${ANNOTATOR_LOGIN:-}${ANNOTATOR_PASSWORD:-} in
        *"
"*) fail "ANNOTATOR_LOGIN or ANNOTATOR_PASSWORD has a line break" "choose one without" ;;
        esac
        random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
        (umask 077 && mkdir -p "$state" && printf 'ANNOTATOR_LOGIN=%s\nANNOTATOR_PASSWORD=%s\nANNOTATOR_TOKEN=%s\nANNOTATOR_SECRET=%s\n' \
            "${ANNOTATOR_LOGIN:-admin@localhost.local}" "${ANNOTATOR_PASSWORD:-$(random 9)}" "$(random 20)" "$(random 24)" >"$state/account")
        fresh=yes
    fi
    ANNOTATOR_LOGIN=$(kept ANNOTATOR_LOGIN) ANNOTATOR_PASSWORD=$(kept ANNOTATOR_PASSWORD)
    ANNOTATOR_TOKEN=$(kept ANNOTATOR_TOKEN) ANNOTATOR_SECRET=$(kept ANNOTATOR_SECRET)
    [ -n "$ANNOTATOR_LOGIN" ] && [ -n "$ANNOTATOR_PASSWORD" ] && [ -n "$ANNOTATOR_TOKEN" ] && [ -n "$ANNOTATOR_SECRET" ] ||
        fail "$state/account lacks a value" "bring it back from a backup, or remove it: a new account is made"
    export ANNOTATOR_LOGIN ANNOTATOR_PASSWORD ANNOTATOR_TOKEN ANNOTATOR_SECRET
}

# ask VERB NAME WORD…: what is about a data set. The annotator must run. A new project is told of a service that runs.
ask() {
    is_up || fail "$tool does not run" "sh annotator.sh"
    account
    case $1 in
    new | assist)
        if serves; then set -- "$@" --service "$service"
        elif clicks_answered; then set -- "$@" --clicks "$clicks"
        elif [ "$1" = assist ]; then set -- "$@" --service "$service"; fi
        ;;
    esac
    driver "$@"
}
