#!/bin/sh
# Fill ./wheelhouse with all wheels that requirements files name, for the Python that runs this; `sh trainer.sh wheelhouse`
# calls it:  sh scripts/wheels.sh requirements.lock requirements-serve.lock
set -eu

_main() {
    . scripts/python.sh
    for file; do set -- "$@" --requirement "$file" && shift; done
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    "$(find_python)" -m venv "$scratch/venv"
    pip_secrets "$scratch/venv/bin/python"
    "$scratch/venv/bin/python" -m pip wheel --disable-pip-version-check --wheel-dir wheelhouse "$@"
}

_main "$@"
