"""The model against published figures, by hand-made figures, and by what must hold of any."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import cost_model
from experiments.commands import panel_values
from experiments.cost_model import COMPLETE, PUBLISHED, Mode, Reading
from experiments.inputs import ANALYSES, Job, benchmark_jobs, machine, prices_2019, prices_2026
from experiments.panels import of_panel

SOME = st.floats(min_value=0.01, max_value=1e6)
YEARS = st.floats(min_value=0.5, max_value=20)


def job(analysis: str, size: str) -> Job:
    (found,) = [it for it in benchmark_jobs() if (it.analysis, it.size) == (analysis, size)]
    return found


def test_the_published_bars_of_the_small_calcium_recording() -> None:
    """The calibration: 0.437 and 0.225 USD, 74.7 jobs a week, 27.2 per cent."""
    small = job("CaImAn", "small")
    standard = cost_model.job_cost(small, prices_2019(), Mode.STANDARD)
    annual = cost_model.machine_cost(machine("workstation", "CaImAn"), 2, "CaImAn")
    crossover = cost_model.local_cost_crossover(annual, standard)

    assert standard == pytest.approx(0.437, abs=5e-4)
    assert cost_model.job_cost(small, prices_2019(), Mode.SAVE) == pytest.approx(0.225, abs=5e-4)
    assert crossover == pytest.approx(74.7, abs=0.05)
    assert cost_model.local_utilization_crossover(crossover, small.local_seconds) == pytest.approx(27.2, abs=0.05)


def test_a_job_by_hand_to_the_last_digit() -> None:
    """499 s of m5.16xlarge at 3.072, 79.6 s of a 0.128 GB function, 0.1275 GB out at 0.09."""
    by_hand = 499 * 3.072 / 3600 + 79.6 * 0.128 * 1.6667e-05 + 0.1275 * 0.09
    annual = 1618 / ((1 - 1.1**-2) / 0.1) + 768

    assert cost_model.job_cost(job("CaImAn", "small"), prices_2019(), Mode.STANDARD) == pytest.approx(
        by_hand, rel=1e-12
    )
    assert cost_model.machine_cost(machine("workstation", "CaImAn"), 2, "CaImAn") == pytest.approx(annual, rel=1e-12)


def test_two_stages_add_costs_and_slowest_instances_and_upload_once() -> None:
    widefield = job("PMD+LocaNMF", "medium")
    by_stage = [sum(cost_model.stage_cost(it, prices_2019(), Mode.STANDARD).values()) for it in widefield.stages]

    assert cost_model.compute_seconds(widefield) == 1227 + 1153
    assert cost_model.upload_seconds(widefield) == 564
    assert widefield.local_seconds == 4308 + 8940
    assert cost_model.job_cost(widefield, prices_2019(), Mode.STANDARD) == pytest.approx(sum(by_stage))


def test_a_longer_save_block_costs_more_an_hour() -> None:
    large = job("CaImAn", "large").stages[0]

    assert cost_model.save_price(large, prices_2019()) == pytest.approx(1.536 + (1.996 - 1.536) / 6)
    assert cost_model.save_price(large, prices_2019(), Reading(save_divisor=5)) == pytest.approx(1.536 + 0.46 / 5)


def test_save_cannot_be_bought_at_todays_prices() -> None:
    with pytest.raises(ValueError, match="cannot be bought"):
        cost_model.job_cost(job("DLC", "small"), prices_2026(), Mode.SAVE)


def test_the_two_readings_of_cluster_support_differ_only_for_widefield() -> None:
    other = Reading(cluster_support_from_parts=True)
    differing = [
        analysis
        for analysis in ANALYSES
        if cost_model.machine_cost(machine("cluster", analysis), 2, analysis, PUBLISHED)
        != cost_model.machine_cost(machine("cluster", analysis), 2, analysis, other)
    ]
    assert differing == ["PMD+LocaNMF"]


@pytest.mark.parametrize("found", benchmark_jobs(), ids=lambda it: f"{it.analysis}-{it.size}")
def test_charging_what_was_left_out_costs_more(found: Job) -> None:
    for mode in Mode:
        published = cost_model.job_cost(found, prices_2019(), mode, PUBLISHED)
        assert cost_model.job_cost(found, prices_2019(), mode, COMPLETE) > published


def test_figure_10_has_every_bar_and_each_size_costs_more_than_the_one_before() -> None:
    values = panel_values("workstation", prices_2019(), tuple(Mode))

    assert {panel: len(of_panel(values, panel)) for panel in ("Time", "Cost", "LCC_powermatch", "LUC_powermatch")} == {
        "Time": 27,
        "Cost": 18,
        "LCC_powermatch": 36,
        "LUC_powermatch": 36,
    }
    for analysis in ANALYSES:
        for mode in Mode:
            costs = [it.value for it in of_panel(values, "Cost", analysis) if it.series == mode.value]
            assert costs == sorted(costs)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(price=SOME, more=SOME, support=SOME, years=YEARS)
def test_a_dearer_machine_costs_more_a_year_and_a_longer_life_less(
    price: float, more: float, support: float, years: float
) -> None:
    annual = cost_model.equivalent_annual_cost(price, support, years)

    assert cost_model.equivalent_annual_cost(price + more, support, years) > annual
    assert cost_model.equivalent_annual_cost(price, support, years + 1) < annual
    assert annual > price / years + support * 0.999999


@settings(max_examples=60, derandomize=True, deadline=None)
@given(annual=SOME, cloud=SOME, seconds=SOME, more=SOME)
def test_crossovers_fall_with_the_price_of_the_cloud_and_utilisation_rises_with_time(
    annual: float, cloud: float, seconds: float, more: float
) -> None:
    crossover = cost_model.local_cost_crossover(annual, cloud)
    dearer = cost_model.local_cost_crossover(annual, cloud + more)

    assert dearer < crossover
    assert crossover * cloud * 52 == pytest.approx(annual)
    assert cost_model.local_utilization_crossover(crossover, seconds + more) > cost_model.local_utilization_crossover(
        crossover, seconds
    )


@settings(max_examples=30, derandomize=True, deadline=None)
@given(factor=st.floats(min_value=1.01, max_value=50))
def test_longer_runs_cost_more(factor: float) -> None:
    small = job("DLC", "small")
    stage = small.stages[0]
    slower = replace(
        small, stages=(replace(stage, instance_seconds=tuple(s * factor for s in stage.instance_seconds)),)
    )
    for mode in Mode:
        assert cost_model.job_cost(slower, prices_2019(), mode) > cost_model.job_cost(small, prices_2019(), mode)


def test_no_interest_is_a_plain_share_a_year() -> None:
    assert cost_model.equivalent_annual_cost(900, 10, 3, rate=0) == 310
    assert cost_model.annuity_factor(3, 1e-9) == pytest.approx(3)


@pytest.mark.parametrize("years", [0, -1])
def test_a_machine_kept_for_no_time_is_refused(years: float) -> None:
    with pytest.raises(ValueError, match="kept"):
        cost_model.annuity_factor(years)


def test_support_is_not_made_up_for_a_sixth_year() -> None:
    with pytest.raises(ValueError, match="1 to 5 years"):
        cost_model.machine_cost(machine("workstation", "DLC"), 6, "DLC")
