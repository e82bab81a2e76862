"""Disks that are taken away: file systems in image files, put in at a mount point and taken out again. Needs root and loop devices."""

from __future__ import annotations

import subprocess
from pathlib import Path

from coldchain.errors import ConfigurationError


class Drive:
    """One disk of 16 MB with ext4 on it, as a file."""

    def __init__(self, image: Path) -> None:
        """Make the disk; it is in no drive yet. Raises ConfigurationError where this machine cannot make it."""
        self.image, self.at = image, Path()
        with image.open("wb") as file:
            file.truncate(16 * 1024**2)
        _run("mkfs.ext4", "-q", "-F", str(image))

    def put_in(self, point: Path) -> None:
        """Mount it. Raises ConfigurationError where this machine cannot."""
        point.mkdir(parents=True, exist_ok=True)
        _run("mount", "-o", "loop", str(self.image), str(point))
        self.at = point

    def take_out(self) -> None:
        """Unmount it, where it is put in."""
        if self.at != Path():
            _run("umount", str(self.at))
            self.at = Path()


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        raise ConfigurationError("this machine cannot do that with a disk image", on=" ".join(command[:1]), got=said) from error
