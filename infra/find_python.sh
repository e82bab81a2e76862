#!/usr/bin/env bash
# Print a Python 3.11 or 3.12 that runs and can make virtual environments; PYTHON, where set, is the only candidate.
set -euo pipefail

works() {  # a shim on PATH may exist and yet fail: run it
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' >/dev/null 2>&1
}

if [[ -n "${PYTHON:-}" ]]; then
    candidates=("$PYTHON")
else
    mapfile -t candidates < <(which -a python3.11 python3.12 python3 python 2>/dev/null || true)
fi

for candidate in "${candidates[@]}"; do
    if works "$candidate"; then
        echo "$candidate"
        exit 0
    fi
done

{
    echo "No usable Python 3.11 or 3.12 with the venv module."
    echo "  looked at: ${candidates[*]:-nothing on PATH}"
    echo "  try: apt-get install python3 python3-venv (Debian 12, Ubuntu 24.04), or: make ${MAKECMDGOALS:-demo} PYTHON=/path/to/python3.11"
} >&2
exit 1
