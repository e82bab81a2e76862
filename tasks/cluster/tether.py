"""A dask preload for workers of this host: they die with the process that opened them, even if that one is killed."""

from __future__ import annotations

import ctypes
import signal

PR_SET_PDEATHSIG = 1  # prctl(2)


def dask_setup(worker: object) -> None:  # noqa: ARG001  dask hands it over
    """Have the kernel send SIGKILL to this process as soon as its parent is gone.

    dask's own watch is a Python thread, which sleeps as long as native code holds the interpreter's lock.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
