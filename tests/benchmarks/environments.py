"""Measurements of environments: building an image against plain pip, and booting a machine of it."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ncap_iac.environments.build import Workshop, build_contents
from ncap_iac.environments.contents import Contents
from ncap_iac.environments.source import read_source
from ncap_iac.environments.store import check_for_boot
from ncap_iac.local.runner.firmware import remove_tree
from ncap_iac.local.runner.isolation import strongest_isolation
from tests.local.machines_support import Room, make_image
from tests.stories.laboratory import ROOT

BOOTS = 15


def numpy_contents() -> Contents:
    """The analysis `kalman-lds` with numpy as its only package."""
    source = read_source(ROOT / "ncap_blueprints" / "kalman-lds" / "environment", ROOT / "protocols")
    lines = source.contents.lock.decode().splitlines(keepends=True)
    first = next(place for place, line in enumerate(lines) if line.startswith("numpy=="))
    last = next(place for place in range(first, len(lines)) if not lines[place].rstrip().endswith("\\"))
    return replace(source.contents, lock="".join(lines[first : last + 1]).encode())


def image_build() -> Mapping[str, Any]:
    """An image of a lock with numpy, cold, warm and there already, beside a virtual environment pip fills."""
    contents = numpy_contents()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lock = folder / "numpy.lock"
        lock.write_bytes(contents.lock)
        try:
            ours = [_timed(partial(_build, contents, folder, name)) for name in ("one", "two", "two")]
            pips = [_timed(partial(_pip, lock, folder, name)) for name in ("p", "q")]
        finally:
            for images in folder.glob("images-*"):
                remove_tree(images)
    return {
        "image, empty package cache": f"{ours[0]:.1f} s, {ours[0] / pips[0]:.2f} x pip",
        "image, packages in the cache": f"{ours[1]:.1f} s, {ours[1] / pips[1]:.2f} x pip",
        "image that is there already": f"{ours[2] * 1000:.0f} ms",
        "venv and pip install of the same lock, empty cache": f"{pips[0]:.1f} s",
        "venv and pip install, wheels in the cache": f"{pips[1]:.1f} s",
    }


def _build(contents: Contents, folder: Path, name: str) -> None:
    workshop = Workshop(
        images=folder / f"images-{name}",
        uv_cache=folder / "uv",
        environ=os.environ,
        home=Path.home(),
        clock=time.time,
        say=lambda text: None,
    )
    build_contents(contents, workshop)


def _pip(lock: Path, folder: Path, name: str) -> None:
    venv = folder / name
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    words = ["-m", "pip", "install", "--quiet", "--require-hashes", "--cache-dir", str(folder / "pip"), "-r", str(lock)]
    subprocess.run([str(venv / "bin" / "python"), *words], check=True, capture_output=True)


def local_boot() -> Mapping[str, Any]:
    """From the order to the first and to the last word of a machine that does nothing, warm."""
    isolation = strongest_isolation()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        image = make_image(folder / "images")
        try:
            check_for_boot(image)
            room = Room(folder / "instances", image, isolation)
            room.room.warm()
            times = [_timed(partial(_boot, room, f"i-{number}")) for number in range(BOOTS + 1)][1:]
            room.room.close()
        finally:
            remove_tree(folder / "images")
    bare = statistics.median(_timed(lambda: subprocess.run(["/bin/sh", "-c", ":"], check=True)) for _ in range(BOOTS))
    median = statistics.median(times)
    return {
        "sandbox": isolation.rung.value + (", no network" if isolation.can_close_network else ""),
        "boot, run and end of a machine": f"{median * 1000:.0f} ms",
        "/bin/sh as a child": f"{bare * 1000:.1f} ms",
    }


def _boot(room: Room, instance: str) -> None:
    room.boot("#!/bin/sh\n:\n", instance)
    room.ended(instance)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
