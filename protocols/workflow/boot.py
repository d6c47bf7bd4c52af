"""``neurocaas-boot s3://<bucket>/<launch manifest>``: what the user data of every instance starts.

Learns who this instance is, takes its attempt from the launch manifest and performs it. The exit code is the
workflow's; 1 when there was nothing to perform. It must not end the instance: the user data does.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue

from workflow.attempt import AttemptRun, Machine
from workflow.environment import find_image
from workflow.manifest import ManifestError, parse_manifest
from workflow.metadata import Identity, MetadataError, MetadataService, metadata_endpoint
from workflow.parallel import in_background
from workflow.reporter import Clocks
from workflow.storage import StorageError, open_storage, split_url
from workflow.supervise import Inbox, listen_for_stop

USAGE = "usage: neurocaas-boot s3://<bucket>/<key of the launch manifest>"


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    try:
        (url,) = arguments
        split_url(url)
    except ValueError as error:
        say(f"{USAGE}\n{error}")
        return 2
    inbox: Inbox = SimpleQueue()
    listen_for_stop(inbox)
    return boot(url, environ=os.environ, inbox=inbox)


def boot(url: str, *, environ: Mapping[str, str], inbox: Inbox) -> int:
    """Perform this instance's attempt of the launch described at ``url``; returns the exit code."""
    clocks = Clocks(time.monotonic, lambda: datetime.now(UTC), time.sleep)
    started_s = clocks.monotonic()
    bucket, key = split_url(url)
    service = MetadataService(metadata_endpoint(environ), sleep=clocks.sleep)
    try:
        # The questions to the metadata service travel while the SDK is imported.
        answers: SimpleQueue[Identity | BaseException] = SimpleQueue()
        in_background(service.identity, answers.put)
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        storage = open_storage(bucket, region=region or _answer(answers).region)
        manifest = parse_manifest(storage.read(key))
        identity = _answer(answers) if region else service.identity()
        attempt = manifest.attempt_of(identity.launch_index)
    except (MetadataError, ManifestError, StorageError) as error:
        say(f"Nothing can be run: {error}")
        return 1
    say(f"{identity.instance_id}: attempt {attempt.number} at '{attempt.dataset.key}' of {manifest.job}.")
    machine = Machine(
        identity=identity,
        image=find_image(environ),
        home=Path(environ.get("HOME") or "/"),
        environ=environ,
        clocks=clocks,
        has_spot_notice=service.has_spot_notice,
        say=say,
        inbox=inbox,
        started_s=started_s,
    )
    outcome = AttemptRun(manifest, attempt, storage, machine).perform()
    say(f"Ended: {outcome.failure.value if outcome.failure else 'success'}. {outcome.message or ''}")
    return outcome.exit_code


def say(text: str) -> None:
    """One line to the instance's console."""
    print(f"{datetime.now(UTC):%H:%M:%S} neurocaas-boot: {text}", file=sys.stderr, flush=True)


def _answer(answers: SimpleQueue[Identity | BaseException]) -> Identity:
    answer = answers.get()
    if isinstance(answer, BaseException):
        raise answer
    return answer


if __name__ == "__main__":
    sys.exit(main())
