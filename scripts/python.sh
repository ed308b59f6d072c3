# shellcheck shell=sh
# Speaking, and finding what the machine must have: Python, venv, curl. Sourced.

say() { printf '%s\n' "$@"; }

# fail WHAT [TO_DO]: say what happened and what to do, and end the script.
fail() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf '  to do:    %s\n' "$2" >&2
    exit 1
}

# wrong_call WHAT: the script was called with what it does not understand.
wrong_call() {
    printf 'error: %s\n' "$1" >&2
    usage >&2
    exit 2
}

# listen_on NAME VALUE DEFAULT: the address to listen on: VALUE, which the variable NAME has; else HOST, its old name, where that
# is an address (conda's compilers put the kind of the machine there, shells its name); else DEFAULT.
listen_on() {
    case ${HOST:-} in
    localhost) old=$HOST ;;
    *[!0-9a-fA-F.:]*) old='' ;;
    *.*.*.* | *:*:*) old=$HOST ;;
    *) old='' ;;
    esac
    if [ -z "$2" ] && [ -n "$old" ]; then
        printf 'HOST=%s is understood, but it is the old name: say %s=%s\n' "$old" "$1" "$old" >&2
    fi
    if [ -n "$2" ]; then say "$2"; else say "${old:-$3}"; fi
}

# runs_as FILE WORD: whether the process whose number is in FILE runs, by a command line that has WORD.
runs_as() {
    [ -s "$1" ] || return 1
    case $(tr '\0' ' ' <"/proc/$(cat "$1")/cmdline" 2>/dev/null || ps -o args= -p "$(cat "$1")" 2>/dev/null) in
    *"$2"*) return 0 ;;
    *) return 1 ;;
    esac
}

# end_group PID SECONDS: ask a process to end, wait until its whole group is gone, and make it go after so many seconds.
end_group() {
    kill -TERM "$1" && waited=0
    while kill -0 "-$1" 2>/dev/null; do
        if [ "$waited" -ge $(($2 * 2)) ]; then kill -KILL "-$1" 2>/dev/null || true; fi
        waited=$((waited + 1)) && sleep 0.5
    done
}

install_command() {
    if command -v apt-get >/dev/null 2>&1; then printf 'sudo apt-get install %s' "$1"
    elif command -v dnf >/dev/null 2>&1; then printf 'sudo dnf install %s' "$2"
    elif command -v apk >/dev/null 2>&1; then printf 'sudo apk add %s' "$2"
    else printf 'install %s' "$2"; fi
}

require_curl() {
    command -v curl >/dev/null 2>&1 || fail "curl is missing" "$(install_command curl curl)"
}

supported() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

# Print a Python of 3.10 to 3.13 that can make environments; PYTHON names one.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        supported "$PYTHON" || fail "PYTHON=$PYTHON is no Python of 3.10 to 3.13" "set PYTHON to one, or unset it"
        found=$PYTHON
    else
        found=
        for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
            if supported "$candidate"; then found=$candidate; break; fi
        done
        [ -n "$found" ] || fail "no Python of 3.10 to 3.13 was found ($(python3 --version 2>&1 || true))" \
            "$(install_command 'python3 python3-venv' python3), or set PYTHON to one"
    fi
    "$found" -c 'import ensurepip, venv' 2>/dev/null || fail "$found cannot make environments: its venv module is missing" \
        "$(install_command "python$("$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv" python3)"
    command -v "$found"
}

# pip_secrets PYTHON: where a container was given them, obey /run/secrets/pip_conf, where packages come from, and
# /run/secrets/ca, one more certificate authority.
pip_secrets() {
    [ ! -f /run/secrets/pip_conf ] || export PIP_CONFIG_FILE=/run/secrets/pip_conf
    [ -f /run/secrets/ca ] || return 0
    "$1" -c 'from pip._vendor import certifi; print(certifi.contents())' | cat - /run/secrets/ca >/tmp/ca.pem
    export PIP_CERT=/tmp/ca.pem
}
