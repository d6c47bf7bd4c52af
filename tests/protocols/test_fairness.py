"""DEPLOY_LIMIT shared out among groups: nobody waits for ever behind somebody else's thousand datasets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobmanager.fairness import Flight, fair_room
from tests.fakes.platform import FakePlatform

NOW, SOON, PAST = "2026-11-22T10:00:00Z", "2026-11-22T10:03:00Z", "2026-11-22T09:59:00Z"
GROUPS = ("a", "b", "c", "d")


def test_alone_a_group_takes_whatever_is_free() -> None:
    assert fair_room(Flight(3, {"a": 3}), "a", wanted=50, limit=10, now=NOW) == 7


def test_what_is_free_goes_to_the_group_that_has_the_fewest() -> None:
    flight = Flight(9, {"big": 9}, {"small": (SOON, 2)})
    assert fair_room(flight, "big", wanted=1000, limit=10, now=NOW) == 0
    assert fair_room(flight, "small", wanted=2, limit=10, now=NOW) == 1


def test_a_claim_that_nobody_repeats_lapses() -> None:
    flight = Flight(9, {"big": 9}, {"small": (PAST, 2)})
    assert fair_room(flight, "big", wanted=1000, limit=10, now=NOW) == 1


def test_a_limit_below_what_flies_leaves_no_room() -> None:
    assert fair_room(Flight(9, {"a": 9}), "a", wanted=1, limit=5, now=NOW) == 0


@given(
    st.dictionaries(st.sampled_from(GROUPS), st.integers(0, 20)),
    st.dictionaries(st.sampled_from(GROUPS), st.integers(1, 20), min_size=1),
    st.integers(0, 60),
)
def test_shares_use_all_that_is_free_and_no_more(held: dict[str, int], wants: dict[str, int], limit: int) -> None:
    flight = Flight(sum(held.values()), held, {group: (SOON, want) for group, want in wants.items()})
    shares = {group: fair_room(flight, group, wanted=want, limit=limit, now=NOW) for group, want in wants.items()}
    free = max(0, limit - flight.in_flight)
    assert sum(shares.values()) == min(free, sum(wants.values()))
    assert all(shares[group] <= want for group, want in wants.items())
    ends = {group: held.get(group, 0) + share for group, share in shares.items()}
    for group, share in shares.items():
        for other, want in wants.items():
            if share and shares[other] < want:
                assert ends[group] <= ends[other] + 1


def test_a_thousand_datasets_of_one_group_do_not_keep_two_of_another_out(memory: FakePlatform) -> None:
    memory.deploy(deployLimit=4)
    memory.submit(dataname=memory.upload([f"{k:03d}.csv" for k in range(60)]))
    memory.put("lab2/configs/c.json", {"latents": 3})
    small = [memory.put(f"lab2/inputs/{name}") and f"lab2/inputs/{name}" for name in ("p.csv", "q.csv")]
    key = "lab2/submissions/submit.json"
    body = {"dataname": small, "configname": "lab2/configs/c.json", "timestamp": "s"}
    memory.deliver(memory.event_for(key, memory.put(key, body)))
    assert len(memory.instances) == memory.in_flight() == 4
    for finished in range(2):
        memory.end(memory.instances[finished], job="job__kalman-lds_1", label=f"{finished:03d}.csv")
        memory.resume_all()  # the big job asks first, and leaves the place to the other
        memory.sweep(minutes=1)
        memory.resume_all()
    groups = [str(row["group"]) for row in memory.rows("INSTANCE#")]
    assert groups.count("lab2") == 2
    assert memory.in_flight() == 4
    flight = memory.rows("FLIGHT#")[0]
    assert (flight["group:demo"], flight["group:lab2"]) == (2, 2)
    assert "waiting:lab2" not in flight


def test_the_usual_submission_pays_no_call_for_fairness(memory: FakePlatform) -> None:
    memory.upload()
    memory.submit()
    assert [operation for _, operation in memory.session.calls].count("transact_write_items") == 2
