#!/usr/bin/env bash
# Resolve pyproject.toml anew into run.txt and dev.txt: every version and hash pinned, for Python 3.11 and 3.12 on Linux, naming no host.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v uv >/dev/null || { echo "uv is missing: see its documentation for how to install it" >&2; exit 1; }

compile() {  # upgrade is asked for by name: update.sh --upgrade, or --upgrade-package NAME
    uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet "$@"
}

compile --output-file infra/lock/run.txt "$@"
compile --group dev --output-file infra/lock/dev.txt "$@"

if grep -nE '://|--(extra-)?index-url|--find-links' infra/lock/run.txt infra/lock/dev.txt; then
    echo "the lock names a host: mend that before committing it" >&2
    exit 1
fi
