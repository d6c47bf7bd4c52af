"""The laboratory every story is told in: one cloud, everything deployed through the command line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stories.laboratory import Laboratory, make_home, make_project


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A cloud with both analyses and both groups deployed."""
    folder = tmp_path_factory.mktemp("laboratory")
    found = Laboratory(project=make_project(folder / "project"), home=make_home(folder / "home"), cloud="story")
    try:
        found.ncap("local", "up", "--background", "--name", "story", "--port", "0")
        found.ncap("environment", "pin", "faulty")
        found.ncap("account", "deploy", "--yes")
        found.ncap("profile", "deploy", "demo", "--yes")
        found.ncap("blueprint", "deploy", "faulty", "--yes")
        found.ncap("blueprint", "deploy", "kalman-lds", "--yes")
        yield found
    finally:
        found.ncap("local", "down", "--name", "story", check=False)
