#!/bin/sh
# Run by the Dockerfiles: make ./.venv hold what a requirements file names.
# Build secrets, both optional: `ca`, one more certificate authority; `pip_conf`, where packages come from.
# Where /wheelhouse holds wheels, those are taken and no network is used.
set -eu

_main() {
    # shellcheck source=scripts/python.sh
    . ./python.sh
    "$(find_python)" -m venv .venv
    [ ! -f /run/secrets/pip_conf ] || export PIP_CONFIG_FILE=/run/secrets/pip_conf
    if [ -f /run/secrets/ca ]; then
        .venv/bin/python -c 'from pip._vendor import certifi; print(certifi.contents())' | cat - /run/secrets/ca >/tmp/ca.pem
        export PIP_CERT=/tmp/ca.pem
    fi
    set -- --requirement "$1"
    [ -z "$(ls /wheelhouse)" ] || set -- --no-index --find-links /wheelhouse "$@"
    .venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --progress-bar off "$@"
    rm -f /tmp/ca.pem
}

_main "$@"
