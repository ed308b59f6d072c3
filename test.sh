#!/bin/sh
# Set the environments up and run the tests:  sh test.sh [arguments of pytest]
set -eu

usage() {
    cat <<'TEXT'
usage: sh test.sh [arguments of pytest]

Sets up .venv and .venv-serve, runs ruff, mypy and the tests, two files at a time. Tests over a minute are left out.
  sh test.sh -m ""      all tests
  sh test.sh -n 0       one file after the other, as a debugger needs it
  sh test.sh -k NAME    tests with NAME in their names
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
