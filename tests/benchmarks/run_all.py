"""Run every benchmark beside this file, one after the other, and print one table of their ratios: the lines that name a goal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SMALLER: dict[str, list[str]] = {"bench_plan": ["--copies", "1000000"]}
"""What a benchmark is told where it would take over three minutes by itself."""


def main() -> int:
    """Run all; the exit code is the number of benchmarks that failed."""
    scripts = sorted(Path(__file__).parent.glob("bench_*.py"))
    results = [(script.stem, *run(script)) for script in scripts]
    width = max(len(name) for name, _, _ in results)
    print("\n" + "benchmark".ljust(width) + "  result")
    for name, failed, ratios in results:
        for ratio in ["FAILED", *ratios] if failed else ratios:
            print(name.ljust(width) + "  " + ratio)
    return sum(failed for _, failed, _ in results)


def run(script: Path) -> tuple[bool, list[str]]:
    """Run one benchmark, showing what it prints; whether it failed, and its ratios."""
    ratios = []
    print(f"--- {script.name}", flush=True)
    command = [sys.executable, "-P", str(script), *SMALLER.get(script.stem, [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            if "(goal " in line:
                ratios.append(line.strip())
    return process.returncode != 0 or not ratios, ratios


if __name__ == "__main__":
    sys.exit(main())
