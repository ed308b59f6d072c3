# shellcheck shell=sh disable=SC2154  # trainer.sh and annotator.sh set mode
# Labels on their way to training, and a model's proposals on their way back. Sourced after training.sh.

# offer_export FOLDER: if labels changed since the last export, ask whether to export them first; without a terminal, say so.
offer_export() {
    name=${1#coco-annotator/datasets/}
    [ "$mode" != image ] && [ -f coco-annotator/.annotator/tool ] && [ -d "coco-annotator/datasets/$name" ] || return 0
    said=$(sh annotator.sh changed "$name" 2>/dev/null) || return 0
    say "$said"
    answer=no
    if [ -t 0 ]; then
        printf 'export them first? [Y/n] '
        read -r answer
    fi
    case $answer in [nN]*) say "  to do:    sh annotator.sh export $name" ;; *) sh annotator.sh export "$name" ;; esac
}

# propose_labels NAME [N] [VERSION]: a trained version orders the photographs without labels and proposes regions on the first N.
# Labels are exported first: the export tells which photographs have some. One that cannot be read does not stop the others:
# predict ends with 1 then, and so does this, but the proposals are there.
propose_labels() {
    name=${1#coco-annotator/datasets/} count=${2:-20} version=${3:-v_1}
    name=${name%/} # tab completion adds the /
    folder=coco-annotator/datasets/$name run=result/$name/segment/$version
    is_up || fail "$tool does not run" "sh annotator.sh"
    [ -d "$folder" ] || fail "there is no folder $folder" "sh annotator.sh new $name --labels scratch,pit"
    [ -f "$run/export/model.json" ] || fail "there is no trained version $run" \
        "train one: sh trainer.sh --img_path $folder --model_name $version"
    if said=$(ask changed "$name"); then ask export "$name"; fi
    choose_mode ss-poc-trainer:cpu
    if [ "$mode" = docker ]; then prepare_container; else training_env; fi
    rm -f "$folder/.proposals/proposals.json"
    status=0
    project_python -m ss_poc.predict "$folder" --rank --top "$count" --img_dir_name "$name" --model_name "$version" \
        --output "$folder/.proposals" || status=$?
    [ -f "$folder/.proposals/proposals.json" ] && [ "$status" -le 1 ] || return "$status"
    ask propose "$name" "$folder/.proposals/proposals.json" --model "$name $version"
    return "$status"
}
