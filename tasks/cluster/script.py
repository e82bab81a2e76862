"""The end of a worker's job script: a worker for each scheduler of the run, until nobody comes back."""

from __future__ import annotations

import math

from tasks.cluster.runs import RunFolder

FIRST_WAIT_S = 60
"""So long at least a job looks for the first scheduler: scratch may show the address late."""

LOOP = """\
coldchain_run={run}
coldchain_served=
coldchain_until=$((SECONDS + {first}))
while [ -e "$coldchain_run/open" ]; do
  coldchain_word=
  read -r coldchain_address coldchain_host coldchain_port coldchain_word 2>/dev/null < "$coldchain_run/address" || :
  if [ -n "$coldchain_word" ] && [ "$coldchain_word" != "$coldchain_served" ] &&
     timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$coldchain_host" "$coldchain_port" 2>/dev/null; then
    coldchain_served=$coldchain_word
    {worker} || exit $?
    coldchain_until=$((SECONDS + {wait}))
  elif [ "$SECONDS" -ge "$coldchain_until" ]; then
    echo "coldchain: no scheduler answered at ${{coldchain_address:-an unknown address}}" >&2
    exit 0
  else
    sleep 2
  fi
done
"""
ADDRESS, NAME, DISK = '"$coldchain_address"', '-"$SLURM_JOB_ID"', '"$coldchain_disk"'


def loop(worker: str, run: RunFolder, wait_s: float, first_s: float = FIRST_WAIT_S) -> str:
    """Return shell lines that run `worker` for each scheduler of the run, and end `wait_s` seconds after the last one went.

    A worker whose scheduler goes ends with 0 and is started again for the next scheduler, if one comes in time. A worker that
    ends with anything else ends the job with it.
    """
    return LOOP.format(run=run.path, worker=worker, first=math.ceil(max(first_s, wait_s)), wait=math.ceil(wait_s))


def local_disk(place: str) -> list[str]:
    """Return shell lines that set the folder for spilled data, `coldchain_disk`; a variable that the node does not have ends the job."""
    return ["set -u", f'coldchain_disk="{place}"', "set +u", 'mkdir -p "$coldchain_disk" || exit 1']
