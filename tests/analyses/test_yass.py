"""Spike sorting: what it reads and refuses, its figures of quality, and that a run can be repeated."""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.analyses.rig import BLUEPRINTS, Ran, evaluate, run

Array = np.ndarray[Any, Any]
FOLDER = BLUEPRINTS / "yass"
MODULES = ("analysis_kit", "source", "recording", "progress", "determinism", "quality")
RATE = 20_000
GEOMETRY = "0 0\n18 20\n0 40\n18 60\n"


@pytest.fixture
def modules() -> Iterator[SimpleNamespace]:
    """The analysis's modules that need numpy alone; taken out again after the test."""
    before = set(sys.modules)
    paths = [str(FOLDER / "environment"), str(BLUEPRINTS / "shared")]
    sys.path[:0] = paths
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    finally:
        for name in set(sys.modules) - before:
            if getattr(sys.modules[name], "__file__", None) and str(BLUEPRINTS) in str(sys.modules[name].__file__):
                del sys.modules[name]
        for path in paths:
            sys.path.remove(path)


def sample_check() -> ModuleType:
    return loaded("yass_check", FOLDER / "sample" / "check.py")


def loaded(name: str, file: Path) -> ModuleType:
    """A module under a name of its own: other suites import a `workflow`, too."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def noise(seconds: float = 1.2, channels: int = 4) -> Array:
    values = np.random.default_rng(0).normal(0, 3, (int(seconds * RATE), channels))
    return np.round(values).astype("<i2")


def zipped(folder: Path, files: dict[str, bytes], name: str = "rec.zip") -> Path:
    with zipfile.ZipFile(folder / name, "w") as archive:
        for inside, content in files.items():
            archive.writestr(inside, content)
    return folder / name


def parameters(**given: Any) -> dict[str, Any]:
    schema = json.loads((FOLDER / "parameters.schema.json").read_text())["properties"]
    defaults = {name: entry["default"] for name, entry in schema.items() if "default" in entry}
    return {**defaults, "sampling_rate": RATE, **given}


def load(modules: SimpleNamespace, data: Path, folder: Path, **given: Any) -> Any:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return modules.recording.load_recording(data, parameters(**given), scratch)


def values_of(modules: SimpleNamespace, recording: Any) -> Array:
    parts = modules.recording.blocks(recording.file, recording.first_byte, recording.dtype, recording.shape)
    return np.concatenate([block for _, block in parts])


def refused(modules: SimpleNamespace, data: Path, folder: Path, **given: Any) -> str:
    with pytest.raises(modules.analysis_kit.InputError) as said:
        load(modules, data, folder, **given)
    assert data.name in str(said.value)
    return str(said.value)


def saved_by_spikeinterface(folder: Path, values: Array, *, file: str = "traces_cached_seg0.raw") -> Path:
    """As `recording.save(folder=...)` of SpikeInterface 0.105 lays it out."""
    folder.mkdir()
    values.tofile(folder / "traces_cached_seg0.raw")
    kwargs = {
        "file_paths": [file],
        "sampling_frequency": 20000.0,
        "num_channels": values.shape[1],
        "dtype": values.dtype.str,
        "time_axis": 0,
        "file_offset": 0,
        "gain_to_uV": [0.2] * values.shape[1],
    }
    (folder / "binary.json").write_text(json.dumps({"class": "anything", "kwargs": kwargs}))
    places = [[0.0, 20.0 * k] for k in range(values.shape[1])]
    wired = list(range(values.shape[1]))[::-1]
    probes = [{"contact_positions": places, "device_channel_indices": wired}]
    (folder / "probegroup.json").write_text(json.dumps({"probes": probes}))
    return folder


def test_a_raw_binary_comes_out_the_same_from_a_zip_a_folder_and_an_npz(
    modules: SimpleNamespace, tmp_path: Path
) -> None:
    values = noise()
    files = {"inner/x.dat": values.tobytes(), "inner/geom.txt": GEOMETRY.encode(), "__MACOSX/x.dat": b"junk"}
    packed = zipped(tmp_path, files)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "x.bin").write_bytes(values.tobytes())
    (folder / "geom.txt").write_text(GEOMETRY.replace(" ", ", "))
    places = np.loadtxt(io.StringIO(GEOMETRY))
    np.savez_compressed(tmp_path / "rec.npz", traces=values, geom=places, sampling_rate=RATE, gain_to_uv=0.5)

    for data in (packed, folder, tmp_path / "rec.npz"):
        recording = load(modules, data, tmp_path)
        np.testing.assert_array_equal(values_of(modules, recording), values)
        np.testing.assert_array_equal(recording.positions_um, places)
        assert recording.sampling_rate_hz == RATE
    assert recording.gains_uv.tolist() == [0.5] * 4
    assert recording.unit == "µV"


def test_what_spikeinterface_saved_is_read_with_its_rate_gains_and_wiring(
    modules: SimpleNamespace, tmp_path: Path
) -> None:
    values = noise()

    recording = load(modules, saved_by_spikeinterface(tmp_path / "saved", values), tmp_path, sampling_rate=None)

    np.testing.assert_array_equal(values_of(modules, recording), values)
    assert recording.sampling_rate_hz == RATE
    assert recording.positions_um[:, 1].tolist() == [60, 40, 20, 0]
    assert recording.gains_uv.tolist() == [0.2] * 4


def test_a_saved_folder_that_names_a_file_outside_is_refused(modules: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "other.raw").write_bytes(noise().tobytes())
    for file in ("../other.raw", str(tmp_path / "other.raw"), "none.raw"):
        folder = saved_by_spikeinterface(tmp_path / f"saved{len(file)}", noise(), file=file)
        assert "is not in it" in refused(modules, folder, tmp_path)


def test_a_zip_that_leads_out_of_its_folder_is_refused(modules: SimpleNamespace, tmp_path: Path) -> None:
    data = zipped(tmp_path, {"../evil.bin": b"12", "geom.txt": GEOMETRY.encode()})
    assert "leads out" in refused(modules, data, tmp_path)
    assert not (tmp_path / "evil.bin").exists()


@pytest.mark.parametrize(
    ("change", "given", "said"),
    [
        ({"x.bin": noise().tobytes()[:-3]}, {}, "no whole number of samples"),
        ({"x.bin": b""}, {}, "no samples"),
        ({"x.bin": noise(0.5).tobytes()}, {}, "at least 1 s"),
        ({"x.bin": np.zeros((RATE * 2, 4), "<i2").tobytes()}, {}, "every channel is constant"),
        ({"y.bin": b"12"}, {}, "one raw binary"),
        ({"geom.txt": b"0 0\n1 1\n2 2\n"}, {"n_channels": 4}, "the geometry has 3 channels"),
        ({"geom.txt": b"0 0\n1 1\n2 2\n1 1\n"}, {}, "where another one is"),
        ({"geom.txt": b"0 0\n1 nan\n2 2\n3 3\n"}, {}, "not numbers"),
        ({"geom.txt": b"a b\nc d\n"}, {}, "no table of numbers"),
        ({"geom.txt": b"0\n1\n2\n3\n"}, {}, "two columns"),
        ({"geom.txt": b""}, {}, "is empty"),
        ({}, {"sampling_rate": None}, "sampling_rate (Hz)"),
        ({}, {"sampling_rate": 100.0}, "does not show spikes"),
    ],
)
def test_what_does_not_fit_together_is_one_sentence(
    modules: SimpleNamespace, tmp_path: Path, change: dict[str, bytes], given: dict[str, Any], said: str
) -> None:
    data = zipped(tmp_path, {"x.bin": noise().tobytes(), "geom.txt": GEOMETRY.encode(), **change})
    assert said in refused(modules, data, tmp_path, **given)


def test_without_geometry_or_arrays_it_says_what_is_missing(modules: SimpleNamespace, tmp_path: Path) -> None:
    assert "geom.txt" in refused(modules, zipped(tmp_path, {"x.bin": b"1234"}), tmp_path)
    np.savez(tmp_path / "a.npz", traces=noise())
    assert "no array 'geom'" in refused(modules, tmp_path / "a.npz", tmp_path)
    np.savez(tmp_path / "b.npz", geom=np.zeros((4, 2)))
    assert "no array 'traces'" in refused(modules, tmp_path / "b.npz", tmp_path)
    (tmp_path / "c.bin").write_bytes(noise().tobytes())
    assert "ends in '.bin'" in refused(modules, tmp_path / "c.bin", tmp_path)


def test_a_cut_off_file_and_two_rates_are_refused(modules: SimpleNamespace, tmp_path: Path) -> None:
    places = np.loadtxt(io.StringIO(GEOMETRY))
    np.savez(tmp_path / "a.npz", traces=noise(), geom=places, sampling_rate=RATE)
    assert "the config 30000" in refused(modules, tmp_path / "a.npz", tmp_path, sampling_rate=30000.0)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(whole[: len(whole) // 2])
    assert "cannot be read" in refused(modules, tmp_path / "b.npz", tmp_path)


def test_values_that_are_not_finite_are_named_by_their_place(modules: SimpleNamespace, tmp_path: Path) -> None:
    values = noise().astype("<f4")
    values[7, 2] = np.nan
    data = zipped(tmp_path, {"x.bin": values.tobytes(), "geom.txt": GEOMETRY.encode()})
    assert "sample 7, channel 3" in refused(modules, data, tmp_path, dtype="float32")


def test_dead_channels_are_left_out_and_named(modules: SimpleNamespace, tmp_path: Path) -> None:
    values = noise()
    values[:, 1] = 5
    data = zipped(tmp_path, {"x.bin": values.tobytes(), "geom.txt": GEOMETRY.encode()})

    recording = load(modules, data, tmp_path)

    assert recording.kept.tolist() == [0, 2, 3]
    assert recording.positions_um.tolist() == [[0, 0], [0, 40], [18, 60]]
    assert recording.left_out == {1: "constant"}


def test_refractory_violations_are_one_for_a_foreign_train_and_zero_without(modules: SimpleNamespace) -> None:
    """Spikes at random have 2 n^2 t / T pairs closer than t on both sides, so half of that many short intervals."""
    random = np.random.default_rng(1)
    times = np.sort(random.uniform(0, 10_000, 50_000))
    count, ratio = modules.quality.isi_violations(times, 0.002, 10_000.0)
    assert count == pytest.approx(50_000**2 * 0.002 / 10_000, rel=0.06)
    assert ratio == pytest.approx(0.5, rel=0.06)
    regular = np.arange(0, 100, 0.1)
    mixed = np.sort(np.r_[regular, regular + random.uniform(0, 0.1, len(regular))])
    assert modules.quality.isi_violations(regular, 0.002, 100.0) == (0, 0.0)
    assert modules.quality.isi_violations(mixed, 0.002, 100.0)[0] > 20


def test_presence_is_the_share_of_parts_with_spikes(modules: SimpleNamespace) -> None:
    assert modules.quality.presence_ratio(np.arange(0, 50, 0.5), 100.0) == 0.5
    assert modules.quality.presence_ratio(np.arange(0, 1200, 0.5), 1200.0) == 1.0
    assert modules.quality.presence_ratio(np.array([1.0]), 1200.0) == pytest.approx(1 / 20)


def test_similarity_is_a_cosine_and_snr_the_peak_over_its_channels_noise(modules: SimpleNamespace) -> None:
    templates = np.zeros((3, 5, 2))
    templates[0, 2, 0], templates[1, 2, 0], templates[2, 2, 1] = -40, -80, -20
    alike = modules.quality.similarities(templates)
    np.testing.assert_allclose(alike, [[1, 1, 0], [1, 1, 0], [0, 0, 1]], atol=1e-12)
    assert modules.quality.snr(templates[1], 2, 0, np.array([8.0, 1.0])) == 10


@pytest.mark.heavy
def test_generators_without_a_seed_get_the_runs_and_the_library_is_left_as_it_was() -> None:
    """Of each three numbers the second comes from a generator with a seed of its own, the third from the global one."""
    one, again, other, own, restored = evaluate(
        "yass",
        """
from determinism import repeatable
original = np.random.default_rng
def drawn(seed):
    with repeatable(seed):
        return [np.random.default_rng().random(), np.random.default_rng(seed=7).random(), np.random.random()]
answer = [drawn(3), drawn(3), drawn(4), original(7).random(), np.random.default_rng is original]
""",
    )
    assert one == again
    assert one[0] != other[0]
    assert one[1] == other[1] == own
    assert one[2] != other[2]
    assert restored


def test_a_function_is_kept_to_one_process_and_given_back(modules: SimpleNamespace) -> None:
    library = ModuleType("library")
    vars(library)["add"] = original = lambda *terms, n_jobs=8: (sum(terms), n_jobs)
    with modules.determinism.in_one_process(library, "add"):
        assert library.add(1, 2, n_jobs=4) == (3, 1)
    assert library.add is original


def test_a_librarys_bars_and_counts_become_lines_and_nothing_else_does(modules: SimpleNamespace) -> None:
    said: list[str] = []
    now = [0.0]
    progress = modules.progress.Progress(said.append, lambda: now[0])
    progress.write("  .:=@@@=:.\n a warning: 5 things\n")
    for now[0], percent in ((1.0, 0), (2.0, 3), (12.0, 40), (13.0, 41)):
        progress.write(f"\rdetect peaks (no parallelization): {percent:3d}%|###  | 1/9 [00:01<00:05]")
    progress.write("\ndetect_peaks(): 2474 peaks found\n")
    assert said == ["Detect peaks: 0 %", "Detect peaks: 40 %", "Detect peaks: 2,474."]
    assert progress.counts == {"detect_peaks": 2474}


def test_the_recommended_machine_grows_with_the_recording(modules: SimpleNamespace, tmp_path: Path) -> None:
    data = zipped(tmp_path, {"x.bin": noise().tobytes(), "geom.txt": GEOMETRY.encode()})
    small = load(modules, data, tmp_path)
    large = modules.recording.Recording(**{**vars(small), "shape": (30_000 * 7200, 384), "sampling_rate_hz": 30_000.0})
    recommend = loaded("yass_workflow", FOLDER / "environment" / "workflow.py").recommend
    assert recommend(small)["instance_type"] == "m7i.large"
    assert recommend(large)["instance_type"] == "m7i.4xlarge"
    assert recommend(large)["disk_gib"] > 600


def test_the_samples_figure_counts_each_spike_and_each_found_unit_once() -> None:
    check = sample_check()
    true = np.array([100, 200, 300, 400])
    assert check.accuracy(true, true + 5) == 1
    assert check.accuracy(true, np.array([100, 101, 200, 900])) == pytest.approx(2 / 6)
    assert check.accuracy(true, true + 50) == 0
    assert check.best_accuracies([true, true], [true]).tolist() == [1, 0]


@pytest.mark.heavy
def test_with_default_parameters_lupin_gets_its_own_defaults_at_30_khz() -> None:
    ours, theirs = evaluate(
        "yass",
        """
from analysis_kit import SCHEMA
from sorting import lupin_parameters
from spikeinterface.sorters.internal.lupin import LupinSorter
schema = json.loads(SCHEMA.read_text())["properties"]
ours = lupin_parameters({name: entry["default"] for name, entry in schema.items() if "default" in entry}, 30000.0)
answer = [ours, {name: LupinSorter._default_params[name] for name in ours}]
""",
    )
    own = {"seed", "cache_preprocessing_mode", "save_array"}
    for name in set(ours) - own:
        assert (
            ours[name] == pytest.approx(theirs[name]) if isinstance(ours[name], float) else ours[name] == theirs[name]
        )


def run_recording(folder: Path, values: Array, **config: Any) -> Ran:
    folder.mkdir(exist_ok=True)
    data = zipped(folder, {"x.bin": values.tobytes(), "geom.txt": GEOMETRY.encode()})
    (folder / "config.json").write_text(json.dumps({"sampling_rate": RATE, **config}))
    return run("yass", data, folder / "config.json", folder / "results")


def spiking(seconds: float = 6.0) -> Array:
    """Two units, far apart, 15 and 10 Hz."""
    values = noise(seconds).astype(float)
    random = np.random.default_rng(2)
    wave = np.exp(-0.5 * ((np.arange(60) - 20) / 3.0) ** 2) - 0.4 * np.exp(-0.5 * ((np.arange(60) - 32) / 7.0) ** 2)
    for fall, rate in (([1, 0.5, 0.1, 0], 15), ([0, 0.1, 0.4, 1], 10)):
        for start in random.uniform(0, len(values) - 60, int(rate * seconds)).astype(int):
            values[start : start + 60] -= 60 * wave[:, None] * np.array(fall)
    return np.round(values).astype("<i2")


@pytest.mark.heavy
def test_a_run_can_be_repeated_and_writes_what_phy_opens(tmp_path: Path) -> None:
    runs = [run_recording(tmp_path / name, spiking(), write_phy=True, min_firing_rate=1) for name in ("a", "b")]
    for ran in runs:
        assert ran.code == 0, ran.out + ran.err
        assert ran.err == ""
    one, two = (ran.results for ran in runs)
    for path in one.glob("*.npy"):
        assert path.read_bytes() == (two / path.name).read_bytes(), path.name
    assert (one / "rec_quality_metrics.csv").read_text() == (two / "rec_quality_metrics.csv").read_text()
    assert json.loads((one / "rec_summary.json").read_text())["units"] == 2
    settings: dict[str, Any] = {}
    exec((one / "rec_phy" / "params.py").read_text(), settings)
    assert settings["n_channels_dat"] == 4
    assert np.load(one / "rec_phy" / "templates.npy").shape[0] == 2


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("values", "config", "said"),
    [
        (spiking(), {"peak_sign": "pos", "std_factor": 12}, "positive"),
        (noise(3.0), {}, "stand out"),
        (noise(3.0), {"std_factor": 50}, "stand out"),
    ],
    ids=["wrong sign", "noise", "silence"],
)
def test_without_spikes_it_says_so_in_one_sentence(
    tmp_path: Path, values: Array, config: dict[str, Any], said: str
) -> None:
    ran = run_recording(tmp_path / "x", values, **config)
    assert ran.code == 2, ran.out + ran.err
    assert "Traceback" not in ran.err
    assert said in ran.err
    assert list(ran.results.iterdir()) == []
