"""Spot, custom cost files, the lab's answers and the scaling study."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import custom, lab, scaling, spot
from experiments.cost_model import Mode
from experiments.errors import InputError
from experiments.inputs import prices_2019

ROOT = Path(__file__).resolve().parents[2]


def outcome(losses: int, hazard: float, *, hours: float = 4) -> spot.Outcome:
    return spot.simulate(
        spot.Policy("x", losses),
        hours=hours,
        hazard=hazard,
        spot_prices=[1.0],
        on_demand=3.0,
        runs=40_000,
        random=np.random.default_rng(1),
        restart_hours=0,
    )


def test_without_losses_spot_takes_as_long_and_costs_its_price() -> None:
    found = outcome(2, 0.0)

    assert (found.mean_hours, found.mean_cost, found.interrupted) == (4.0, 4.0, 0.0)


@pytest.mark.parametrize("hazard", [0.05, 0.2, 0.4])
def test_endless_retries_take_what_the_formula_says(hazard: float) -> None:
    found = outcome(200, hazard)

    assert found.mean_hours == pytest.approx(spot.expected_hours_until_done(4, hazard), rel=0.02)
    assert found.interrupted == pytest.approx(1 - np.exp(-hazard * 4), abs=0.01)


def test_on_demand_is_never_interrupted() -> None:
    found = outcome(0, 5.0)

    assert (found.mean_hours, found.hours_95, found.mean_cost) == (4.0, 4.0, 12.0)


def test_frequent_losses_make_long_jobs_dearer_than_on_demand() -> None:
    assert outcome(5, 0.01).mean_cost < outcome(0, 0.01).mean_cost
    assert outcome(5, 2.0, hours=12).mean_cost > outcome(0, 2.0, hours=12).mean_cost


def test_prices_count_by_the_time_they_were_in_force(tmp_path: Path) -> None:
    def row(at: str, price: str) -> dict[str, str]:
        place = {"InstanceType": "m7i.large", "AvailabilityZone": "z", "ProductDescription": "Linux/UNIX"}
        return {**place, "Timestamp": at, "SpotPrice": price}

    rows = [row("2026-01-01T10:00:00+00:00", "4.0"), row("2026-01-01T00:00:00Z", "1.0")]
    (tmp_path / "h.json").write_text(json.dumps({"SpotPriceHistory": rows}))

    (found,) = spot.read_history(tmp_path / "h.json")

    assert found.mean() == pytest.approx((10 * 1.0 + 1 * 4.0) / 11)
    assert (found.quantile(0.5), found.quantile(1.0)) == (1.0, 4.0)


@pytest.mark.parametrize("text", ["", "{}", '{"SpotPriceHistory": []}', '{"SpotPriceHistory": [{"SpotPrice": "x"}]}'])
def test_a_file_that_is_no_history_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "h.json").write_text(text)
    with pytest.raises(InputError, match=r"h\.json"):
        spot.read_history(tmp_path / "h.json")


def test_the_hazard_gives_back_the_share_of_a_month() -> None:
    assert 1 - np.exp(-spot.hazard_of_monthly_frequency(0.1) * 730) == pytest.approx(0.1)


@pytest.mark.parametrize("path", sorted((ROOT / "experiments/cost_files").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_annotated_examples_work(path: Path) -> None:
    cost_file = custom.read_cost_file(path)

    assert custom.custom_values(cost_file, prices_2019(), tuple(Mode))
    assert all("the machine pays" in said for said in custom.verdicts(cost_file, prices_2019()))


def test_an_own_time_changes_utilisation_and_not_the_crossover(tmp_path: Path) -> None:
    text = "analysis: CaImAn\npricetag_cost: 1618\nsupport_cost: laptop_default\nperformance: {size: small, "
    text += "analysis_time: %s}\n"
    values = []
    for seconds in ("null", "4402"):
        (tmp_path / "c.yaml").write_text(text % seconds)
        found = custom.custom_values(custom.read_cost_file(tmp_path / "c.yaml"), prices_2019(), [Mode.STANDARD])
        values.append({it.panel: it.value for it in found if "realistic" in it.series})

    assert values[0]["LCC_c"] == values[1]["LCC_c"] == pytest.approx(74.7, abs=0.05)
    assert values[1]["LUC_c"] == pytest.approx(2 * values[0]["LUC_c"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("analysis: [", "not YAML"),
        ("analysis: Caiman\npricetag_cost: 1\nsupport_cost: laptop_default", "'Caiman' is not one of"),
        ("analysis: DLC\nsupport_cost: laptop_default", "'pricetag_cost' is a required property"),
        ("analysis: DLC\npricetag_cost: -5\nsupport_cost: laptop_default", "-5 is less than the minimum"),
        ("analysis: DLC\npricetag_cost: 5\nsupport_cost: [1, 2]", "write five numbers"),
        ("analysis: DLC\npricetag_cost: 5\nsupport_cost: desk", "workstation_default"),
        (
            "analysis: DLC\npricetag_cost: 5\nsupport_cost: laptop_default\nperformance: {size: huge}",
            "small|medium|large",
        ),
        ("just text", "not of type 'object'"),
    ],
)
def test_a_cost_file_that_is_wrong_says_where_and_what(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        custom.read_cost_file(tmp_path / "c.yaml")
    assert said in str(caught.value)
    assert "c.yaml" in str(caught.value)


ANSWERS = st.builds(
    lab.Answers,
    datasets_a_week=st.floats(0.1, 400),
    cloud_hours=st.floats(0.01, 40),
    cloud_usd_an_hour=st.floats(0.01, 40),
    result_gb=st.floats(0, 200),
    local_hours=st.floats(0.01, 90),
    machine_usd=st.floats(1, 50_000),
    support_usd=st.floats(0, 20_000),
    years=st.floats(1, 8),
)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(answers=ANSWERS)
def test_the_crossover_is_where_a_year_costs_the_same(answers: lab.Answers) -> None:
    found = lab.judge(answers, np.random.default_rng(0), draws=10)
    there = lab.judge(replace(answers, datasets_a_week=found.crossover), np.random.default_rng(0), draws=10)

    assert there.cloud_a_year == pytest.approx(there.local_a_year, rel=1e-9)
    assert there.busy_now == pytest.approx(found.busy_at_crossover)


def test_being_sure_grows_with_the_distance_from_the_crossover() -> None:
    crossover = lab.judge(lab.Answers(), np.random.default_rng(0)).crossover
    chances = [
        lab.judge(lab.Answers(datasets_a_week=crossover * share), np.random.default_rng(0)).chance_cloud_is_cheaper
        for share in (0.5, 0.9, 1.0, 1.1, 2.0)
    ]
    assert chances[0] > 0.99
    assert chances == sorted(chances, reverse=True)
    assert 0.3 < chances[2] < 0.7
    assert chances[-1] < 0.01


@pytest.mark.parametrize("name", [field.name for field in fields(lab.Answers)])
def test_absurd_answers_are_refused_by_name(name: str) -> None:
    for value in (-1.0, float("nan")):
        with pytest.raises(InputError, match=name):
            replace(lab.Answers(), **{name: value})


@pytest.mark.skipif(shutil.which("node") is None, reason="needs a JavaScript engine on this machine")
def test_the_page_reckons_as_the_model_does() -> None:
    from experiments.commands import lab_page

    answers = [lab.Answers(), lab.Answers(datasets_a_week=60, years=1.5), lab.Answers(result_gb=0, local_hours=90)]
    page = lab_page(answers[0])
    assert "{{" not in page
    model = page[page.index("// model:begin") : page.index("// model:end")]
    asked = [{field.name: getattr(it, field.name) for field in fields(it)} for it in answers]
    script = f"{model}\nconsole.log(JSON.stringify({json.dumps(asked)}.map(judge)))"

    said = json.loads(subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout)

    for one, found in zip(answers, said, strict=True):
        wanted = lab.judge(one, np.random.default_rng(0), draws=1)
        for name, value in found.items():
            assert value == pytest.approx(getattr(wanted, name), rel=1e-12), name


@pytest.mark.parametrize("count", [1, 10, 1000, 20_000])
def test_nothing_ends_before_the_strictest_limit_lets_it(count: int) -> None:
    work = scaling.Workload(count, spread=0.01)
    found = scaling.simulate(work, scaling.Limits(), np.random.default_rng(0))

    assert found.ended_s >= 0.95 * found.bottleneck.seconds
    assert found.ended_s <= 1.25 * found.bottleneck.seconds + 2 * work.minutes * 60
    assert found.peak_instances <= scaling.slots(work, scaling.Limits())


def test_lifting_the_bottleneck_helps_and_lifting_another_does_not() -> None:
    work, limits = scaling.Workload(5000), scaling.Limits()
    base = scaling.simulate(work, limits, np.random.default_rng(0))
    wider = scaling.lifted(limits, base.bottleneck.name, 2)
    other = scaling.lifted(limits, "ledger writes", 2)

    assert base.bottleneck.name == "deploy limit"
    assert scaling.simulate(work, wider, np.random.default_rng(0)).ended_s < 0.7 * base.ended_s
    assert scaling.simulate(work, other, np.random.default_rng(0)).ended_s == base.ended_s


def test_a_job_of_ten_datasets_costs_the_control_plane_less_than_a_fifth_of_a_cent() -> None:
    assert 10 * scaling.ControlPlane().usd() < 0.002
