"""The widefield pipeline with its real analyses: as one submission with a step, and as the desktop client does it.

The recording is the sample of `wfield-preprocess`: four areas with a signal each, which must come back at the end.
"""

from __future__ import annotations

import csv
import io
import json
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.stories.laboratory import ROOT, Laboratory

pytestmark = [pytest.mark.cloud, pytest.mark.heavy]

Array = np.ndarray[Any, Any]
FIRST, SECOND, OF_TODAY = "wfield-preprocess", "cshl-wfield-locanmf", "locanmf"
SAMPLE = ROOT / "ncap_blueprints" / FIRST / "sample"
AS_MEMBER = ("--as", "demo-member", "--output", "json")
AREAS = (1, 2, -1, -2)
"""The order of the true signals."""
PATIENCE_S = 240

# What that client is installed with.
FIRST_CONFIG = {
    "block_height": 180,
    "block_width": 160,
    "frame_rate": 60,
    "max_components": 5,
    "num_sims": 64,
    "num_channels": 2,
    "overlapping": True,
    "window_length": 1000,
}
SECOND_CONFIG = {
    "maxrank": 3,
    "loc_thresh": 80,
    "min_pixels": 100,
    "r2_thresh": 0.99,
    "maxiter_hals": 20,
    "maxiter_lambda": 300,
    "lambda_step": 1.35,
    "lambda_init": 1e-6,
}
SECOND_FILES = {
    "params_filename": "config.yaml",
    "areanames_filename": "labels.json",
    "atlas_filename": "atlas.npy",
    "brainmask_filename": "brainmask.npy",
    "temporal_data_filename": "SVTcorr.npy",
    "spatial_data_filename": "U_atlas.npy",
}
FIRST_DONE = ("reduced_spatial.npy", "reduced_temporal.npy")
SECOND_DONE = ("SummaryComponents.png", "LocaNMF_Components.mat")


@pytest.fixture(scope="module")
def pipeline(laboratory: Laboratory) -> Laboratory:
    """The laboratory with the three analyses deployed for the group."""
    profile = laboratory.project / "user_profiles" / "demo" / "user_config_template.json"
    document = json.loads(profile.read_text())
    document["UXData"]["Affiliates"][0]["Pipelines"] += [FIRST, SECOND, OF_TODAY]
    profile.write_text(json.dumps(document, indent=2))
    for analysis in (FIRST, OF_TODAY, SECOND):
        laboratory.ncap("environment", "pin", analysis)
    laboratory.ncap("profile", "deploy", "demo", "--yes")
    for analysis in (OF_TODAY, FIRST, SECOND):
        laboratory.ncap("blueprint", "deploy", analysis, "--yes", timeout_s=600)
    return laboratory


# --- one submission ---


def test_one_submission_gives_the_signals_of_the_areas(pipeline: Laboratory, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    further = {"__steps__": {OF_TODAY: {"maxrank": 1, "min_pixels": 40, "frame_rate": 20}}}
    config.write_text(json.dumps(json.loads((SAMPLE / "config.json").read_text()) | further))
    words = (FIRST, "--data", str(SAMPLE / "cortex.zip"), "--config", str(config))

    quote = pipeline.ncap("job", "quote", *words, *AS_MEMBER).data
    assert [(step["analysis"], step["datasets"]) for step in quote["steps"]] == [(OF_TODAY, 1)]

    ended = pipeline.ncap("job", "submit", *words, "--watch", "--timeout", str(PATIENCE_S), *AS_MEMBER).data
    assert ended["outcome"] == "SUCCEEDED", ended
    (step,) = ended["steps"]
    assert (step["type"], step["analysis"], step["outcome"]) == ("chain", OF_TODAY, "SUCCEEDED")

    out = tmp_path / "out"
    pipeline.ncap("job", "results", ended["job"], "-o", str(out), *AS_MEMBER)
    between = {path.name for path in (out / FIRST).rglob("*") if path.is_file()}
    assert between >= {"SVTcorr.npy", *FIRST_DONE, "motion_shifts.csv", "cortex_preprocessing.png"}
    assert min(regional_correlations(out / OF_TODAY).values()) > 0.8


# --- the desktop client ---


class Client:
    """What the widefield client does: uploads, lists every few seconds, takes all away when two names are there."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def put(self, objects: Mapping[str, bytes]) -> None:
        """Upload, in this order."""
        for key, body in objects.items():
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)

    def take(self, place: str, done: tuple[str, str], sent: tuple[str, ...]) -> tuple[list[str], dict[str, bytes]]:
        """Wait, fetch all results, delete them and what was sent; what was seen first, and results by name.

        A name counts as there when some object's name contains it. The client is done the moment it sees both.
        """
        first: list[str] = []
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = list(self._below(place))
            first = first or found
            if all(any(name in key for key in found) for name in done):
                taken = {key.removeprefix(place): self._get(key) for key in found}
                for key in (key for prefix in (place, *sent) for key in list(self._below(prefix))):
                    self._s3.delete_object(Bucket=self._bucket, Key=key)
                return first, taken
            time.sleep(0.2)
        raise AssertionError(f"{done} did not come below {place}: {found}")

    def _below(self, prefix: str) -> Iterator[str]:
        listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
        yield from (item["Key"] for item in listed.get("Contents", []))

    def _get(self, key: str) -> bytes:
        body: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return body


def test_the_desktop_client_goes_its_two_steps(pipeline: Laboratory, tmp_path: Path) -> None:
    s3 = pipeline.client("s3", pipeline.member_key("demo-member"))
    # Its user sets these for a field as small as this one; everything else is as installed.
    own = {"frame_rate": 40, "block_height": 20, "block_width": 20}
    results = first_step(Client(s3, FIRST), "mouse7", FIRST_CONFIG | own)
    spatial = array(results["reduced_spatial.npy"])
    assert spatial.shape[:2] == (40, 40)
    assert array(results["SVTcorr.npy"]).shape == (spatial.shape[2], 420)

    place = "demo/configs/mouse7/inputs/"
    handed = {key: results[key] for key in ("SVTcorr.npy", "labels.json", "brainmask.npy", "atlas.npy")}
    sent = {"U_atlas.npy": packed(spatial), **handed, "config.yaml": yaml.safe_dump(SECOND_CONFIG).encode()}
    request = {"dataname": place, "instance_type": "p3.2xlarge", **SECOND_FILES}
    client = Client(s3, SECOND)
    client.put({f"{place}{key}": body for key, body in sent.items()})
    client.put({"demo/configs/mouse7/submit.json": json.dumps(request).encode()})
    first_seen, results = client.take(
        "demo/configs/mouse7/results/", SECOND_DONE, (place, "demo/configs/mouse7/submit.json")
    )
    assert [key.rpartition("/")[2] for key in first_seen] == ["certificate.txt"]
    for key, body in results.items():
        (tmp_path / key.rpartition("/")[2]).write_bytes(body)
    assert min(regional_correlations(tmp_path).values()) > 0.8
    assert started(pipeline, SECOND) == 1


def test_that_clients_own_settings_are_taken_as_they_are(pipeline: Laboratory) -> None:
    s3 = pipeline.client("s3", pipeline.member_key("demo-member"))
    results = first_step(Client(s3, FIRST), "untouched", FIRST_CONFIG)
    told = json.loads(results["untouched_summary.json"])["parameters"]
    assert FIRST_CONFIG.items() <= told.items()


def first_step(client: Client, name: str, config: Mapping[str, object]) -> dict[str, bytes]:
    """The client's upload of a recording, and what it takes away; all of it was there when it saw that it is done."""
    place, again = f"demo/inputs/{name}/", f"demo/configs/{name}/"
    request = json.dumps({"dataname": place, "instance_type": "r5.16xlarge"}).encode()
    selection = ["motion", "compression", "hemodynamics_compensation", "locaNMF"]
    client.put(
        {
            f"{place}{name}.zip": flat_zip(),
            f"{place}config.yaml": yaml.safe_dump({**config, "analysis_selection": selection}).encode(),
            f"{place}submit.json": request,
            f"{again}submit.json": request,
        }
    )
    first_seen, results = client.take(f"demo/results/{name}/", FIRST_DONE, (place, again))
    assert [key.rpartition("/")[2] for key in first_seen] == ["certificate.txt"]
    assert set(results) >= {*FIRST_DONE, "SVTcorr.npy", "rcoeffs.npy", f"{name}_preprocessing.png"}
    return results


def started(pipeline: Laboratory, bucket: str) -> int:
    """Instances an analysis has had."""
    tags = [{"Name": "tag:analysis", "Values": [bucket]}]
    return sum(len(it["Instances"]) for it in pipeline.client("ec2").describe_instances(Filters=tags)["Reservations"])


# --- the recording and its truth ---


def flat_zip() -> bytes:
    """The sample as that client packs it: nothing compressed, no folders."""
    held = io.BytesIO()
    with zipfile.ZipFile(SAMPLE / "cortex.zip") as sample, zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as archive:
        for entry in sample.namelist():
            with archive.open(entry, "w", force_zip64=True) as file:
                file.write(sample.read(entry))
    return held.getvalue()


def packed(values: Array) -> bytes:
    held = io.BytesIO()
    np.save(held, values)
    return held.getvalue()


def array(body: bytes) -> Array:
    found: Array = np.load(io.BytesIO(body))
    return found


def regional_correlations(folder: Path) -> dict[int, float]:
    """How well the components of each area together give its true signal: the multiple correlation."""
    (table,) = folder.rglob("*components.csv")
    (traces,) = folder.rglob("*_C.npy")
    with table.open(newline="") as file:
        labels = [int(row["label"]) for row in csv.DictReader(file)]
    found = np.load(traces).astype(float)
    with np.load(SAMPLE / "cortex_truth.npz") as truth:
        signals = dict(zip(AREAS, truth["signals"].astype(float), strict=True))
    return {area: explained(without_slow(signal), found[np.array(labels) == area]) for area, signal in signals.items()}


def explained(signal: Array, traces: Array) -> float:
    design = np.c_[traces.T, np.ones(len(signal))]
    left = signal - design @ np.linalg.lstsq(design, signal, rcond=None)[0]
    return float(np.sqrt(max(0.0, 1 - left.var() / signal.var())))


def without_slow(signal: Array) -> Array:
    """Without what the preprocessing takes out: changes slower than 0.1 Hz, at 20 frames a second."""
    spectrum = np.fft.rfft(signal)
    spectrum[: int(np.ceil(0.1 / 10 * len(spectrum)))] = 0
    kept: Array = np.fft.irfft(spectrum, len(signal))
    return kept
