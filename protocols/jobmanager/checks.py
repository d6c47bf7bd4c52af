"""The checks before any money: version, group, datasets, config, parameters, instance type, limits.

Collects every reason it can find, so that a user corrects a submission once. Reads AWS, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jobmanager.config import ConfigError, Limits, check_limits, parse_config
from jobmanager.data_checks import DataCheck
from jobmanager.datasets import Dataset
from jobmanager.funds import Funds, FundsError, read_funds
from jobmanager.job import MAX_KEY_BYTES, JobPaths, dataset_labels, job_name
from jobmanager.nearest import did_you_mean
from jobmanager.observed import ObjectFacts
from jobmanager.parameters import DURATION
from jobmanager.pricing import UnknownPriceError
from jobmanager.services import Services
from jobmanager.shape import Shape, find_shape
from jobmanager.spot import choose_spot
from jobmanager.submission import MAX_DATASETS, Submission
from jobmanager.version import FOLDER, Version, is_version_id, version_ids

_SHOWN = 10
_LONGEST_SUFFIX = 12
_GB = 1000**3


@dataclass(frozen=True)
class Request:
    """A submission that may be carried out, if the budget covers it."""

    version: Version
    datasets: tuple[Dataset, ...]
    config: ObjectFacts
    types: tuple[str, ...]
    price_micro: int
    limits: Limits
    funds: Funds
    spot: bool = False
    shape: Shape = field(default_factory=Shape)
    depth: int = 1
    """Which job in a row of jobs it is."""
    config_bucket: str | None = None


@dataclass(frozen=True)
class Checked:
    """The request, or None and why not. `step` is the one that refused; notes are for the user either way."""

    request: Request | None
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    step: int
    version: Version | None


class _Check:
    """One submission being checked; gathers reasons and notes."""

    def __init__(self, submission: Submission, bucket: str, group: str, services: Services) -> None:
        self.submission, self.bucket, self.group, self.services = submission, bucket, group, services
        self.reasons = list(submission.problems)
        self.notes = list(submission.notes)
        self.has_duration = False
        self.shape = Shape()
        self.config_bucket: str | None = None
        self.data = DataCheck(submission, bucket, group, services)

    def version(self, default: Version) -> Version | None:
        """The version named, under the limits of the default one; else the default one. None when it may not be run."""
        named = self.submission.version
        if named is None or named == default.version_id:
            return default
        version = self.services.versions.get(self.bucket, named) if is_version_id(named) else None
        if version is None:
            self.reasons.append(self._unknown(named))
            return None
        if self.group not in version.groups:
            self.reasons.append(
                f"version '{named}' of this analysis is not for group '{self.group}'; leave 'version' out for the "
                "current one"
            )
            return None
        self.notes.append(f"version {named} as asked for; the current one is {default.version_id}")
        return version.governed_by(default)

    def _unknown(self, named: str) -> str:
        """That there is no such version, with the nearest one: listing is worth its call only here."""
        listed = self.services.gateway.list_objects(self.bucket, FOLDER, start_after="")
        known = version_ids(facts.key for facts in listed.objects)
        begins = next((name for name in known if name.startswith(named)), None)
        near = f"; did you mean '{begins}'?" if begins else did_you_mean(named, known)
        return (
            f"version '{named}' of this analysis does not exist{near}; leave 'version' out for the current one, "
            "take it from the certificate of an earlier job, or ask an operator for the list that "
            f"`ncap blueprint versions {self.bucket}` prints"
        )

    def datasets(self, version: Version) -> tuple[Dataset, ...]:
        """The datasets that were found."""
        keys = self.submission.datasets
        found = self.data.datasets(version.groups - {self.group})
        folders = [key for key in keys if key.endswith("/")]
        if folders and found and not self.submission.whole:
            self.notes.append(f"{len(folders)} folder(s) expanded; the job has {len(found)} datasets")
        if len(found) > MAX_DATASETS:
            self.reasons.append(f"the folders hold more than {MAX_DATASETS} datasets; at most so many make one job")
            return ()
        limit = version.max_dataset_size_gb
        self._list(
            f"dataset '{{}}' is larger than the {limit} GB this analysis accepts",
            [it.text for it in found if it.size > limit * _GB],
        )
        return found

    def attempts(self, datasets: Sequence[Dataset]) -> None:
        """Whether there are not too many attempts, and their names fit into keys; after the config was read."""
        self.reasons += self.shape.why_too_many(len(datasets))
        timestamp = self.submission.timestamp
        if timestamp is None or self.reasons:
            return
        paths = JobPaths(self.bucket, self.group, job_name(self.bucket, timestamp))
        labels = [it.label for it in self.shape.places(dataset_labels([facts.key for facts in datasets]))]
        long = [label for label in labels if len(paths.status(label).encode()) > MAX_KEY_BYTES - _LONGEST_SUFFIX]
        self._list("the name '{}' is too long for the key of its status; use a shorter name or timestamp", long)

    def _list(self, sentence: str, names: Sequence[str]) -> None:
        self.reasons += [sentence.format(name) for name in names[:_SHOWN]]
        if len(names) > _SHOWN:
            self.reasons.append(f"… and the same for {len(names) - _SHOWN} more")

    def config(self, version: Version) -> tuple[ObjectFacts | None, Limits]:
        """The config as an object, and the limits it asks for."""
        defaults = Limits(version.max_duration_minutes, 0)
        address_and_body = self.data.config(version.groups - {self.group})
        if address_and_body is None:
            return None, defaults
        address, found = address_and_body
        try:
            values = parse_config(address.key, found.body)
        except ConfigError as error:
            self.reasons.append(str(error))
            return None, defaults
        self.has_duration = values.get(DURATION) is not None
        self.shape = find_shape(values, self.submission.scatter, version, services=self.services, group=self.group)
        self.reasons += self.shape.problems
        self.notes += self.shape.notes
        limits, problems = check_limits(
            values, max_minutes=version.max_duration_minutes, max_gib=version.max_dataset_size_gb
        )
        self.reasons += problems
        self.config_bucket = address.bucket
        return found.facts, limits

    def result_place(self, version: Version) -> None:
        """Whether results can be written where they are to go; tried only when nothing else stands against the job."""
        timestamp = self.submission.timestamp
        if not self.reasons and timestamp is not None:
            self.data.result_place(version.groups - {self.group}, job_name(self.bucket, timestamp))
            self.collect()

    def collect(self) -> None:
        """Take over what the look at the data found."""
        self.reasons += self.data.reasons
        self.data.reasons.clear()

    def types(self, version: Version) -> tuple[tuple[str, ...], int]:
        """The instance types to try in turn, and the price of the dearest."""
        wanted = self.submission.instance_type
        allowed = tuple(dict.fromkeys((*version.instance_types, *version.allowed_instance_types)))
        if wanted and wanted not in allowed and self.submission.protocol:
            # That client cannot show a refusal, and its own default is a type EC2 has given up.
            self.notes.append(f"instance type '{wanted}' is not offered for this analysis; {allowed[0]} is used")
            wanted = None
        if wanted and wanted not in allowed:
            self.reasons.append(
                f"instance type '{wanted}' is not offered for this analysis; accepted is {' or '.join(allowed)}"
                + did_you_mean(wanted, allowed)
            )
            return (), 0
        types = (wanted,) if wanted else version.instance_types
        try:
            return types, max(self.services.prices.of(name) for name in types)
        except UnknownPriceError as error:
            self.reasons.append(str(error))
            return (), 0

    def spot(self, version: Version) -> bool:
        """Whether it is to run on spot instances; to be asked after the config was read."""
        spot, why_not = choose_spot(version.spot, self.submission.spot, has_duration=self.has_duration)
        self.reasons += [why_not] if why_not else []
        return spot

    def funds(self, version: Version) -> Funds:
        """The group's budgets."""
        gateway = self.services.gateway
        try:
            return read_funds(gateway, self.group, version.analysis, default_usd=version.max_cost_usd)
        except FundsError as error:
            self.reasons.append(str(error))
            return Funds()


def check_submission(
    submission: Submission, bucket: str, group: str, *, services: Services, default_version: str
) -> Checked:
    """A submission of a group, checked against its version. Raises AwsError, VersionError: ours, to be tried again."""
    check = _Check(submission, bucket, group, services)
    step = 1 if check.reasons else 2
    default = services.versions.need(bucket, default_version)
    if group not in default.groups:
        check.reasons.append(f"group '{group}' may not use this analysis; ask an operator to add it")
        return Checked(None, tuple(check.reasons), tuple(check.notes), step, default)
    version = check.version(default)
    if version is None:
        return Checked(None, tuple(check.reasons), tuple(check.notes), step, None)
    datasets = check.datasets(version)
    config, limits = check.config(version)
    check.attempts(datasets)
    types, price = check.types(version)
    spot = config is not None and check.spot(version)
    check.collect()
    check.result_place(version)
    funds = Funds() if check.reasons else check.funds(version)
    request = None
    if not check.reasons and config is not None:
        request = Request(
            version, datasets, config, types, price, limits, funds, spot, check.shape, config_bucket=check.config_bucket
        )
    return Checked(request, tuple(check.reasons), tuple(check.notes), step, version)
