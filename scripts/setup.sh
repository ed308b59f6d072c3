# shellcheck shell=sh
# The environments: .venv (training), .venv-serve (serving, no TensorFlow), .venv-annotate (Label Studio),
# .venv-line (the line). Sourced from the root.
. scripts/python.sh
. scripts/env.sh

# In a child each: a lock is given back when that child ends, whatever happens.
training_env() {
    (
        training_requirements >.venv.requirements
        make_env .venv .venv.requirements "TensorFlow and the rest of training (about 640 MB to download, 2.8 GB on disk)"
    )
}

serving_env() {
    (make_env .venv-serve requirements-serve.lock "what serves a model (about 180 MB to download, 630 MB on disk)")
}

annotate_env() {
    (make_env .venv-annotate requirements-annotate.lock "Label Studio (about 250 MB to download, 1 GB on disk)")
}

line_env() {
    (make_env .venv-line requirements-line.lock "what a line needs (about 160 MB to download, 500 MB on disk)")
}

testing_env() {
    training_env
    (
        cat requirements-dev.lock .venv/.ready >.venv.requirements-dev
        [ "$(cat .venv/.ready-dev 2>/dev/null)" != "$(cksum <.venv.requirements-dev)" ] || exit 0
        say "adding the test tools to .venv"
        .venv/bin/python -m pip install --disable-pip-version-check -q -r requirements-dev.lock
        cksum <.venv.requirements-dev >.venv/.ready-dev
    )
}
