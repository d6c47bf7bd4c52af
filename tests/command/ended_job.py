"""An ended job as the platform leaves it: certificate, STATUS objects, the config's copy, `end.txt`; and its inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tests.command.bucket import GROUP, JOB, Bucket

CONFIG = f"{GROUP}/configs/c.json"
VERSION = "v-0123456789abcdef"


def end_job(
    bucket: Bucket,
    ends: Mapping[str, str | None],
    *,
    job: str = JOB,
    silent: Collection[str] = (),
    rows: bool = True,
    last: str = "line 2",
    remedy: str = "",
    types: str = "m7i.large",
    version: str = VERSION,
    config: str = CONFIG,
    began: str = "2999-01-01 00:00:00",
) -> None:
    """Datasets by key, with the failure class or None for success. `silent` ones left no STATUS."""
    labels: dict[str, str] = {}
    for key in ends:
        name = key.rpartition("/")[2]
        labels[key] = name if name not in labels.values() else name.replace(".", "-2.")
        bucket.put(key, "1,2")
    for key, failure in ends.items():
        if key not in silent:
            status = "FAILED" if failure else "SUCCESS"
            bucket.dataset(labels[key], status, job=job, input=key, failure=failure)
    bucket.put(config, '{"gain": 1}')
    if rows:
        bucket.job(f"process_results/{config.rpartition('/')[2]}", '{"gain": 1}', job)
        bucket.job("process_results/update.txt", "", job)
    bucket.job("logs/certificate.txt", certificate(ends, last if rows else None, types, version, began), job)
    told = [
        f"{key}: {failure}: It ended so. Remedy: {remedy or f'do this about {failure}.'}"
        if failure
        else f"{key}: succeeded."
        for key, failure in ends.items()
    ]
    outcome = "PARTIAL" if None in ends.values() else "FAILED"
    outcome = outcome if any(ends.values()) else "SUCCEEDED"
    bucket.end("\n".join([outcome, "", *told, "Cost of the job: 0.01 USD.", "Look."]) + "\n", job)


def certificate(ends: Mapping[str, str | None], last: str | None, types: str, version: str, began: str) -> str:
    """With rows if `last`, what each printed last, is given."""
    table = [
        f"DATANAME: {key} | STATUS: {'FAILED' if failure else 'SUCCESS'} | TIME: 2025_11_22_10_14_05 (finished) | "
        f"LAST COMMAND: {last} | CPU_USAGE: 97.5 %"
        for key, failure in ends.items()
    ]
    head = ["DATA ANALYSIS MONITORING: job", "=" * 16, *table, "=" * 16, "hint", "hint", "", "+" * 64, ""]
    log = [
        f"REQUEST START TIME: {began} GMT",
        f"ANALYSIS VERSION ID: {version} (git commit abc)",
        "JOB ID: 2025-11-22T10-13-05Z",
        f"[Job Manager] ENVIRONMENT: iae:kalman-lds@sha256:{'0' * 64}, {types}",
    ]
    return "\n".join([*(head if last else []), *(f"{line}\t[+0:00:00.12]" for line in log)]) + "\n"
