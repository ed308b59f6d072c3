#!/bin/sh
# Serve a trained version on port 8892:  service_version=v_1 sh server.sh [start|stop|status|logs]
#                              or sourced:  service_version=v_1; source server.sh
#
# All work is done by a child process, so a shell that sources this keeps its options, names and directory.
# Where this file lies: bash and zsh know it even when sourced; other shells look at $0, then here.
service_version="${service_version:-}" PORT="${PORT:-}" sh "$(
    if [ -n "${BASH_VERSION:-}" ]; then
        eval 'file=${BASH_SOURCE[0]}'
    elif [ -n "${ZSH_VERSION:-}" ]; then
        eval 'file=${(%):-%x}'
    else
        file=$0
    fi
    case $file in
    *server.sh) dirname "$file" ;;
    *) printf . ;;
    esac
)/scripts/serve.sh" "$@"
