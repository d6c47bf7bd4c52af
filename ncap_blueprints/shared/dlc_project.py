"""A DeepLabCut project that was sent as a .zip file or as a folder: unpacked, checked, at home where it is now.

A project holds `config.yaml`, `labeled-data/<video>/` and `videos/`; a trained one `dlc-models-pytorch/` as well. What
is sent is copied, for DeepLabCut writes into it, and what its config says about places is put right. It must not import
DeepLabCut or torch.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from analysis_kit import InputError

VIDEO_SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".mpeg", ".mpg")
MADE_FROM_VIDEOS = ("_labeled", "DLC_")
"""In names of videos that DeepLabCut made itself, with points drawn in."""
MAX_FILES = 200_000
SPARE_BYTES = 200_000_000


@dataclass(frozen=True)
class Project:
    """A project on disk. `videos`: those to analyse, by name; `bodyparts` in the order of the config."""

    name: str
    """The dataset's file name, for messages."""
    config: Path
    task: str
    scorer: str
    bodyparts: tuple[str, ...]
    skeleton: tuple[tuple[str, str], ...]
    videos: tuple[Path, ...]

    @property
    def folder(self) -> Path:
        """Where config.yaml lies."""
        return self.config.parent


def open_project(data: Path, place: Path) -> Project:
    """Unpack or copy the project into the empty folder `place` and read its config. Raises InputError."""
    if data.is_dir():
        shutil.copytree(data, place, dirs_exist_ok=True)
    else:
        _unpack(data, place)
    configs = sorted(place.rglob("config.yaml"), key=lambda path: (len(path.parts), str(path)))
    if not configs:
        raise InputError(f"Dataset {data.name} holds no config.yaml: it must be a DeepLabCut project.")
    return _read_project(data.name, configs[0])


def _unpack(data: Path, place: Path) -> None:
    try:
        with zipfile.ZipFile(data) as archive:
            entries = archive.infolist()
            _check_entries(data.name, entries, room=shutil.disk_usage(place).free)
            for entry in entries:
                archive.extract(entry, place)
    except zipfile.BadZipFile as error:
        raise InputError(f"Dataset {data.name} is not a .zip file that can be read: {error}.") from error
    except (OSError, RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
        raise InputError(f"Dataset {data.name} cannot be unpacked: {error}.") from error


def _check_entries(name: str, entries: list[zipfile.ZipInfo], *, room: int) -> None:
    """Nothing outside the folder, no links, nothing encrypted, not more than the disk holds."""
    if len(entries) > MAX_FILES:
        raise InputError(f"Dataset {name} holds {len(entries):,} files; at most {MAX_FILES:,} are accepted.")
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(f"Dataset {name}: its entry '{entry.filename}' points out of the project.")
        if entry.flag_bits & 1:
            raise InputError(f"Dataset {name} is encrypted; send it without a password.")
    size = sum(entry.file_size for entry in entries)
    if size > room - SPARE_BYTES:
        free = max(0, room - SPARE_BYTES) / 1e9
        raise InputError(
            f"Dataset {name} takes {size / 1e9:.1f} GB unpacked, and {free:.1f} GB are free:"
            " set '__dataset_size__' in the config."
        )


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file as a mapping; empty if it is none."""
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{path.name} of the project cannot be read: {said}.") from error
    return document if isinstance(document, dict) else {}


def change_config(config: Path, values: Mapping[str, Any]) -> None:
    """Write values into a project's config.yaml; names and order of the rest stay."""
    import yaml

    config.write_text(yaml.safe_dump({**read_yaml(config), **values}, sort_keys=False), encoding="utf-8")


def _read_project(name: str, config: Path) -> Project:
    document = read_yaml(config)
    missing = [key for key in ("Task", "scorer", "date", "bodyparts") if not document.get(key)]
    if missing:
        raise InputError(f"Dataset {name}: its config.yaml lacks {', '.join(missing)}.")
    if document.get("multianimalproject"):
        raise InputError(f"Dataset {name} is a project with several animals; only projects with one are covered.")
    bodyparts = document["bodyparts"]
    if not isinstance(bodyparts, list) or len(set(map(str, bodyparts))) != len(bodyparts):
        raise InputError(f"Dataset {name}: 'bodyparts' of its config.yaml must be a list of different names.")
    videos = _find_videos(config.parent)
    labeled = sorted(path.name for path in (config.parent / "labeled-data").glob("*") if path.is_dir())
    by_stem = {path.stem: path for path in videos}
    # DeepLabCut finds labels by the names of these paths, whether or not a video is there.
    sets = {
        str(by_stem.get(stem, config.parent / "videos" / f"{stem}.avi")): {"crop": "0, 0, 0, 0"} for stem in labeled
    }
    change_config(config, {"project_path": str(config.parent), "video_sets": sets, "engine": "pytorch"})
    return Project(
        name=name,
        config=config,
        task=str(document["Task"]),
        scorer=str(document["scorer"]),
        bodyparts=tuple(map(str, bodyparts)),
        skeleton=_skeleton(document.get("skeleton"), tuple(map(str, bodyparts))),
        videos=tuple(videos),
    )


def _find_videos(folder: Path) -> list[Path]:
    """Videos in `videos/`, or beside config.yaml; two of one stem would write the same results."""
    found: dict[str, Path] = {}
    for place in (folder / "videos", folder):
        for path in sorted(place.glob("*")):
            if path.suffix.lower() in VIDEO_SUFFIXES and not any(mark in path.stem for mark in MADE_FROM_VIDEOS):
                found.setdefault(path.stem, path)
    return list(found.values())


def _skeleton(lines: object, bodyparts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Pairs of body parts to draw a line between; what the config says beyond that is passed over."""
    pairs = [tuple(map(str, line)) for line in lines if isinstance(line, list)] if isinstance(lines, list) else []
    return tuple((pair[0], pair[1]) for pair in pairs if len(pair) == 2 and set(pair) <= set(bodyparts))
