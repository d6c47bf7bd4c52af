"""The checks of where data is and where results go: what exists, what the group may read, what it may write.

The own folder of the own bucket is looked up with the job manager's rights, everything else with those of the group's
role. Reads AWS; writes nothing but the empty object that tries whether results can be written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from jobmanager.addresses import Address, foreign_group, parse_address
from jobmanager.aws import Gateway
from jobmanager.config import MAX_CONFIG_BYTES
from jobmanager.datasets import (
    DENIED,
    NO_BUCKET,
    Dataset,
    Found,
    LookTooLongError,
    Patience,
    PatientFinder,
    Wanted,
    find_datasets,
    is_beside_results,
    shared_folder,
    whole_folder,
)
from jobmanager.errors import AwsError, MissingError
from jobmanager.grouproles import NoRoleError
from jobmanager.job import WRITE_TEST, JobPaths
from jobmanager.observed import ObjectBody
from jobmanager.services import Services
from jobmanager.submission import MAX_DATASETS, Submission
from jobmanager.widefield import FILE, PROTOCOL

MAX_FILES = 10_000
"""Files of a whole folder."""
MAX_ALL_FILES = 100_000
"""Files of all whole folders of a job."""
_SHOWN = 10
_OWN = ("inputs", "configs")
"""Folders of a group the job manager itself may read."""


class DataCheck:
    """The data and the place of results of one submission; gathers reasons why not."""

    def __init__(self, submission: Submission, bucket: str, group: str, services: Services) -> None:
        self._submission, self._bucket, self._group, self._services = submission, bucket, group, services
        self.reasons: list[str] = []
        self._patience = Patience()

    def datasets(self, others: Collection[str]) -> tuple[Dataset, ...]:
        """The datasets in the order asked for, each once. `others`: groups whose folders no address may name."""
        asked = [parse_address(text) for text in self._submission.datasets]
        asked = self._without_foreign(asked, others)
        found: dict[str, tuple[Dataset, ...]] = {}
        try:
            for (bucket, is_own), addresses in _by_place(asked, self._group).items():
                found |= self._found_in(bucket, addresses, is_own=is_own)
        except LookTooLongError as error:
            self.reasons.append(str(error))
            return ()
        once = {it.text: it for address in asked for it in found.get(address.text, ())}
        datasets = tuple(once.values())
        if sum(len(it.parts) for it in datasets) > MAX_ALL_FILES:
            self.reasons.append(f"the folders hold more than {MAX_ALL_FILES} files; split the job")
        return self._joined(datasets) if self._submission.together else datasets

    def _joined(self, datasets: tuple[Dataset, ...]) -> tuple[Dataset, ...]:
        """All folders as one dataset, the folder all of them are in."""
        if any(not it.parts for it in datasets) or len({it.bucket for it in datasets}) > 1:
            self.reasons.append('with "folders": "one" only folders of one bucket can be named in \'dataname\'')
            return ()
        parts = tuple({part.key: part for it in datasets for part in it.parts}.values())
        if len(parts) > MAX_FILES:
            self.reasons.append(f"the folders hold more than {MAX_FILES} files; at most so many make one dataset")
        shared = shared_folder([it.key for it in datasets]) if datasets else ""
        if datasets and not shared:
            self.reasons.append('with "folders": "one" the folders in \'dataname\' must lie in one folder')
        return (whole_folder(shared, parts, datasets[0].bucket),) if shared else ()

    def config(self, others: Collection[str]) -> tuple[Address, ObjectBody] | None:
        """The config as an object, or None."""
        if self._submission.config is None:
            return None
        address = parse_address(self._submission.config)
        if not self._without_foreign([address], others):
            return None
        text = address.text
        try:
            gateway = self._eyes(is_own=_is_own(address, self._group))
            return address, gateway.get_object(address.bucket or self._bucket, address.key, limit=MAX_CONFIG_BYTES)
        except MissingError:
            self.reasons.append(f"config '{text}' does not exist; check the key, capital letters count")
        except NoRoleError as error:
            self.reasons.append(f"config '{text}': {error}")
        except AwsError as error:
            self.reasons.append(self._refusal("config", address, error))
        return None

    def result_place(self, others: Collection[str], job: str) -> None:
        """Try whether results can be written where the submission wants them: an empty object in the job's folder."""
        text = self._submission.result_address
        if text is None or self._submission.protocol:
            return
        address = parse_address(text)
        if foreign_group(address, others):
            self.reasons.append(f"'resultpath' '{text}' belongs to another group")
            return
        key = "/".join(part for part in (address.key, job, WRITE_TEST) if part)
        try:
            self._eyes(is_own=False).put_object(address.bucket or self._bucket, key, b"", "text/plain")
        except NoRoleError as error:
            self.reasons.append(f"'resultpath' '{text}': {error}")
        except AwsError as error:
            if error.code not in DENIED | NO_BUCKET:
                raise
            entry = _storage_entry(address, "write")
            self.reasons.append(
                f"'resultpath' '{text}' may not be written to by group '{self._group}' (S3 says {error.code}); "
                f"its profile must list {entry} in Storage: ask an operator"
            )

    def _eyes(self, *, is_own: bool) -> Gateway:
        services = self._services
        return services.gateway if is_own else services.roles.gateway(self._group)

    def _without_foreign(self, asked: Sequence[Address], others: Collection[str]) -> list[Address]:
        foreign = [it for it in asked if foreign_group(it, others)]
        self._list("'{}' belongs to another group; you may use what your own group may read", foreign)
        left_out = set(foreign)
        return [it for it in asked if it not in left_out]

    def _found_in(
        self, bucket: str | None, asked: Sequence[Address], *, is_own: bool
    ) -> dict[str, tuple[Dataset, ...]]:
        keys = tuple(it.key for it in asked)
        wanted = Wanted(
            keys,
            MAX_FILES if self._submission.whole else MAX_DATASETS,
            whole=self._submission.whole,
            patterns=self._submission.files,
            is_data=self._data_test(asked),
        )
        try:
            finder = PatientFinder(self._eyes(is_own=is_own), self._patience)
            found = find_datasets(finder, bucket or self._bucket, keys, limit=wanted.limit, wanted=wanted)
        except NoRoleError as error:
            self.reasons.append(f"dataset '{asked[0].text}': {error}")
            return {}
        except AwsError as error:
            self.reasons.append(self._refusal("dataset", asked[0], error))
            return {}
        self._tell(found, bucket)
        return {
            Address(key, bucket).text: (
                (whole_folder(key, facts, bucket),)
                if self._submission.whole and key.endswith("/")
                else tuple(Dataset(it.key, it.etag, it.size, bucket) for it in facts)
            )
            for key, facts in found.by_key.items()
        }

    def _tell(self, found: Found, bucket: str | None) -> None:
        def listed(keys: Sequence[str]) -> list[Address]:
            return [Address(key, bucket) for key in keys]

        self._list("dataset '{}' does not exist; check the key, capital letters count", listed(found.missing))
        matching = " that matches 'files'" if self._submission.files else ""
        self._list(f"folder '{{}}' holds no dataset{matching}", listed(found.empty))
        self._list(
            f"folder '{{}}' holds more than {MAX_FILES} files; at most so many make one dataset", listed(found.crowded)
        )
        for address in listed(found.denied[:_SHOWN]):
            self.reasons.append(self._denial("dataset", address))
        if len(found.denied) > _SHOWN:
            self.reasons.append(f"… and the same for {len(found.denied) - _SHOWN} more")

    def _list(self, sentence: str, addresses: Sequence[Address]) -> None:
        self.reasons += [sentence.format(it.text) for it in addresses[:_SHOWN]]
        if len(addresses) > _SHOWN:
            self.reasons.append(f"… and the same for {len(addresses) - _SHOWN} more")

    def _refusal(self, what: str, address: Address, error: AwsError) -> str:
        """What S3 said no to, in words. Raises the error when it may pass."""
        if error.code in DENIED:
            return self._denial(what, address)
        if error.code in NO_BUCKET:
            return f"{what} '{address.text}': there is no such bucket (S3 says {error.code}); check its name"
        raise error

    def _denial(self, what: str, address: Address) -> str:
        if address.bucket is None:
            return (
                f"{what} '{address.text}' may not be read by group '{self._group}', or does not exist; ask an operator"
            )
        return (
            f"{what} '{address.text}' may not be read by group '{self._group}', or does not exist; its profile must "
            f"list {_storage_entry(address, 'read')} in Storage: ask an operator"
        )

    def _data_test(self, asked: Sequence[Address]) -> Callable[[str], bool]:
        """Which keys below folders count as data: not what the platform put beside an earlier job's results."""
        jobs = {_job_folder(it.key): it for it in asked if it.is_folder}
        first = self._submission.origin  # its results may be anywhere, so that their address does not name it
        always = self._copies_of(JobPaths(first.bucket, self._group, first.job)) if first else ()
        copies = {folder: (*always, *self._config_copies(it)) for folder, it in jobs.items()}
        is_widefield = self._submission.protocol == PROTOCOL

        def is_data(key: str) -> bool:
            if is_widefield and key.endswith(f"/{FILE}"):
                return False
            return not is_beside_results(key, copies.get(_job_folder(key), always))

        return is_data

    def _config_copies(self, address: Address) -> tuple[str, ...]:
        """The copy of its config in the results of an earlier job of this group, as the ledger knows it."""
        parts = address.key.split("/")
        if parts[:2] != [self._group, "results"] or len(parts) < 4:
            return ()
        return self._copies_of(JobPaths(address.bucket or self._bucket, self._group, parts[2]))

    def _copies_of(self, paths: JobPaths) -> tuple[str, ...]:
        self._patience.spend()
        row = self._services.ledger.job_row(paths)
        return (row.config_key.rpartition("/")[2],) if row and row.config_key else ()


def _job_folder(key: str) -> str:
    """The folder of the job a key lies in, if it is a result."""
    return "/".join(key.split("/", 3)[:3])


def _is_own(address: Address, group: str) -> bool:
    return address.bucket is None and address.key.split("/")[:1] == [group] and address.key.split("/")[1] in _OWN


def _by_place(asked: Sequence[Address], group: str) -> dict[tuple[str | None, bool], list[Address]]:
    """Addresses by bucket, and whether the job manager's own rights serve."""
    places: dict[tuple[str | None, bool], list[Address]] = {}
    for address in asked:
        places.setdefault((address.bucket, _is_own(address, group)), []).append(address)
    return places


def _storage_entry(address: Address, access: str) -> str:
    prefix = address.key.rpartition("/")[0] if access == "read" else address.key
    folder = f', "Prefix": "{prefix}/"' if prefix else ""
    return f'{{"Bucket": "{address.bucket}"{folder}, "Access": "{access}"}}'
