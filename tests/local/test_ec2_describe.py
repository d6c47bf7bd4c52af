"""Finding instances: filters, pages, and nothing for a filter that does not exist."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ncap_iac.local.runner.firmware import remove_tree
from tests.local.ec2_support import Cloud
from tests.local.machines_support import make_image


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    image = make_image(tmp_path_factory.mktemp("images"))
    made = Cloud(tmp_path_factory.mktemp("cloud"), image, slots=1)
    yield made
    made.service.stop()
    remove_tree(image)


@pytest.fixture(scope="module")
def launched(cloud: Cloud) -> list[str]:
    """Three of one job, two of another with another type, token and profile."""

    def tags(job: str) -> list[dict[str, object]]:
        return [{"ResourceType": "instance", "Tags": [{"Key": "job", "Value": job}, {"Key": job, "Value": ""}]}]

    first = cloud.run(MaxCount=3, TagSpecifications=tags("job__a"), ClientToken="ta")
    cloud.clock.now += 60
    second = cloud.run(
        MaxCount=2,
        TagSpecifications=tags("job*b"),
        InstanceType="c7i.large",
        ClientToken="tb",
        IamInstanceProfile={"Name": "neurocaas-instance-demo"},
    )
    cloud.wait(first[0], "running")
    return [*first, *second]


@pytest.mark.parametrize(
    ("name", "values", "positions"),
    [
        ("tag:job", ["job__a"], [0, 1, 2]),
        ("tag:job", ["job__*"], [0, 1, 2]),
        ("tag:job", ["job\\*b"], [3, 4]),
        ("tag:job", ["job?b"], [3, 4]),
        ("tag:job", ["JOB__A"], []),
        ("tag:job", ["job__a", "job\\*b"], [0, 1, 2, 3, 4]),
        ("tag:none", ["x"], []),
        ("tag-key", ["job__a"], [0, 1, 2]),
        ("instance-state-name", ["running"], [0]),
        ("instance-state-name", ["pending", "running"], [0, 1, 2, 3, 4]),
        ("instance-state-code", ["16"], [0]),
        ("instance-type", ["c7i.*"], [3, 4]),
        ("client-token", ["tb"], [3, 4]),
        ("iam-instance-profile.arn", ["*:instance-profile/neurocaas/instances/neurocaas-instance-demo"], [3, 4]),
        ("launch-time", ["2025-10-09T08:53:*"], [0, 1, 2]),
        ("image-id", ["ami-nothing"], []),
    ],
)
def test_a_filter_finds_what_it_names(
    cloud: Cloud, launched: list[str], name: str, values: list[str], positions: list[int]
) -> None:
    answer = cloud.call("DescribeInstances", Filters=[{"Name": name, "Values": values}])
    ids = [i["InstanceId"] for reservation in answer["Reservations"] for i in reservation["Instances"]]
    assert ids == [launched[position] for position in positions]


def test_several_filters_must_all_hold(cloud: Cloud, launched: list[str]) -> None:
    filters = [
        {"Name": "client-token", "Values": ["ta", "tb"]},
        {"Name": "instance-id", "Values": launched[2:4]},
        {"Name": "instance-type", "Values": ["m7i.large"]},
    ]
    answer = cloud.call("DescribeInstances", Filters=filters)
    assert [i["InstanceId"] for r in answer["Reservations"] for i in r["Instances"]] == [launched[2]]


def test_an_unknown_filter_is_an_error_never_everything(cloud: Cloud, launched: list[str]) -> None:
    error = cloud.refused("DescribeInstances", Filters=[{"Name": "colour", "Values": ["red"]}])
    assert error.code == "InvalidParameterValue"
    assert "'colour'" in error.message


def test_instances_of_a_launch_stand_together(cloud: Cloud, launched: list[str]) -> None:
    answer = cloud.call("DescribeInstances")
    assert [len(reservation["Instances"]) for reservation in answer["Reservations"]] == [3, 2]


def test_pages_together_are_everything_once(cloud: Cloud, launched: list[str]) -> None:
    many = cloud.run(MaxCount=8)
    seen: list[str] = []
    token: dict[str, str] = {}
    for _ in range(10):
        answer = cloud.call("DescribeInstances", MaxResults=5, **token)
        page = [i["InstanceId"] for r in answer["Reservations"] for i in r["Instances"]]
        assert len(page) <= 5
        seen += page
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert seen == [*launched, *many]


def test_bad_pages_are_refused(cloud: Cloud, launched: list[str]) -> None:
    assert cloud.refused("DescribeInstances", MaxResults=4).code == "InvalidParameterValue"
    assert cloud.refused("DescribeInstances", NextToken="made up").code == "InvalidNextToken"
    error = cloud.refused("DescribeInstances", InstanceIds=launched[:1], MaxResults=5)
    assert error.code == "InvalidParameterCombination"
