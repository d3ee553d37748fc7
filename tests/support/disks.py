"""Disks of a few kB, which are soon full: file systems in memory."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class Disk:
    """A file system of its own at ``place``; skips the test, with the reason, where none can be mounted."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.place.mkdir()
        self._is_mounted = False

    def of(self, kilobytes: int) -> Path:
        """Its folder, once it is as large as that."""
        if self._is_mounted:
            subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", self.place], check=True)
            return self.place
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(self.place)]
        mounted = subprocess.run(command, capture_output=True, text=True)
        if mounted.returncode:
            pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
        self._is_mounted = True
        return self.place

    def read_only(self) -> Path:
        """Its folder, with nothing to be changed in it any more."""
        subprocess.run(["mount", "-o", "remount,ro", self.place], check=True)
        return self.place

    def remove(self) -> None:
        """Unmount it."""
        if self._is_mounted:
            subprocess.run(["umount", "-l", self.place], check=True)


def new_disk(folder: Path) -> Iterator[Disk]:
    """For a fixture."""
    disk = Disk(folder / "disk")
    try:
        yield disk
    finally:
        disk.remove()
