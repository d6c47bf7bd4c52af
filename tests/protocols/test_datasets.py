"""Looking datasets up takes few calls and finds exactly what is there."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from jobmanager.datasets import find_datasets
from jobmanager.observed import Listing, ObjectFacts


@dataclass
class FakeBucket:
    """S3 in a set; pages are short so that paging is seen."""

    keys: set[str]
    page: int = 3
    calls: list[str] = field(default_factory=list)

    def head_object(self, bucket: str, key: str) -> ObjectFacts | None:
        self.calls.append("head")
        return ObjectFacts(key, "e", 1) if key in self.keys else None

    def list_objects(self, bucket: str, prefix: str, *, start_after: str) -> Listing:
        self.calls.append("list")
        after = sorted(key for key in self.keys if key.startswith(prefix) and key.encode() > start_after.encode())
        return Listing(tuple(ObjectFacts(key, "e", 1) for key in after[: self.page]), len(after) <= self.page)


KEYS = st.text("ab/é", min_size=1, max_size=4).map(lambda text: f"g/inputs/{text}x")


@given(st.sets(KEYS, max_size=25), st.lists(KEYS, min_size=1, max_size=12, unique=True))
def test_found_is_what_exists_and_missing_what_does_not(stored: set[str], wanted: list[str]) -> None:
    bucket = FakeBucket(stored)
    found = find_datasets(bucket, "b", wanted, limit=100)
    assert [facts.key for facts in found.objects] == [key for key in wanted if key in stored]
    assert list(found.missing) == [key for key in wanted if key not in stored]
    assert len(bucket.calls) <= 2 * len(wanted)


def test_neighbours_are_found_by_one_listing_however_large_the_folder() -> None:
    stored = {f"g/inputs/{k:06d}.csv" for k in range(5000)}
    bucket = FakeBucket(stored, page=1000)
    wanted = [f"g/inputs/{k:06d}.csv" for k in range(4000, 4100)]
    assert len(find_datasets(bucket, "b", wanted, limit=100).objects) == 100
    assert bucket.calls == ["list"]


def test_a_folder_is_read_to_its_end_without_markers() -> None:
    bucket = FakeBucket(
        {"g/inputs/d/", "g/inputs/d/a", "g/inputs/d/b/", "g/inputs/d/b/c", "g/inputs/d/e", "g/inputs/dd"}
    )
    found = find_datasets(bucket, "b", ["g/inputs/d/", "g/inputs/none/"], limit=100)
    assert [facts.key for facts in found.objects] == ["g/inputs/d/a", "g/inputs/d/b/c", "g/inputs/d/e"]
    assert found.empty == ("g/inputs/none/",)
