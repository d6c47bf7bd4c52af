"""The labelled frames of a DeepLabCut project: read, checked, and put where and as DeepLabCut looks for them.

Labels are `labeled-data/<video>/CollectedData_<scorer>.h5`, a table with columns scorer, bodyparts, coords (x and y in
pixels, NaN where a part was not seen), a row an image; or the .csv twin of it. It must not train.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from analysis_kit import InputError
from dlc_project import Project

if TYPE_CHECKING:
    import pandas as pd

FEWEST_FRAMES = 5
KEY = "df_with_missing"
"""The name DeepLabCut gives a table in an .h5 file."""


def check_labels(project: Project) -> int:
    """How many labelled frames there are. Raises InputError; writes the .h5 where there is only a .csv."""
    count = 0
    for folder in sorted(path for path in (project.folder / "labeled-data").glob("*") if path.is_dir()):
        base = folder / f"CollectedData_{project.scorer}"
        if not (base.with_suffix(".h5").is_file() or base.with_suffix(".csv").is_file()):
            continue
        table = read_labels(base, project)
        _check_table(table, folder, project)
        if not base.with_suffix(".h5").is_file():
            table.to_hdf(base.with_suffix(".h5"), key=KEY, mode="w")
        count += len(table)
    if count < FEWEST_FRAMES:
        raise InputError(
            f"Dataset {project.name} has {count} labelled frames by '{project.scorer}'; at least {FEWEST_FRAMES} are"
            f" needed, in labeled-data/<video>/CollectedData_{project.scorer}.h5 or .csv."
        )
    return count


def read_labels(base: Path, project: Project) -> pd.DataFrame:
    """The table of one folder; its rows are named ("labeled-data", video, image)."""
    import pandas as pd

    path = base.with_suffix(".h5") if base.with_suffix(".h5").is_file() else base.with_suffix(".csv")
    where = f"Dataset {project.name}, {path.relative_to(project.folder)}"
    try:
        if path.suffix == ".h5":
            table = pd.read_hdf(path)
        else:
            has_three = path.read_text(encoding="utf-8").splitlines()[-1].startswith("labeled-data,")
            table = pd.read_csv(path, header=[0, 1, 2], index_col=[0, 1, 2] if has_three else 0)
    except Exception as error:
        # Whatever a reader of a damaged file raises: PyTables alone has a dozen kinds.
        raise InputError(f"{where} cannot be read: {' '.join(str(error).split())[:200]}.") from error
    if not isinstance(table, pd.DataFrame) or table.columns.nlevels != 3:
        raise InputError(f"{where} is not a table of labels with the columns scorer, bodyparts, coords.")
    if not isinstance(table.index, pd.MultiIndex):
        names = [tuple(str(name).replace("\\", "/").split("/")) for name in table.index]
        if any(len(name) != 3 for name in names):
            raise InputError(f"{where}: its rows are not named labeled-data/<video>/<image>.")
        table.index = pd.MultiIndex.from_tuples(names)
    table.columns = table.columns.set_names(["scorer", "bodyparts", "coords"])
    return table


def _check_table(table: pd.DataFrame, folder: Path, project: Project) -> None:
    where = f"Dataset {project.name}, labels of {folder.name}"
    if set(table.columns.get_level_values(0)) != {project.scorer}:
        raise InputError(f"{where} are by another scorer than '{project.scorer}', whom config.yaml names.")
    missing = [part for part in project.bodyparts if part not in table[project.scorer].columns.get_level_values(0)]
    if missing:
        raise InputError(f"{where} have no columns of {', '.join(missing)}.")
    try:
        values = table.to_numpy(dtype=float)
    except ValueError as error:
        raise InputError(f"{where} hold what is not a number: {error}.") from error
    if np.isinf(values).any() or not np.isfinite(values).any():
        raise InputError(f"{where} hold no points, or infinite ones.")
    lost = [name for name in table.index.get_level_values(-1) if not (folder / str(name)).is_file()]
    if lost:
        raise InputError(f"{where} name {len(lost)} images that are not there, {lost[0]} for one.")
    _check_inside(table, folder, project, where)


def _check_inside(table: pd.DataFrame, folder: Path, project: Project, where: str) -> None:
    """Every image can be opened and holds its points."""
    from PIL import Image, UnidentifiedImageError

    points = table[project.scorer].to_numpy(dtype=float).reshape(len(table), -1, 2)
    for name, found in zip(table.index.get_level_values(-1), points, strict=True):
        try:
            with Image.open(folder / str(name)) as image:
                size = image.size
        except (OSError, UnidentifiedImageError) as error:
            raise InputError(f"{where}: the image {name} cannot be read: {error}.") from error
        seen = found[np.isfinite(found).all(1)]
        if len(seen) and ((seen < -0.5).any() or (seen > np.array(size) + 0.5).any()):
            raise InputError(f"{where}: points of {name} lie outside the image of {size[0]} x {size[1]} pixels.")


def image_sizes(project: Project) -> np.ndarray:
    """Width and height of the labelled images: (n, 2), pixels."""
    from PIL import Image

    sizes = []
    for path in sorted((project.folder / "labeled-data").glob("*/*")):
        if path.suffix.lower() in (".png", ".jpg", ".jpeg"):
            with Image.open(path) as image:
                sizes.append(image.size)
    return np.array(sizes)
