#!/bin/sh
# COCO json → trained, optimised model under result/, and its Bento under deploy/.
set -eu

# --- yours to edit; each may come from the environment (epoch=100 sh trainer.sh) or as a flag (--epoch 100) instead ---
: "${json_path:=}"      # COCO json; empty: the newest .exports/*.json of img_path
: "${img_path:=}"       # folder of the images; empty: the demo data set, made on first use
: "${img_dir_name:=}"   # name of the data set in result/; empty: last part of img_path
: "${model_name:=v_1}"  # name of this version
: "${budget:=}"         # time to train in, such as 15m; empty: epochs are counted; on the demo data set 3m
: "${epoch:=}"          # upper bound of epochs where there is no budget; empty: 50
: "${batch_size:=}"     # images a step; empty: chosen from memory
# ----------------------------------------------------------------------------------------------------------------------

DEMO=coco-annotator/datasets/demo

usage() {
    cat <<'TEXT'
usage: sh trainer.sh [--json_path FILE] [--img_path FOLDER] [--img_dir_name NAME] [--model_name NAME]
                     [--budget 15m | --epoch N] [--batch_size N] [any other flag of `python -m ss_poc.train`]

Trains on labelled photographs, exports the model, finds the best post-processing and the fastest engine, writes a report
and packages it.
Without img_path it makes a demo data set and trains on that.
  --reuse       use a finished run of this name, go on with an interrupted one
  --overwrite   throw an earlier run of this name away
TEXT
}

choose_mode() {
    case "${MODE:-auto}" in
    auto | native) say "mode: native (everything in .venv)" ;;
    *)
        printf 'error: MODE is %s\n  expected: native or auto; Docker mode is not there yet\n' "$MODE" >&2
        exit 2
        ;;
    esac
}

# Enough for the demo, unless the user says how long.
demo_budget() {
    for flag; do
        case $flag in --epoch* | --budget* | --img_path*) return ;; esac
    done
    [ -n "$img_path$epoch$budget" ] || budget=3m
}

# trained_by PYTHON MODULE FLAG…: the variables come first, so that what the user typed wins.
trained_by() {
    interpreter=$1 module=$2
    shift 2
    PYTHONPATH=src "$interpreter" -m "ss_poc.$module" --img_path "${img_path:-$DEMO}" --model_name "$model_name" \
        ${json_path:+--json_path "$json_path"} ${epoch:+--epoch "$epoch"} ${budget:+--budget "$budget"} \
        ${img_dir_name:+--img_dir_name "$img_dir_name"} ${batch_size:+--batch_size "$batch_size"} "$@"
}

# stage NUMBER MODULE: a step after training, on the run that it wrote.
stage() {
    say "$1 $2"
    PYTHONPATH=src .venv/bin/python -m "ss_poc.$2" --result "$result" --img_dir_name "$data_set" --model_name "$version"
}

_main() {
    cd "$(dirname "$0")"
    . scripts/setup.sh
    for flag; do
        case $flag in
        -h | --help) usage; exit 0 ;;
        esac
    done
    demo_budget "$@"
    python=$(find_python)
    # Before anything long: this needs no packages, so a typo is found at once.
    names=$(trained_by "$python" config "$@") || exit "$?"
    choose_mode
    training_env
    result=$(say "$names" | sed -n 1p) data_set=$(say "$names" | sed -n 2p) version=$(say "$names" | sed -n 3p)
    [ "$(say "$names" | sed -n 4p)" != "$DEMO" ] || PYTHONPATH=src .venv/bin/python -m ss_poc.demo --out "$DEMO"
    say "1/6 train"
    trained_by .venv/bin/python train "$@"
    stage 2/6 export
    stage 3/6 post_processing
    stage 4/6 optimise
    stage 5/6 report
    stage 6/6 bento_deploy
    say "$result/$data_set/segment/$version" >result/.latest_run
    say "done. Open $result/$data_set/segment/$version/valid/report.html, then serve it: service_version=$version sh server.sh"
}

_main "$@"
