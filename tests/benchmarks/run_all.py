"""Run every benchmark beside this file, one after the other, and print one table of their last lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run all; the exit code is the number of benchmarks that failed."""
    scripts = sorted(Path(__file__).parent.glob("bench_*.py"))
    results = [(script.stem, *run(script)) for script in scripts]
    width = max(len(name) for name, _, _ in results)
    print("\n" + "benchmark".ljust(width) + "  result")
    for name, failed, last in results:
        print(name.ljust(width) + ("  FAILED: " if failed else "  ") + last)
    return sum(failed for _, failed, _ in results)


def run(script: Path) -> tuple[bool, str]:
    """Run one benchmark, showing what it prints; whether it failed, and its last line."""
    last = "it printed nothing"
    print(f"--- {script.name}", flush=True)
    with subprocess.Popen([sys.executable, "-P", str(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    return process.returncode != 0, last


if __name__ == "__main__":
    sys.exit(main())
