"""The trial of an AMI: instances of it run the analysis's own sample, as a job would, and its results are checked.

Samples, launch manifest and results are in the artifact bucket below `verifications/`; the instances' role reaches
nothing else. Whatever happens, the instances are terminated. It must not tag anything.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncap_compiler import names
from ncap_iac import progress
from ncap_iac.errors import NcapError, NotFoundError, UsageError, WaitTimeoutError

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway

SAMPLE = "sample.json"
CHECK = "check.py"
_GROUP = "verification"
_LONGEST_CHECK_S = 600
_MARGIN_MINUTES = 15
_SHOWN_LINES = 10


@dataclass(frozen=True)
class Sample:
    """An analysis's sample folder."""

    folder: Path
    datasets: tuple[str, ...]
    config: str


@dataclass(frozen=True)
class Machine:
    """What an instance of the trial is."""

    image_id: str
    root_device: str
    instance_type: str
    volume_gib: int
    profile: str
    """Name of its instance profile."""
    security_group: str
    subnet: str = ""


@dataclass(frozen=True)
class Patience:
    """How long to wait, and how."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    pause_s: float
    minutes: int


def read_sample(folder: Path) -> Sample:
    """The sample of the analysis in `folder`. Raises UsageError if there is none that can be checked."""
    place = folder / "sample"
    try:
        document = json.loads((place / SAMPLE).read_bytes())
        sample = Sample(place, tuple(map(str, document["datasets"])), str(document["config"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"there is no sample an AMI could be tried with: {error}",
            where=str(place / SAMPLE),
            hint='It is {"datasets": ["recording.csv"], "config": "config.json"}, with the files beside it.',
        ) from error
    missing = [name for name in (*sample.datasets, sample.config, CHECK) if not (place / name).is_file()]
    if missing or not sample.datasets:
        raise UsageError(
            f"the sample lacks {', '.join(missing) or 'datasets'}", where=str(place), hint="Add it to the folder."
        )
    return sample


@dataclass(frozen=True)
class Trial:
    """One trial of an environment's AMI."""

    gateway: Gateway
    bucket: str
    """The artifact bucket."""
    environment: str
    """`iae:<name>@sha256:…`."""
    name: str
    run: str
    """Makes this trial's keys its own."""
    sample: Sample
    python: Path
    """The interpreter of an image of the same recipe here, which runs the sample's check."""
    patience: Patience
    report: progress.Reporter

    @property
    def prefix(self) -> str:
        """Where its objects are."""
        return f"{names.verification_prefix(self.name)}{self.run}"

    def perform(self, machine: Machine) -> None:
        """Try it. Raises NcapError saying what went wrong."""
        manifest = self._bring()
        instances = self._launch(machine, manifest)
        try:
            self._follow(instances)
        finally:
            self._terminate(instances)
        self._check()

    def _bring(self) -> str:
        """Upload the sample; the key of the launch manifest."""
        objects = self.gateway.objects
        etags = {}
        for name in (*self.sample.datasets, self.sample.config):
            key = f"{self.prefix}/inputs/{name}"
            objects.upload(self.sample.folder / name, self.bucket, key, moved=lambda _: None)
            found = objects.find(self.bucket, key)
            etags[name] = {"key": key, "etag": "" if found is None else found.etag}
        document = {
            "schemaVersion": 1,
            "bucket": self.bucket,
            "group": _GROUP,
            "job": f"{_GROUP}_{self.run}",
            "resultPrefix": f"{self.prefix}/results",
            "versionId": "v-" + "0" * 16,
            "environment": self.environment,
            "command": None,
            "workingDirectory": None,
            "config": etags[self.sample.config],
            "durationMinutes": self.patience.minutes,
            "attempts": [
                {
                    "index": index,
                    "attempt": 1,
                    "dataset": etags[name]["key"],
                    "etag": etags[name]["etag"],
                    "label": name,
                }
                for index, name in enumerate(self.sample.datasets)
            ],
        }
        key = f"{self.prefix}/launch-1.json"
        objects.put(self.bucket, key, json.dumps(document, indent=1).encode(), content_type="application/json")
        return key

    def _launch(self, machine: Machine, manifest: str) -> tuple[str, ...]:
        client = self.gateway.session.client("ec2")
        count = len(self.sample.datasets)
        disk = {"VolumeSize": machine.volume_gib, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}
        tags = {"Name": f"neurocaas verification {self.name}", names.STACK_TAG: names.environment_stack(self.name)}
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        with self.gateway.session.translated(f"trial of {machine.image_id}"):
            answer = client.run_instances(
                ImageId=machine.image_id,
                InstanceType=machine.instance_type,
                MinCount=count,
                MaxCount=count,
                ClientToken=f"verification-{self.run}"[:64],
                UserData=user_data(f"s3://{self.bucket}/{manifest}", self.patience.minutes),
                IamInstanceProfile={"Name": machine.profile},
                SecurityGroupIds=[machine.security_group],
                MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"},
                BlockDeviceMappings=[{"DeviceName": machine.root_device, "Ebs": disk}],
                InstanceInitiatedShutdownBehavior="terminate",
                TagSpecifications=[{"ResourceType": kind, "Tags": listed} for kind in ("instance", "volume")],
                **({"SubnetId": machine.subnet} if machine.subnet else {}),
            )
        return tuple(str(item["InstanceId"]) for item in answer["Instances"])

    def _follow(self, instances: Sequence[str]) -> None:
        """Until every dataset has succeeded. Raises NcapError at the first that has not."""
        deadline = self.patience.clock() + 60.0 * (self.patience.minutes + _MARGIN_MINUTES)
        open_ones = set(self.sample.datasets)
        while open_ones:
            living = self._living(instances)
            for name in sorted(open_ones):
                if self._has_succeeded(name):
                    open_ones.discard(name)
            if open_ones and not living:
                raise self._failed(f"the instances ended without a result for {', '.join(sorted(open_ones))}", "")
            if open_ones and self.patience.clock() >= deadline:
                raise WaitTimeoutError(
                    f"the sample was not done after {self.patience.minutes} minutes",
                    where=f"environment {self.name}",
                    hint="Give it longer with --wait MINUTES.",
                )
            if open_ones:
                self.patience.sleep(self.patience.pause_s)

    def _has_succeeded(self, name: str) -> bool:
        key = f"{self.prefix}/results/logs/DATASET_NAME:{name}_STATUS.txt"
        try:
            status: Mapping[str, Any] = json.loads(self.gateway.objects.read(self.bucket, key).body)
        except NotFoundError:
            return False
        if status.get("status") == "FAILED":
            said = "".join(str(line) for line in list((status.get("std") or {}).values())[-_SHOWN_LINES:])
            raise self._failed(f"{name} failed: {status.get('message') or status.get('failure')}", said)
        return status.get("status") == "SUCCESS"

    def _living(self, instances: Sequence[str]) -> bool:
        client = self.gateway.session.client("ec2")
        with self.gateway.session.translated("instances of the trial"):
            answer = client.describe_instances(InstanceIds=list(instances))
        states = [item["State"]["Name"] for found in answer["Reservations"] for item in found["Instances"]]
        return any(state in ("pending", "running") for state in states)

    def _terminate(self, instances: Sequence[str]) -> None:
        client = self.gateway.session.client("ec2")
        with self.gateway.session.translated("instances of the trial"):
            client.terminate_instances(InstanceIds=list(instances))

    def _check(self) -> None:
        """Fetch the results and let the sample's own check judge them. Raises NcapError."""
        objects, prefix = self.gateway.objects, f"{self.prefix}/results/process_results/"
        with tempfile.TemporaryDirectory() as place:
            for item in objects.list(self.bucket, prefix).objects:
                path = Path(place, item.key.removeprefix(prefix))
                path.parent.mkdir(parents=True, exist_ok=True)
                objects.download(self.bucket, item.key, path, moved=lambda _: None)
            done = subprocess.run(
                [str(self.python), str(self.sample.folder / CHECK), place],
                capture_output=True,
                text=True,
                timeout=_LONGEST_CHECK_S,
                check=False,
            )
        if done.returncode:
            raise self._failed("the results are not what the sample expects", done.stdout + done.stderr)

    def _failed(self, why: str, said: str) -> NcapError:
        shown = "\n".join(said.strip().splitlines()[-_SHOWN_LINES:])
        return NcapError(
            why + (f"\n{shown}" if shown else ""),
            where=f"trial of environment {self.name}",
            hint="The AMI stays a candidate, which nothing uses. Mend the recipe, or build again to try it once more.",
        )


def user_data(manifest: str, minutes: int) -> str:
    """What an instance of a trial does: the same lines as one of a job (docs/contracts.md section 4)."""
    lines = (f"shutdown -h +{minutes + _MARGIN_MINUTES}", f"neurocaas-boot {shlex.quote(manifest)}", "shutdown -h now")
    return "\n".join(("#!/bin/sh", *lines, ""))
