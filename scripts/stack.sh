# shellcheck shell=sh disable=SC2154  # annotator.sh sets state
# The containers of coco-annotator. Sourced after docker.sh.

compose() {
    ANNOTATOR_SECRET=${ANNOTATOR_SECRET:-none} ANNOTATOR_USER=${ANNOTATOR_USER:-$(container_user)}
    export ANNOTATOR_SECRET ANNOTATOR_USER
    set -- --project-name ss-poc-annotator --project-directory . -f coco-annotator/docker-compose.yml --profile annotate "$@"
    if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}

# Why the stack cannot be started here; nothing where it can.
stack_trouble() {
    trouble=$(docker_trouble)
    if [ -n "$trouble" ]; then say "$trouble" && return; fi
    docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null 2>&1 ||
        { say "neither docker compose nor docker-compose is installed" && return; }
    for image in $(compose config 2>/dev/null | sed -n 's/^ *image: *//p'); do
        docker image inspect "$image" >/dev/null 2>&1 && continue
        say "pulling $image" >&2
        docker pull -q "$image" >/dev/null 2>&1 ||
            { say "the image $image is neither here nor can it be pulled" && return; }
    done
}
