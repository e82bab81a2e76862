"""A verified delivery into a bucket against `rclone copy` and `rclone check --download`, in interleaved rounds, on a Ceph of this machine.

Ours brings every byte back and hashes it here, and writes the manifest. `rclone check` alone compares
what the service says of its own bytes; with `--download` it compares the bytes, which is what ours does. Ceph keeps its objects in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from coldchain import transfer
from coldchain.files import no_progress
from coldchain.location import Engine, Location, Medium
from tasks.stores.s3 import S3Store

sys.path.insert(0, str(Path(__file__).parent))
from bench_copy import Way, bench_site, drop, timed

CEPHBOX = Path(__file__).resolve().parents[2] / "infra" / "services" / "cephbox.py"
BUCKET = "bench"
ROOM = 14 << 30
"""Bytes of memory for Ceph: it gives nothing back before hours have passed."""
PEER = "rclone copy + check --download"
Reach = dict[str, str]


def main() -> int:
    """Measure both kinds of tree; the last lines sum them up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="1 GiB and 5,000 files")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    large, many = (1 << 30, 5_000) if chosen.full else (128 << 20, 400)
    if shutil.which("rclone") is None:
        print("no rclone on this machine: nothing to compare with")
        return 0
    lines = []
    with ceph() as reach:
        for title, sizes in (("one large file", [large]), ("many small files", [100_000] * many)):
            with tempfile.TemporaryDirectory(prefix="bench-s3-") as folder:
                lines.append(report(title, measure(Path(folder), sizes, chosen.rounds, reach)))
    print("\n".join(lines))
    return 0


@contextmanager
def ceph() -> Iterator[Reach]:
    """A Ceph RADOS Gateway with a bucket."""
    with tempfile.TemporaryDirectory(prefix="bench-ceph-") as folder:
        command = [sys.executable, str(CEPHBOX), "run", f"{folder}/box", "--size", str(ROOM)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as box:
            reach: Reach = json.loads(box.stdout.readline())
            client(reach).create_bucket(Bucket=BUCKET)
            yield reach
            box.stdin.close()


def client(reach: Reach) -> Any:
    """A client of the gateway."""
    import boto3
    from botocore.config import Config

    config = Config(
        request_checksum_calculation="when_required", response_checksum_validation="when_required", s3={"addressing_style": "path"}
    )
    login = {"aws_access_key_id": reach["access_key"], "aws_secret_access_key": reach["secret_key"], "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=reach["endpoint"], verify=reach["ca"], config=config, **login)


def measure(root: Path, sizes: list[int], rounds: int, reach: Reach) -> dict[str, list[tuple[float, float]]]:
    """Wall and CPU seconds of each way, by round; the ways take turns."""
    ws, artifact, source = bench_site(root, sizes)
    ways: dict[str, Way] = {
        "ours": lambda _target: ours(ws, artifact, reach),
        "rclone copy + check": lambda _target: rclone(source, reach),
        PEER: lambda _target: rclone(source, reach, "--download"),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            drop(source)
            found[name].append(timed(way, root / "nothing"))
    return found


def ours(ws: Any, artifact: Any, reach: Reach) -> None:
    """Put into a part of the bucket of its own, read back, and write the manifest."""
    place = Location(
        name="target",
        engine=Engine.S3,
        root=f"ours-{uuid.uuid4().hex}",
        s3={"block": "none"},
        medium=Medium.OBJECT,
        domain="cloud",
        site="away",
    )
    store = S3Store(place, lambda: block(reach))
    store.register()
    held = ws.store("source")
    manifest = transfer.land(store, held.local(artifact.folder), artifact.folder, held.names(artifact.folder), no_progress)
    assert manifest.digest == artifact.digest
    store.write_manifest(artifact.folder, manifest)
    assert store.exists(artifact.folder)


def block(reach: Reach) -> Any:
    """The bucket's block."""
    from prefect_aws import AwsClientParameters, AwsCredentials, S3Bucket

    trusted = AwsClientParameters(endpoint_url=reach["endpoint"], verify=True, verify_cert_path=reach["ca"])
    login = {"aws_access_key_id": reach["access_key"], "aws_secret_access_key": reach["secret_key"], "region_name": "us-east-1"}
    return S3Bucket(bucket_name=BUCKET, bucket_folder="", credentials=AwsCredentials(**login, aws_client_parameters=trusted))


def rclone(source: Path, reach: Reach, *check: str) -> None:
    """Copy with rclone as it comes, sixteen at a time, and check as told; secrets go by the environment."""
    said = {"TYPE": "s3", "PROVIDER": "Ceph", "ENDPOINT": reach["endpoint"], "ACCESS_KEY_ID": reach["access_key"],
            "SECRET_ACCESS_KEY": reach["secret_key"]}  # fmt: skip
    env = {**os.environ, **{f"RCLONE_CONFIG_BENCH_{name}": value for name, value in said.items()}, "RCLONE_CA_CERT": reach["ca"]}
    env.pop("AWS_CA_BUNDLE", None)  # the S3 part of rclone refuses to start with it
    target = f"bench:{BUCKET}/rclone-{uuid.uuid4().hex}"
    subprocess.run(["rclone", "copy", "--transfers", "16", str(source), target], env=env, check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["rclone", "check", "--checkers", "16", *check, str(source), target], env=env, check=True, stderr=subprocess.DEVNULL)


def report(title: str, found: dict[str, list[tuple[float, float]]]) -> str:
    """Print each way's medians; give back the line that sums them up."""
    wall, cpu = ({name: median(turn[which] for turn in turns) for name, turns in found.items()} for which in (0, 1))
    for name in found:
        print(f"{title:18} {name:32} wall {wall[name]:7.2f} s  CPU {cpu[name]:7.2f} s", flush=True)
    alone = wall["rclone copy + check"] / wall["ours"]
    return f"s3, {title}: wall ratio {PEER} / ours {wall[PEER] / wall['ours']:.2f} (goal none set); without --download {alone:.2f}"


if __name__ == "__main__":
    sys.exit(main())
