"""docs/failures.md says what is so: its tests exist, its classes and times are those of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from jobmanager import launch, launching, manager, stopping, sweeping, writes
from jobmanager.fairness import CLAIM_MINUTES
from jobmanager.states import FailureClass, is_retried

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "failures.md").read_text("utf-8")
FAULTS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
CLASSES = re.findall(r"^\| `([a-z-]+)` \| .+? \| (no|once) \| .+? \|$", PAGE, re.MULTILINE)


def test_every_fault_of_the_list_is_there_once() -> None:
    assert [int(number) for number, *_ in FAULTS] == list(range(1, max(61, len(FAULTS) + 1)))


@pytest.mark.parametrize("reference", sorted({place for *_, place in FAULTS if place != "none"}))
def test_the_test_named_for_a_fault_exists(reference: str) -> None:
    file, _, name = reference.strip("`").partition("::")
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_classes_and_their_retries_are_those_of_the_code() -> None:
    told = {name: again == "once" for name, again in CLASSES}
    assert told == {failure.value: is_retried(failure, 1) for failure in FailureClass}
    assert not any(is_retried(failure, 2) for failure in FailureClass)


def test_the_times_and_numbers_are_those_of_the_code() -> None:
    dead_man = launch.DEAD_MAN_MINUTES
    for words in (
        f"limit + {dead_man} minutes | it ends itself",
        f"limit + {dead_man + launch.GRACE_MINUTES} minutes | the sweep ends it",
        f"EC2 does not show | {sweeping.YOUNG_S // 60} minutes",
        f"no job accounts for | {sweeping.ORPHAN_S // 60} minutes",
        f"of a job being stopped | {stopping.LAUNCH_LOST_S // 60} minutes",
        f"stands still | {writes.QUEUE_HOURS} hours",
        f"three failed deliveries) | {manager.PENDING_MINUTES} minutes",
        f"asked again every {launching.WAITS_MINUTES['capacity']} minutes",
        f"asked again every {launching.WAITS_MINUTES['quota']} minutes",
        f"repeated after {launching.WAITS_MINUTES['throttled']} minute",
        f"waiting for {CLAIM_MINUTES} minutes",
        f"{launching.LAUNCHES_A_TURN} launches of {launch.MAX_INSTANCES} instances a turn",
        f"more than {launching.EAGER_DATASETS} datasets",
    ):
        assert words in PAGE, words
