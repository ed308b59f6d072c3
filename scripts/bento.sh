# shellcheck shell=sh disable=SC2034  # check_flags in training.sh uses python, value uses checked
# Whose model lies in deploy/, and what else is checked before anything long. Sourced after python.sh.

# data_set_of FOLDER: the data set that the model in a Bento was trained on; nothing where there is none.
data_set_of() { sed -n 's/^ "name": "\(.*\)",$/\1/p' "$1/models/model.json" 2>/dev/null || true; }

# require_own DATA_SET VERSION: a Bento of another data set is only replaced where OVERWRITE=yes says so.
require_own() {
    there=$(data_set_of "deploy/KerasSegmentationService/segment/$2")
    if [ -z "$there" ] || [ "$there" = "$1" ] || [ "${OVERWRITE:-}" = yes ]; then return 0; fi
    printf 'error: deploy/ has a version %s of the data set %s\n  expected: one of %s, or none\n  to do:    %s\n' "$2" "$there" "$1" \
        "choose another name (model_name=v_2), or replace it: OVERWRITE=yes" >&2
    exit 1
}

# What is wrong with the flags, as far as the Python of this machine can tell.
check() {
    python=$(find_python 2>/dev/null) || return 0
    checked=$(with_settings check_flags "$@") || exit "$?"
    require_own "$(value data_set)" "$(value version)"
}
