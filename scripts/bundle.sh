# shellcheck shell=sh disable=SC2154  # serve.sh, which sources this, sets version, bento, file; server_container.sh image
# Carrying the image of a version to a host without internet. Sourced after server_container.sh.

bundle() {
    prepare
    file=ss-poc-$version.tar.gz
    say "writing $file"
    docker save "$image" | gzip -1 >".$file.part" && mv ".$file.part" "$file"
    sha256sum "$file" >"$file.sha256"
    say "$file ($(du -m "$file" | cut -f1) MB) and $file.sha256: take both, and this folder's scripts, to the other host; there:" \
        "  sh server.sh load $file"
}

load() {
    [ -f "$file" ] || fail "there is no file $file" "name the file that sh server.sh bundle wrote"
    [ -f "$file.sha256" ] || fail "there is no $file.sha256" "bring the checksum along: a damaged file could not be told"
    (cd "$(dirname "$file")" && sha256sum --status -c "$(basename "$file").sha256") ||
        fail "$file is damaged: its checksum is not that of $file.sha256" "copy it again"
    image=$(docker load -q -i "$file" | sed -n 's/^Loaded image: //p')
    version=${image#ss-poc-serve:} bento="deploy/KerasSegmentationService/segment/${image#ss-poc-serve:}"
    [ "$version" != "$image" ] || fail "$file holds ${image:-no image}, not one of ours" "name the file that sh server.sh bundle wrote"
    say "loaded the image $image"
    scratch=deploy/.loaded
    # Out of the image, so that deploy and rollback find the version here as well.
    mkdir -p deploy/KerasSegmentationService/segment
    from=$(docker create "$image") && rm -rf "$scratch"
    docker cp "$from:/app/$bento" "$scratch" >/dev/null && docker rm "$from" >/dev/null
    require_own "$(data_set_of "$scratch")" "$version"
    rm -rf "$bento" && mv "$scratch" "$bento"
    start
}
