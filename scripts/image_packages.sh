#!/bin/sh
# Run by the Dockerfiles:  sh image_packages.sh REQUIREMENTS [UNUSED…]
# Makes ./.venv hold what a requirements file names, but for the files below its site-packages that UNUSED match. Where
# /wheelhouse holds wheels, those are taken and no network is used.
set -eu

_main() {
    # shellcheck source=scripts/python.sh
    . ./python.sh
    "$(find_python)" -m venv .venv
    pip_secrets .venv/bin/python
    offline=
    [ -z "$(ls /wheelhouse)" ] || offline="--no-index --find-links /wheelhouse"
    # shellcheck disable=SC2086  # three words, or none
    .venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --progress-bar off $offline --requirement "$1"
    rm -f /tmp/ca.pem
    shift
    for unused; do find .venv/lib/python*/site-packages -path ".venv/lib/*/site-packages/$unused" -prune -exec rm -r {} +; done
}

_main "$@"
