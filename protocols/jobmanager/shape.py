"""The shape of a job: how many variants of each dataset, and what follows. Checks all of it before any money.

`docs/contracts.md`, section 9. Reads what the next analyses accept; writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobmanager.config import check_limits
from jobmanager.parameters import check_parameters
from jobmanager.scatter import (
    MAX_POINTS,
    Place,
    Point,
    Scatter,
    ScatterError,
    check_points,
    folder_places,
    points_of,
    variant_places,
)
from jobmanager.services import Services
from jobmanager.steps import Step, steps_taken
from jobmanager.version import Version
from jobmanager.writes import MAX_EDGES

VERSION_PARAMETER = "/neurocaas/versions/{}"
"""Names the version an analysis serves by default: its stack writes it (contract section 1)."""
_NAMES_A_CALL = 10
"""ssm:GetParameters takes no more."""


@dataclass(frozen=True)
class Shape:
    """Points (none: one attempt a dataset, the config as it is) and the steps taken, with notes for the user."""

    points: tuple[Point, ...] = ()
    steps: tuple[Step, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def places(self, labels: Sequence[str]) -> tuple[Place, ...]:
        """A place for each attempt, dataset by dataset and within each point by point."""
        if self.points:
            return variant_places(labels, self.points)
        if self.steps and len(labels) > 1:
            return folder_places(labels)
        return tuple(Place(label) for label in labels)

    def count(self, datasets: int) -> int:
        """The attempts of so many datasets."""
        return datasets * max(1, len(self.points))

    def why_too_many(self, datasets: int) -> tuple[str, ...]:
        """That so many datasets make too many attempts, or nothing."""
        count = self.count(datasets)
        if count <= MAX_POINTS:
            return ()
        return (f"{datasets} datasets times {len(self.points)} points are {count}; at most {MAX_POINTS} make one job",)


def find_shape(
    config: Mapping[str, Any], asked: Scatter | None, version: Version, *, services: Services, group: str
) -> Shape:
    """The shape of a job with this config, `asked` being the submission's own scatter. Raises AwsError, VersionError.

    The submission's scatter takes the place of the version's.
    """
    scatter = asked or version.steps.scatter
    notes: list[str] = []
    try:
        points = points_of(scatter, config) if scatter else ()
    except ScatterError as error:
        return Shape(problems=(str(error), *check_parameters(config, version.parameters_schema)))
    if scatter and not points:
        notes.append(f"the config has no '{scatter.copies}', so each dataset is analysed once")
    problems = list(check_points(points, config, version.parameters_schema))
    taken = steps_taken(version.steps, config, is_scattered=bool(points))
    problems += taken.problems
    if len(taken.steps) > MAX_EDGES:
        problems.append(f"this analysis has {len(taken.steps)} next steps; at most {MAX_EDGES} can follow a job")
    if taken.steps and not taken.problems:
        problems += _next_problems(taken.steps, services, group)
    return Shape(points, taken.steps, tuple(problems), tuple(notes))


def _next_problems(steps: Sequence[Step], services: Services, group: str) -> list[str]:
    """Why the next analyses would refuse what this job is to hand over."""
    served = _served(services, [step.bucket for step in steps])
    problems: list[str] = []
    for step in steps:
        version_id = served.get(step.bucket)
        version = services.versions.get(step.bucket, version_id) if version_id else None
        if version is None:
            problems.append(f"the next step needs analysis '{step.analysis}', which is not deployed; tell an operator")
        elif group not in version.groups:
            problems.append(
                f"the next step needs analysis '{step.analysis}', which group '{group}' may not use; ask an operator"
            )
        else:
            _, limits = check_limits(
                step.config, max_minutes=version.max_duration_minutes, max_gib=version.max_dataset_size_gb
            )
            found = (*check_parameters(step.config, version.parameters_schema), *limits)
            problems += [f"next step '{step.analysis}': {problem}" for problem in found]
    return problems


def _served(services: Services, analyses: Sequence[str]) -> dict[str, str]:
    """The versions these analyses serve by default, of those that are deployed."""
    names = {VERSION_PARAMETER.format(name): name for name in analyses}
    wanted = list(names)
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _NAMES_A_CALL):
        found |= services.gateway.parameters(wanted[start : start + _NAMES_A_CALL])
    return {names[name]: value for name, value in found.items()}
