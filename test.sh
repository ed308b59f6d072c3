#!/bin/sh
# Set the environments up and run the tests:  sh test.sh [arguments of pytest]
set -eu

usage() {
    cat <<'TEXT'
usage: sh test.sh [arguments of pytest]

Sets .venv and .venv-serve up and runs ruff, mypy and the tests.
TEXT
}

_main() {
    cd "$(dirname "$0")"
    case "${1:-}" in -h | --help) usage; exit 0 ;; esac
    . scripts/setup.sh
    require_curl
    testing_env
    serving_env
    .venv/bin/ruff check .
    .venv/bin/mypy
    .venv/bin/python -m pytest -n 2 --dist loadfile "$@"
}

_main "$@"
