"""The widefield preprocessing: the blood's formula, formats it reads, and what it refuses."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.analyses.rig import in_environment, run

ANALYSIS = "wfield-preprocess"
QUICK = {"block_height": 16, "block_width": 16, "num_sims": 10, "overlapping": False, "frame_rate": 40}
Array = np.ndarray[Any, Any]


def frames(*, count: int = 120, side: int = 16, seed: int = 0) -> Array:
    """Two colours in turn: a wave in the first, blood in both."""
    random = np.random.default_rng(seed)
    time = np.arange(count // 2) / 20
    bump = np.exp(-((np.arange(side)[:, None] - 7) ** 2 + (np.arange(side) - 8) ** 2) / 20)
    wave, blood = np.sin(2 * np.pi * 1.1 * time), np.sin(2 * np.pi * 0.4 * time)
    texture = 4000 * (1 + 0.3 * random.random((side, side)))
    movie = np.empty((count, side, side))
    movie[::2] = texture * (1 + 0.04 * wave[:, None, None] * bump + 0.03 * blood[:, None, None])
    movie[1::2] = texture * (1 + 0.03 * blood[:, None, None])
    made: Array = random.poisson(movie).astype(np.uint16)
    return made


def packed(array: Array) -> bytes:
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


def analyse(folder: Path, name: str, body: bytes, config: dict[str, Any] | None = None) -> Any:
    (folder / name).write_bytes(body)
    (folder / "config.json").write_text(json.dumps(QUICK | (config or {})))
    return run(ANALYSIS, folder / name, folder / "config.json", folder / "results")


def test_the_blood_of_a_pixel_is_what_regression_finds_and_nothing_of_it_is_left() -> None:
    out = in_environment(
        ANALYSIS,
        """
import json, numpy as np
from hemodynamics import correct_hemodynamics, high_pass
random = np.random.default_rng(1)
U = random.normal(size=(50, 4))
calcium, blood = random.normal(size=(2, 4, 400))
share = np.full(50, 0.7)
mixed = calcium + 0.7 * blood
found = correct_hemodynamics(U, mixed, blood, rate=30, high_hz=0.1, low_hz=14.9)
traces = [high_pass(it, hertz=0.1, rate=30) for it in (mixed, blood)]
a, b = (U @ it for it in traces)
by_hand = (a * b).sum(1) / (b * b).sum(1)
same = correct_hemodynamics(U, 0.7 * blood, blood, rate=30, high_hz=0.1, low_hz=15)
print(json.dumps({
    "difference": float(np.abs(found.share - by_hand).max()),
    "share": [float(same.share.min()), float(same.share.max())],
    "left": float(np.abs(same.temporal).max()),
}))
""",
    )
    told = json.loads(out)
    assert told["difference"] < 0.05
    assert told["share"] == pytest.approx([0.7, 0.7])
    assert told["left"] < 1e-6


def test_every_format_of_one_recording_gives_the_same_frames(tmp_path: Path) -> None:
    movie = frames()
    name = "session_2_16_16_uint16.dat"
    with zipfile.ZipFile(tmp_path / "session.zip", "w") as archive:
        archive.writestr(f"folder/{name}", movie.astype("<u2").tobytes())
        archive.writestr("Atlas.npy", packed(np.ones((16, 16), np.int32)))
    (tmp_path / name).write_bytes(movie.astype("<u2").tobytes())
    np.save(tmp_path / "session.npy", movie)
    np.save(tmp_path / "colours.npy", movie.reshape(-1, 2, 16, 16))
    out = in_environment(
        ANALYSIS,
        f"""
import json, numpy as np, tifffile
from pathlib import Path
from recording import load_recording
folder = Path({str(tmp_path)!r})
movie = np.load(folder / "session.npy")
tifffile.imwrite(folder / "session.tif", movie, photometric="minisblack", compression="zlib")
for name in ("{name}", "session.npy", "colours.npy", "session.tif", "session.zip"):
    (folder / "scratch").mkdir(exist_ok=True)
    found = load_recording(folder / name, channels=2, scratch=folder / "scratch")
    print(name, np.array_equal(found.frames, movie), sorted(found.extras), found.length)
""",
    )
    assert [line.split(" ", 1)[1] for line in out.splitlines()] == ["True [] 60"] * 4 + ["True ['atlas.npy'] 60"]


def test_one_colour_is_denoised_and_nothing_is_taken_out(tmp_path: Path) -> None:
    ran = analyse(tmp_path, "one.npy", packed(frames()[::2]), {"num_channels": 1, "frame_rate": 20})
    assert ran.code == 0, ran.err
    assert not (ran.results / "rcoeffs.npy").exists()
    assert np.load(ran.results / "SVTcorr.npy").shape[1] == 60


@pytest.mark.parametrize(
    ("name", "body", "config", "said"),
    [
        ("a.csv", b"1,2", {}, "a recording is a .dat"),
        ("a.npy", b"", {}, "is empty"),
        ("a.npy", b"no array", {}, "cannot be read"),
        ("a.dat", b"\0" * 512, {}, "must end in _CHANNELS_ROWS_COLUMNS_TYPE"),
        ("a_2_16_16_uint16.dat", b"\0" * 513, {}, "no whole number of frames"),
        ("a_1_16_16_uint16.dat", b"\0" * 512, {}, "its name says 1 colour(s)"),
        ("a.npy", packed(np.ones((10, 16, 16))), {}, "at least 32 a colour"),
        ("a.npy", packed(np.ones((200, 4, 4))), {}, "at least 32 a colour"),
        ("a.npy", packed(np.ones((200, 16))), {}, "has 2 dimension(s)"),
        ("a.npy", packed(np.ones((100, 16, 16), complex)), {}, "holds 'complex128' values"),
        ("a.npy", packed(np.full((100, 16, 16), np.nan)), {}, "not finite"),
        ("a.npy", packed(np.ones((100, 16, 16))), {}, "no pixel ever changes"),
        ("a.npy", packed(np.ones((50, 3, 16, 16))), {}, "has 3 colours"),
        ("a.tif", b"II*\0cut", {}, "cannot be read"),
        ("a.zip", b"PK\x03\x04", {}, "cannot be read"),
        ("a.npy", packed(frames()), {"freq_highpass": 30}, "not below half"),
        ("a.npy", packed(frames()), {"analysis_selection": ["motoin"]}, "analysis_selection"),
        ("a.npy", packed(frames()), {"blokc": 1}, "unknown parameter 'blokc'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    tmp_path: Path, name: str, body: bytes, config: dict[str, Any], said: str
) -> None:
    ran = analyse(tmp_path, name, body, config)

    assert ran.code == 2, ran.out
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert list(ran.results.iterdir()) == []


def test_a_zip_of_two_recordings_or_none_is_refused(tmp_path: Path) -> None:
    for place, files in enumerate(({"a.npy": frames(), "b.npy": frames()}, {"atlas.npy": np.ones((4, 4))})):
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w") as archive:
            for name, array in files.items():
                archive.writestr(name, packed(array))
        (tmp_path / str(place)).mkdir()
        ran = analyse(tmp_path / str(place), "x.zip", held.getvalue())
        assert ran.code == 2
        assert "must hold one recording" in ran.err
