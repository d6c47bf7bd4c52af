"""What random schedules and the crash matrix once found, told as short stories."""

from __future__ import annotations

import pytest

from jobmanager.errors import AwsError
from tests.chaos.books import check_all_over
from tests.chaos.world import World

JOB = "job__kalman-lds_t1"


@pytest.fixture
def world() -> World:
    made = World()
    made.upload(["x.csv"])
    return made


def test_a_cancel_that_failed_once_leaves_no_question_behind(world: World) -> None:
    world.platform.deliver(world.submission("t1"))
    cancel = world.submission("c-", cancel=JOB)
    world.strike(1, after=False, code="busy")
    with pytest.raises(AwsError, match="SlowDown"):
        world.platform.deliver(cancel)
    world.restart()
    world.platform.deliver(cancel)
    world.tell_all()
    world.platform.sweep(minutes=31)
    (marker,) = world.platform.end_markers()
    assert world.platform.text(marker).startswith("CANCELLED\n")
    check_all_over(world.platform)


def test_a_cancel_we_never_managed_to_read_is_answered(world: World) -> None:
    cancel = world.submission("c-", cancel=JOB)
    for _ in range(3):
        world.strike(1, after=False, code="busy")
        assert not world.attempt(lambda: world.platform.deliver(cancel))
    world.platform.sweep(minutes=31)
    (marker,) = world.platform.end_markers()
    assert "through no fault of yours" in world.platform.text(marker)


def test_a_second_delivery_that_fails_after_the_first_succeeded_leaves_no_question_behind(world: World) -> None:
    event = world.submission("t1")
    world.platform.deliver(event)
    world.strike(1, after=False, code="busy")
    assert not world.attempt(lambda: world.platform.deliver(event))
    world.finish(world.platform.instances[0])
    world.tell_all()
    world.platform.sweep(minutes=31)
    check_all_over(world.platform)
    assert [row for row in world.platform.rows("SUBMISSION#") if row["sk"] == "PENDING"] == []


def test_a_submission_that_is_gone_when_it_is_read_again_leaves_no_question_behind(world: World) -> None:
    event = world.submission("t1")
    world.strike(1, after=False, code="busy")
    assert not world.attempt(lambda: world.platform.deliver(event))
    event["Records"][0]["s3"]["object"]["versionId"] = "gone"
    world.platform.deliver(event)
    world.platform.sweep(minutes=1)
    assert world.platform.end_markers() == []


def test_an_instance_of_a_launch_that_is_closed_is_not_adopted(world: World) -> None:
    platform = world.platform
    platform.deliver(world.submission("t1"))
    tags = platform.session.launches[0] | {"ClientToken": "another", "InstanceType": "m6i.large"}
    stray = platform.session.client("ec2").run_instances(**tags)["Instances"][0]["InstanceId"]
    platform.change(stray, "running")
    assert platform.in_flight() == 1
    assert [row["instance"] for row in platform.rows("INSTANCE#")] == platform.instances[:1]
    platform.sweep(minutes=11)
    assert stray not in platform.living()
    platform.change(stray, "terminated")
    assert platform.in_flight() == 1


def test_an_instance_the_index_does_not_show_ends_at_its_deadline(world: World) -> None:
    world.ledger.fall_behind()
    world.platform.deliver(world.submission("t1"))
    world.platform.sweep(minutes=90)
    assert world.platform.living() == []
    world.ledger.catch_up()
    world.run_to_the_end()
    check_all_over(world.platform)
