"""Where kernels run: dask workers of this host or of SLURM, behind one context and one `map`.

Only functions of the `coldchain` package and plain values travel to the workers, and every worker is checked (our version,
the same scratch) before its first kernel.
"""

from __future__ import annotations

from tasks.cluster.open import open_cluster
from tasks.cluster.workers import Workers

__all__ = ["Workers", "open_cluster"]
