# shellcheck shell=sh disable=SC2034  # line.sh, which sources this, uses yaml and state
# The demo photographs, played as a line. Sourced by line.sh.

demo() {
    photos=coco-annotator/datasets/demo
    [ -d "$photos" ] || fail "the demo photographs are not there" "sh train_serve.sh"
    curl -sf -m 2 -o /dev/null http://127.0.0.1:8892/readyz || fail "no service answers on port 8892" "sh train_serve.sh"
    mkdir -p .line/demo/in && cp docs/line.yaml .line/demo/line.yaml
    yaml=$(pwd)/.line/demo/line.yaml state=$(pwd)/.line/demo/state
    start
    say "watch it: http://127.0.0.1:8896/line"
    for photo in "$photos"/*.jpg; do
        cp "$photo" .line/demo/in/.part && mv .line/demo/in/.part ".line/demo/in/$(date +%d%H%M%S)-$(basename "$photo")"
        sleep 0.5
    done
    say "parts: .line/demo/parts.csv   rejected ones with their overlays: .line/demo/rejected"
    status
}
