# shellcheck shell=sh
# Making an environment: once, resumed when interrupted, by one script at a time. Sourced after python.sh.

has_gpu() { command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; }

# Requirements of the training environment on this host: the lock, with the CUDA wheel where there is a GPU.
training_requirements() {
    if has_gpu; then
        sed -n '/^tensorflow-cpu==/!p' requirements.lock
        cat requirements-gpu.txt
    else
        cat requirements.lock
    fi
}

# make_env FOLDER REQUIREMENTS WHAT: make FOLDER hold exactly REQUIREMENTS; at once where it does already.
make_env() {
    python=$(find_python) || exit 1
    stamp=$( { cat "$2"; "$python" --version; pwd; } | cksum)
    [ "$(cat "$1/.ready" 2>/dev/null)" != "$stamp" ] || return 0
    until mkdir "$1.lock" 2>/dev/null; do
        owner=$(cat "$1.lock/pid" 2>/dev/null || echo none)
        if [ "$owner" != none ] && ! kill -0 "$owner" 2>/dev/null; then rm -rf "$1.lock"; continue; fi
        say "another script (process $owner) is setting up $1; waiting for it (if there is none: rm -r $1.lock)"
        sleep 5
    done
    lock=$1.lock
    echo "$$" >"$lock/pid"
    trap 'rm -rf "$lock"' EXIT
    trap 'exit 130' INT TERM
    [ "$(cat "$1/.ready" 2>/dev/null)" = "$stamp" ] || install_env "$@"
}

install_env() {
    say "setting up $1: $3"
    rm -f "$1/.ready"
    "$1/bin/python" -c 'import pip, sys; sys.exit(sys.argv[1] != "%d.%d" % sys.version_info[:2])' \
        "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" 2>/dev/null ||
        "$python" -m venv --clear "$1" || fail "$1 could not be made" "remove it and try again: rm -r $1"
    "$1/bin/python" -m pip install --disable-pip-version-check -r "$2" >"$1/install.log" 2>&1 &
    watch_install "$!" "$1" || install_failed "$1"
    if [ "$1" = .venv ]; then
        "$1/bin/python" -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e . ||
            fail "the package itself could not be installed into $1"
    fi
    printf '%s\n' "$stamp" >"$1/.ready"
}

install_failed() {
    tail -n 15 "$1/install.log" >&2
    if grep -q "No space left" "$1/install.log"; then
        fail "the disk is full: the packages of $1 do not fit" \
            "free some space ($(df -h . | awk 'NR == 2 { print $4 }') are left) and run the same command again; it goes on from here"
    fi
    fail "the packages of $1 could not be installed (log: $1/install.log)" \
        "check the network (PIP_INDEX_URL and HTTPS_PROXY are obeyed) and run the same command again; it goes on from here"
}

# watch_install PID FOLDER: a line every 10 seconds until PID ends; its status.
watch_install() {
    seconds=0
    while kill -0 "$1" 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
        [ $((seconds % 10)) -ne 0 ] || say "  $seconds s: $(du -sm "$2" | cut -f1) MB installed"
    done
    wait "$1"
}
