"""The budget of a group over all analyses: taken, settled and given back together with that of the analysis."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jobmanager.funds import Funds, FundsError, read_funds
from tests.fakes.aws_session import CrashError
from tests.fakes.platform import GROUP, FakePlatform

JOB = "job__kalman-lds_1"


class _Parameters:
    def __init__(self, values: dict[str, str]) -> None:
        self.values, self.calls = values, 0

    def parameters(self, names: Sequence[str]) -> dict[str, str]:
        self.calls += 1
        return {name: self.values[name] for name in names if name in self.values}


def test_both_budgets_are_read_in_one_call() -> None:
    reader = _Parameters({"/neurocaas/budgets/demo/total": "7.5"})
    assert read_funds(reader, "demo", "a", default_usd="300") == Funds(300_000_000, 7_500_000)
    assert reader.calls == 1
    assert read_funds(_Parameters({}), "demo", "a", default_usd="0") == Funds(0, None)


def test_a_total_that_is_no_amount_is_refused_in_words() -> None:
    with pytest.raises(FundsError, match="the total budget of your group is written as 'ten'"):
        read_funds(_Parameters({"/neurocaas/budgets/demo/total": "ten"}), "demo", "a", default_usd="1")


def test_the_total_stands_against_a_job_though_the_analysis_could_pay(memory: FakePlatform) -> None:
    memory.set_budget("0.15", analysis="total")
    memory.upload()
    memory.submit()
    memory.submit(timestamp="2")
    end = memory.result("job__kalman-lds_2", "end")
    assert end.startswith("REJECTED\n")
    assert "up to $0.10" in end
    assert "only $0.05 is left of the budget of $0.15 of your group for all analyses together" in end
    assert "for this analysis" not in end
    assert len(memory.instances) == 1


def test_a_job_dearer_than_both_budgets_is_told_so_of_both(memory: FakePlatform) -> None:
    memory.set_budget("0.01")
    memory.set_budget("0", analysis="total")
    memory.upload()
    memory.submit()
    end = memory.result(JOB, "end")
    assert "of the budget of $0.01 for this analysis" in end
    assert "of the budget of $0.00 of your group for all analyses" in end
    assert memory.budget(analysis="total") == memory.budget() == (0, 0)


def test_two_analyses_never_both_get_the_last_dollar_of_the_total(memory: FakePlatform) -> None:
    memory.set_budget("0.15", analysis="total")
    memory.upload()
    other = memory.submission(timestamp="other", key="demo/submissions/other-submit.json")

    def race(number: int, service: str, operation: str) -> None:
        if operation == "transact_write_items":
            memory.session.before = None
            memory.deploy(analysis="locanmf")
            memory.deliver(other)
            memory.deploy()

    memory.session.before = race
    memory.submit()
    outcomes = sorted(str(row["state"]) for row in memory.rows("JOB#") if row["sk"] == "JOB")
    assert outcomes == ["REJECTED", "RUNNING"]
    assert len(memory.instances) == 1
    assert memory.budget(analysis="total")[0] <= 150_000


def test_total_and_analysis_stay_equal_through_retry_cancel_and_end(memory: FakePlatform) -> None:
    keys = memory.upload(["x.csv", "y.csv", "z.csv"])
    memory.session.grants = [2]
    memory.submit(dataname=keys)

    def equal() -> tuple[int, int]:
        assert memory.budget() == memory.budget(analysis="total")
        return memory.budget()

    reserved = equal()[0]
    memory.clock.advance(minutes=5)
    memory.end(memory.instances[0])  # lost: tried again from what is left
    assert equal()[0] == reserved
    memory.end(memory.instances[1], job=JOB, label="y.csv")
    assert equal()[0] < reserved
    key = "demo/submissions/c-submit.json"
    memory.deliver(memory.event_for(key, memory.put(key, {"cancel": JOB})))
    committed, spent = equal()
    assert committed == spent > 0
    assert memory.result(JOB, "end").startswith("CANCELLED")


def test_the_certificate_shows_what_is_left_of_the_tighter_budget(memory: FakePlatform) -> None:
    memory.set_budget("2", analysis="total")
    memory.upload()
    memory.submit()
    memory.change(memory.instances[0], "running")
    assert "BUDGET REMAINING: $1.90" in memory.result(JOB, "certificate")


def test_a_job_admitted_before_there_were_totals_leaves_the_total_alone(memory: FakePlatform) -> None:
    memory.upload()
    memory.submit()
    for row in memory.rows(""):
        if "in_total" in row:
            key = {name: {"S": str(row[name])} for name in ("pk", "sk")}
            memory.session.backend("dynamodb").update_item(
                TableName="neurocaas-ledger",
                Key=key,
                UpdateExpression="REMOVE #n0",
                ExpressionAttributeNames={"#n0": "in_total"},
            )
    before = memory.budget(analysis="total")
    memory.end(memory.instances[0], job=JOB)
    assert memory.budget(analysis="total") == before
    assert memory.budget()[0] == memory.budget()[1]


def test_the_largest_first_transaction_holds_both_budgets(memory: FakePlatform) -> None:
    memory.submit(dataname=memory.upload([f"{k:03d}.csv" for k in range(95)]))  # the fake refuses more than 100 writes
    assert len(memory.instances) == 95
    assert memory.budget() == memory.budget(analysis="total")


def test_a_crash_after_the_admission_reserves_the_total_once(memory: FakePlatform) -> None:
    memory.upload()
    event = memory.submission()

    def dies(number: int, service: str, operation: str) -> None:
        if operation == "transact_write_items":
            raise CrashError

    memory.session.after = dies
    with pytest.raises(CrashError):
        memory.deliver(event)
    memory.session.after = None
    memory.deliver(event)
    assert memory.budget(analysis="total") == memory.budget()
    assert memory.budget(GROUP)[0] < 110_000
