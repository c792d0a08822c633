"""A disk of its own for the warehouse, small enough to be filled, and one that can be made read-only.

It is mounted where the warehouse lies, which only root may do, and taken away again afterwards with all that it holds.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from fullspan.errors import Inconclusive
from fullspan.stack import Stack

WRITER = "consumer-crypto"
SIZE_MB = 512


class Disk:
    """The disk at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Refuse whatever writes to it while the block runs."""
        _run("mount", "-o", "remount,ro,bind", str(self.folder))
        try:
            yield
        finally:
            _run("mount", "-o", "remount,rw,bind", str(self.folder))


@contextmanager
def own_disk(stack: Stack) -> Iterator[Disk]:
    """Have the warehouse on a disk of its own while the block runs; the writer is down whenever it moves."""
    if os.geteuid() != 0:
        raise Inconclusive("Only root may mount a disk for the warehouse.", "Run this test as root.")
    warehouse = Path(urlsplit(stack.endpoint("lake.warehouse")).path)
    aside, writer = warehouse.with_name("aside"), stack.component(WRITER)
    aside.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(aside))
    except subprocess.CalledProcessError as error:
        aside.rmdir()
        raise Inconclusive(f"No disk can be mounted here: {error.stderr.strip()}") from None
    try:
        writer.stop()
        shutil.copytree(warehouse, aside, dirs_exist_ok=True)
        _run("mount", "--bind", str(aside), str(warehouse))
        writer.start()
        try:
            yield Disk(warehouse)
        finally:
            writer.stop()
            _run("umount", "--lazy", str(warehouse))
            shutil.copytree(aside, warehouse, dirs_exist_ok=True)
            writer.start()
    finally:
        _run("umount", "--lazy", str(aside))
        aside.rmdir()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
