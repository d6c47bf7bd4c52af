"""Deploying versions one after the other and going back, against CloudFormation in memory; the verbs as typed."""

from __future__ import annotations

import argparse
import io
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from ncap_iac.answer import Answer, Output
from ncap_iac.aws import Gateway
from ncap_iac.cli import build_parser
from ncap_iac.cli.context import Context, World
from ncap_iac.console import Console, Manner
from ncap_iac.deploy.rollback import Found, find_image, plan_rollback, served_version
from ncap_iac.deploy.state import Deployed, Phase, read_stack
from ncap_iac.deploy.versions import KeptVersion, read_versions
from ncap_iac.errors import NcapError, NotFoundError, UsageError
from ncap_iac.target import Target
from tests.command.fake_site import Site
from tests.command.fake_stacks import FakeStack
from tests.command.test_versions import ARN, MOMENT, kept

NAME = "kalman-lds"
WHERE = ("--aws", "--region", "us-east-1")


class Shop(Site):
    """A project of its own whose blueprint can be changed, and an AWS that knows every image."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, Target("AWS"))
        self.root = root
        self.blueprint = root / "ncap_blueprints" / NAME / "stack_config_template.json"
        self.gateway.known_images = ("ami-00000000000000001",)

    def change(self, **fields: Any) -> str:
        """Other fields of `LambdaConfig`, deployed; the version."""
        document = json.loads(self.blueprint.read_text())
        document["Lambda"]["LambdaConfig"].update(fields)
        self.blueprint.write_text(json.dumps(document))
        return str(self.deploy())

    def versions(self) -> tuple[KeptVersion, ...]:
        return read_versions(self.gateway.objects, NAME)

    def run(self, *words: str, answer: str = "") -> Answer:
        """A verb, as typed; `answer` is what is typed when it asks."""
        arguments = build_parser(words).parse_args([*words, *WHERE, "--project", str(self.root)])
        self.said = Terminal()
        console = Console(io.StringIO(), self.said, manner=Manner(Output.TABLE, color=False), clock=lambda: 0.0)
        context = ShopContext(arguments, console, world(self.root, answer), cast(Gateway, self.gateway))
        done: Answer = arguments.run(context)
        return done


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ShopContext(Context):
    """A command's context whose AWS is the one in memory."""

    def __init__(self, arguments: argparse.Namespace, console: Console, world: World, gateway: Gateway) -> None:
        super().__init__(arguments, console, world)
        self.shop_gateway = gateway

    @property
    def gateway(self) -> Gateway:
        return self.shop_gateway


def world(folder: Path, answer: str) -> World:
    stdin = Terminal(answer)
    now = datetime(2026, 11, 22, tzinfo=UTC)
    return World({"TERM": "dumb"}, folder, folder, stdin, lambda: 0.0, lambda _: None, lambda: now)


@pytest.fixture
def shop(project_root: Path, tmp_path: Path) -> Shop:
    skip = shutil.ignore_patterns("__pycache__", "sample")
    for name in ("protocols", "user_profiles", f"ncap_blueprints/{NAME}"):
        shutil.copytree(project_root / name, tmp_path / name, ignore=skip)
    found = Shop(tmp_path)
    # This project has one analysis, so there is none a step of it could hand over to.
    document = json.loads(found.blueprint.read_text())
    document.pop("Steps", None)
    found.blueprint.write_text(json.dumps(document))
    return found


@pytest.fixture
def two(shop: Shop) -> tuple[Shop, str, str]:
    """Two versions deployed: on other machines, with another limit."""
    first = shop.change(INSTANCE_TYPE="m7i.large", ALLOWED_INSTANCE_TYPES=["m7i.large"], MAX_DURATION=60)
    second = shop.change(INSTANCE_TYPE="c7i.large", ALLOWED_INSTANCE_TYPES=["c7i.large"], MAX_DURATION=90)
    assert first != second
    return shop, first, second


# --- deploying ---


def test_deploying_serves_its_version_and_lets_the_kept_ones_run(two: tuple[Shop, str, str]) -> None:
    shop, first, second = two
    parameters = shop.parameters()
    assert parameters["VersionId"] == second
    assert parameters["InstanceTypes"] == "c7i.large,m7i.large"
    assert parameters["EarlierImages"] == ""
    assert {version.version_id for version in shop.versions()} == {first, second}


def test_the_image_tells_the_root_device(shop: Shop) -> None:
    shop.gateway.root_device = "/dev/sda1"
    shop.change(MAX_DURATION=30)
    assert shop.parameters()["RootDevice"] == "/dev/sda1"
    (version,) = shop.versions()
    assert version.document["rootDevice"] == "/dev/sda1"


def test_a_version_somebody_wrote_to_stops_the_deployment(two: tuple[Shop, str, str]) -> None:
    shop, _, second = two
    key = (NAME, f"versions/{second}.json")
    before = list(shop.gateway.stacks.calls)
    document = json.loads(shop.gateway.objects.objects[key])
    shop.gateway.objects.objects[key] = json.dumps({**document, "command": "curl evil"}).encode()
    with pytest.raises(NcapError, match="somebody wrote to it"):
        shop.deploy()
    shop.gateway.objects.objects[key] = b"no json"
    with pytest.raises(NcapError, match="no JSON object"):
        shop.deploy()
    assert shop.gateway.stacks.calls == before


# --- rolling back ---


def test_rolling_back_changes_the_version_and_nothing_else(two: tuple[Shop, str, str]) -> None:
    shop, first, second = two
    before = shop.parameters()
    objects = dict(shop.gateway.objects.objects)
    answer = shop.run("blueprint", "rollback", NAME, "--to", first[:8], "--yes")
    assert shop.parameters() == before | {"VersionId": first}
    arguments = shop.gateway.stacks.arguments[-1]
    assert arguments["UsePreviousTemplate"] is True
    assert not {"TemplateBody", "TemplateURL", "Tags"} & set(arguments)
    assert shop.gateway.objects.objects == objects
    assert answer.data["before"] == second
    assert answer.data["parameters"] == {"VersionId": first}
    assert answer.data["differences"] == ["instanceTypes", "allowedInstanceTypes", "maxDurationMinutes"]
    assert any("ncap job submit" in command for command in answer.next_commands)


def test_another_job_manager_is_no_difference_for_it_stays(two: tuple[Shop, str, str]) -> None:
    shop, _, second = two
    (shop.root / "protocols" / "jobmanager" / "more.py").write_text('"""More."""\n')
    third = again(shop).change(MAX_DURATION=90)
    assert third != second
    answer = again(shop).run("blueprint", "rollback", NAME, "--to", second, "--yes")
    assert answer.data["differences"] == []


def again(shop: Shop) -> Shop:
    """The same target, seen by a command that has read nothing of the project yet."""
    fresh = Shop(shop.root)
    fresh.gateway = shop.gateway
    fresh.deployment = replace(fresh.deployment, gateway=cast(Gateway, shop.gateway))
    return fresh


def test_the_next_deployment_serves_the_documents_version_again(two: tuple[Shop, str, str]) -> None:
    shop, first, second = two
    shop.run("blueprint", "rollback", NAME, "--to", first, "--yes")
    assert shop.deploy() == second
    assert shop.parameters()["VersionId"] == second


def test_the_plan_is_shown_before_anybody_is_asked(two: tuple[Shop, str, str]) -> None:
    shop, first, second = two
    before = shop.parameters()
    with pytest.raises(UsageError, match="you said no"):
        shop.run("blueprint", "rollback", NAME, "--to", first, answer="n\n")
    said = shop.said.getvalue()
    assert f"Served by default: {second} now, {first} then." in said
    assert "instance types: c7i.large -> m7i.large" in said
    assert "duration limit: 90 min -> 60 min" in said
    assert said.index("Not changed:") < said.index("[y/N]")
    assert shop.parameters() == before
    shop.run("blueprint", "rollback", NAME, "--to", first, answer="y\n")
    assert shop.parameters()["VersionId"] == first


def test_rolling_back_to_what_is_served_changes_nothing(two: tuple[Shop, str, str]) -> None:
    shop, _, second = two
    calls = list(shop.gateway.stacks.calls)
    answer = shop.run("blueprint", "rollback", NAME, "--to", second)
    assert answer.data["changed"] is False
    assert shop.gateway.stacks.calls == calls


def test_documents_with_problems_do_not_hinder_rolling_back(two: tuple[Shop, str, str]) -> None:
    shop, first, _ = two
    document = json.loads(shop.blueprint.read_text())
    del document["Lambda"]["LambdaConfig"]["AMI"]
    shop.blueprint.write_text(json.dumps(document))
    shop.run("blueprint", "rollback", NAME, "--to", first, "--yes")
    assert shop.parameters()["VersionId"] == first
    assert any("have problems" in note for note in shop.run("blueprint", "versions", NAME).notes)


def test_groups_that_version_is_not_for_are_warned_of(two: tuple[Shop, str, str]) -> None:
    shop, first, _ = two
    document = json.loads(shop.blueprint.read_text())
    document["UXData"]["Affiliates"].append({"AffiliateName": "lab2", "UserNames": ["bob"], "UserInput": True})
    shop.blueprint.write_text(json.dumps(document))
    shop.deploy()
    shop.run("blueprint", "rollback", NAME, "--to", first, "--yes")
    assert "that version is not for lab2: it is refused until the next deployment." in shop.said.getvalue()


def test_types_a_policy_does_not_hold_are_added_in_the_same_update(two: tuple[Shop, str, str]) -> None:
    shop, first, _ = two
    shop.gateway.stacks.stacks[NAME].parameters["InstanceTypes"] = "c7i.large"
    shop.run("blueprint", "rollback", NAME, "--to", first, "--yes")
    assert shop.parameters()["InstanceTypes"] == "c7i.large,m7i.large"
    assert shop.gateway.stacks.calls[-1] == f"update {NAME}"


def test_another_image_of_the_same_digest_takes_the_place_of_a_lost_one(two: tuple[Shop, str, str]) -> None:
    shop, first, _ = two
    shop.gateway.known_images = ("ami-00000000000000002",)
    shop.run("blueprint", "rollback", NAME, "--to", first, "--yes")
    found = next(version for version in shop.versions() if version.version_id == first)
    assert found.image_id == "ami-00000000000000002"
    assert not found.problem


def test_a_version_whose_image_is_gone_is_refused(two: tuple[Shop, str, str]) -> None:
    shop, first, _ = two
    shop.gateway.known_images = ()
    with pytest.raises(NotFoundError, match="not in this region") as caught:
        shop.run("blueprint", "rollback", NAME, "--to", first, "--yes")
    assert f"`ncap environment build {NAME}`" in caught.value.hint
    assert shop.parameters()["VersionId"] != first


@dataclass
class Images:
    """Images of a region by digest, and those that exist at all."""

    tagged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    there: tuple[str, ...] = ()

    def images(self, digest: str) -> tuple[str, ...]:
        return self.tagged.get(digest, ())

    def root_devices(self, images: Sequence[str]) -> dict[str, str]:
        return {image: "/dev/sda1" for image in images if image in self.there}


DIGEST = "sha256:" + "0" * 64


def found(version: KeptVersion, images: Images, make: Callable[[], str] | None = None, working: str = "") -> Found:
    return find_image(version, images, make=make, working_environment=working, name="lds")


def test_an_image_is_found_by_its_digest_not_by_its_id() -> None:
    version = kept()
    own, other = version.image_id, "ami-2"
    both = Images({DIGEST: (other, own)}, (other, own))
    assert found(version, both) == Found(own, "/dev/sda1")
    assert found(version, Images({DIGEST: (other,)}, (other, own))).image_id == other
    with pytest.raises(NotFoundError):
        found(version, Images({}, (own,)))


def test_a_local_cloud_makes_sure_of_the_image() -> None:
    def cannot() -> str:
        raise UsageError("another recipe is beside the blueprint")

    assert found(kept(), Images({}, ("ami-made",)), make=lambda: "ami-made").image_id == "ami-made"
    with pytest.raises(NotFoundError, match="not in this region"):
        found(kept(), Images({DIGEST: ("ami-1",)}, ("ami-1",)), make=cannot)


@pytest.mark.parametrize(
    ("environment", "working", "hint"),
    [
        ("ami-00000000000000001", "", "recycle bin"),
        ("iae:lds@" + DIGEST, "iae:lds@" + DIGEST, "The recipe is that of your documents"),
        ("iae:lds@" + DIGEST, "iae:lds@sha256:" + "1" * 64, f"in commit {'c' * 40}: check that out"),
    ],
)
def test_a_missing_image_says_what_to_do(environment: str, working: str, hint: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        found(kept(environment=environment), Images(), working=working)
    assert hint in caught.value.hint
    assert "`ncap blueprint versions lds`" in caught.value.hint


def test_what_is_not_deployed_or_cannot_choose_is_refused() -> None:
    version, image = kept(), Found("ami-00000000000000001", "/dev/xvda")
    with pytest.raises(NotFoundError, match="not deployed"):
        plan_rollback(version, [version], Deployed("lds", Phase.ABSENT), image, image_arn=ARN)
    plain = Deployed("lds", Phase.READY, template={"Parameters": {}})
    with pytest.raises(UsageError, match="before versions could be chosen"):
        plan_rollback(version, [version], plain, image, image_arn=ARN)
    assert served_version(plain) is None
    spoilt = KeptVersion(version.version_id, MOMENT, version.document, "somebody wrote to it")
    with pytest.raises(NcapError, match="somebody wrote to it"):
        plan_rollback(spoilt, [spoilt], plain, image, image_arn=ARN)


# --- looking ---


def test_the_list_tells_what_changed_what_is_served_and_what_the_documents_are(two: tuple[Shop, str, str]) -> None:
    shop, first, second = two
    shop.run("blueprint", "rollback", NAME, "--to", first, "--yes")
    answer = shop.run("blueprint", "versions", NAME)
    assert (answer.data["default"], answer.data["documents"]) == (first, second)
    rows = cast(Any, answer.blocks[0]).rows
    assert [row[0] for row in rows] == [second, first]
    assert rows[0][4:] == ("c7i.large", "instance types, allowed instance types, duration limit", "the documents")
    assert rows[1][4:] == ("m7i.large", "the first", "served by default")
    limited = shop.run("blueprint", "versions", NAME, "--limit", "1")
    assert limited.data["total"] == 2
    assert any("1 older" in note for note in limited.notes)
    assert cast(Any, limited.blocks[0]).rows[0] == rows[0]


def test_without_any_deployment_the_list_is_empty_and_says_so(shop: Shop) -> None:
    answer = shop.run("blueprint", "versions", NAME)
    assert answer.data["versions"] == []
    with pytest.raises(NotFoundError, match="no version of it is deployed") as caught:
        shop.run("blueprint", "show", NAME)
    assert caught.value.hint == f"Deploy it: `ncap blueprint deploy {NAME}`."


def test_a_stage_has_versions_of_its_own(two: tuple[Shop, str, str]) -> None:
    shop, _, _ = two
    answer = shop.run("blueprint", "versions", NAME, "--stage", "dev")
    assert (answer.data["analysis"], answer.data["versions"]) == (f"{NAME}-dev", [])
    document = json.loads(shop.blueprint.read_text())
    del document["Lambda"]["LambdaConfig"]["AMI"]
    shop.blueprint.write_text(json.dumps(document))
    assert shop.run("blueprint", "versions", NAME, "--stage", "dev").data["analysis"] == f"{NAME}-dev"


def test_one_version_is_shown_in_full(two: tuple[Shop, str, str]) -> None:
    shop, first, second = two
    assert cast(Any, shop.run("blueprint", "show", NAME).data["version"])["versionId"] == second
    answer = shop.run("blueprint", "show", NAME, first)
    rows = dict(cast(Any, answer.blocks[1]).rows)
    assert rows["instance types"] == "m7i.large"
    assert rows["image here"] == "ami-00000000000000001"
    assert "parameters:" in cast(Any, answer.blocks[2]).text
    assert answer.data["isDefault"] is False


def test_two_versions_are_compared_field_by_field(two: tuple[Shop, str, str]) -> None:
    shop, first, second = two
    answer = shop.run("blueprint", "show", NAME, first[:6], second)
    assert answer.data["versions"] == [first, second]
    rows = cast(Any, answer.blocks[0]).rows
    assert ("duration limit", "60 min", "90 min") in rows
    same = shop.run("blueprint", "show", NAME, "--against", "documents")
    assert same.data["differences"] == []


def test_a_typo_is_answered_with_the_nearest_version(two: tuple[Shop, str, str]) -> None:
    shop, first, _ = two
    wrong = first[:-1] + ("0" if first[-1] != "0" else "1")
    with pytest.raises(NotFoundError) as caught:
        shop.run("blueprint", "show", NAME, wrong)
    assert f"Did you mean {first}?" in caught.value.hint


def test_a_version_somebody_wrote_to_is_listed_as_such_and_not_shown(two: tuple[Shop, str, str]) -> None:
    shop, first, _ = two
    shop.gateway.objects.objects[NAME, f"versions/{first}.json"] = b"{}"
    rows = cast(Any, shop.run("blueprint", "versions", NAME).blocks[0]).rows
    assert "somebody wrote to it" in rows[1][5]
    with pytest.raises(NcapError, match="somebody wrote to it"):
        shop.run("blueprint", "show", NAME, first)


def test_a_stack_of_a_time_before_versions_serves_none_we_know(two: tuple[Shop, str, str]) -> None:
    shop, first, _ = two
    shop.gateway.stacks.stacks[NAME] = FakeStack("UPDATE_COMPLETE", template=json.dumps({"Resources": {}}))
    assert served_version(read_stack(shop.gateway.stacks, NAME)) is None
    with pytest.raises(UsageError, match="before versions could be chosen"):
        shop.run("blueprint", "rollback", NAME, "--to", first, "--yes")
