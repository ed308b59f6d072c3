#!/bin/sh
# Labelled photographs → trained, optimised model under result/, and its Bento under deploy/.
set -eu

# --- edit these, or set them in the environment (epoch=100 sh trainer.sh), or give them as flags (--epoch 100) --------
: "${json_path:=}"      # labels: file, folder, zip; empty: the newest .exports/*.json of img_path, else those found in it
: "${img_path:=}"       # folder or zip of the photographs; empty: the demo data set, drawn on first use
: "${img_dir_name:=}"   # name of the data set in result/; empty: name of the last folder in img_path
: "${model_name:=v_1}"  # name of this version
: "${budget:=}"         # time for the training, such as 15m; empty: training counts epochs (3m on the demo data set)
: "${epoch:=}"          # highest number of epochs, if there is no budget; empty: 50
: "${batch_size:=}"     # crops per step; empty: chosen
: "${good_only:=}"      # yes: all photographs are good, no labels needed; the model finds what departs from them
: "${exif_labels:=}"    # labels were drawn on photographs as shown or stored, where EXIF turns them; empty: auto
# ----------------------------------------------------------------------------------------------------------------------

DEMO=coco-annotator/datasets/demo

usage() {
    cat <<'TEXT'
usage: sh trainer.sh [--json_path LABELS] [--img_path FOLDER] [--img_dir_name NAME] [--model_name NAME]
                     [--budget 15m | --epoch N] [--batch_size N] [--exif_labels shown|stored] [--good_only]
                     [any other flag of `python -m ss_poc.train`]
       sh trainer.sh board        curves of all runs, on port 6006 (TensorBoard)
       sh trainer.sh check [flags]    say what is wrong with flags, and train nothing
       sh trainer.sh wheelhouse   fill wheelhouse/ with all packages, for a machine without internet

Trains on labelled photographs, exports the model, finds the best post-processing and the fastest engine, writes a
report and packages the model. Without img_path it draws a demo data set and trains on that.
  --reuse       use a finished run of this name, or continue an interrupted one
  --resume      continue an interrupted run of this name
  --overwrite   replace an earlier run of this name when the new one is finished
MODE=docker runs it in a container, MODE=native without one. MODE=auto, the default, uses Docker if an engine answers.
GPU=yes gives containers the GPU, GPU=no does not.
OVERWRITE=yes replaces what another data set has under this version in deploy/.
TEXT
}

# Enough for the demo, unless the user says how long.
demo_budget() {
    for flag; do case $flag in --epoch* | --budget* | --img_path*) return ;; esac; done
    [ -n "$img_path$epoch$budget" ] || budget=3m
}

# with_settings COMMAND FLAG… : the variables come first, so that what the user typed wins.
with_settings() {
    command=$1 && shift
    case $good_only in yes) set -- --good_only "$@" ;; '' | no) ;; *) fail "good_only is '$good_only'" "yes or no" ;; esac
    $command --img_path "${img_path:-$DEMO}" --model_name "$model_name" \
        ${json_path:+--json_path "$json_path"} ${epoch:+--epoch "$epoch"} ${budget:+--budget "$budget"} \
        ${img_dir_name:+--img_dir_name "$img_dir_name"} ${batch_size:+--batch_size "$batch_size"} \
        ${exif_labels:+--exif_labels "$exif_labels"} "$@"
}

# stage NUMBER MODULE [FLAG]: a step after training, on the run that it wrote.
stage() {
    say "$1 $2"
    project_python -m "ss_poc.$2" --result "$result" --img_dir_name "$data_set" --model_name "$version" ${3:+"$3"}
}

all_stages() {
    say "1/3 train"
    with_settings "project_python -m ss_poc.train" "$@"
    stage 2/3 finish
    if [ "${OVERWRITE:-}" = yes ]; then set -- --overwrite; else set --; fi
    stage 3/3 bento_deploy "$@"
    say "$result/$data_set/segment/$version" >result/.latest_run
    say "done. Open $result/$data_set/segment/$version/valid/report.html, then serve it: service_version=$version sh server.sh"
}

_main() {
    cd "$(dirname "$0")"
    . scripts/setup.sh
    . scripts/docker.sh
    . scripts/image.sh
    . scripts/training.sh
    . scripts/labels.sh
    . scripts/bento.sh
    for flag; do case $flag in -h | --help) usage; exit 0 ;; esac; done
    case ${1:-} in
    board | wheelhouse) "$1"; return ;;
    check) shift && check "$@"; return ;;
    esac
    demo_budget "$@"
    choose_mode ss-poc-trainer:cpu
    [ "$mode" = image ] || check "$@"
    prepare with_settings check_flags "$@"
    result=$(value result) data_set=$(value data_set) version=$(value version)
    [ "$mode" = image ] || require_own "$data_set" "$version"
    [ "$(value export)" = no ] || offer_export "$(value img_path)"
    [ "$mode" = image ] || [ "$(value img_path)" != "$DEMO" ] || project_python -m ss_poc.demo --out "$DEMO"
    if [ "$mode" = docker ]; then with_settings train_in_container "$@"; else all_stages "$@"; fi
}

_main "$@"
