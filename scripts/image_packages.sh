#!/bin/sh
# Run by the Dockerfiles: make ./.venv hold what a requirements file names. Where /wheelhouse holds wheels, those are taken
# and no network is used.
set -eu

_main() {
    # shellcheck source=scripts/python.sh
    . ./python.sh
    "$(find_python)" -m venv .venv
    pip_secrets .venv/bin/python
    set -- --requirement "$1"
    [ -z "$(ls /wheelhouse)" ] || set -- --no-index --find-links /wheelhouse "$@"
    .venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --progress-bar off "$@"
    rm -f /tmp/ca.pem
}

_main "$@"
