"""The gateway when services are busy or silent: it pauses a bounded time, then says so; it never spins."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from jobmanager.aws import Gateway
from jobmanager.errors import NO_ANSWER, AwsError, TransactionError
from jobmanager.expressions import Delete, Update
from jobmanager.launch import Refused, classify_refusal


class _Session:
    """Every call raises one error; remembers how clients were made."""

    def __init__(self, error: Exception) -> None:
        self.error, self.calls = error, 0
        self.configs: list[Config] = []

    def client(self, service: str, config: Config) -> Any:
        self.configs.append(config)
        return self

    def __getattr__(self, name: str) -> Any:
        def call(**_: Any) -> None:
            self.calls += 1
            raise self.error

        return call


def _cancelled(*codes: str) -> ClientError:
    reasons = [{"Code": code} for code in codes]
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "m"},
        "CancellationReasons": reasons,
    }
    return ClientError(response, "TransactWriteItems")


@pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_busy_ledger_is_asked_a_few_times_with_growing_pauses_and_then_given_up(code: str) -> None:
    pauses: list[float] = []
    session = _Session(_cancelled("None", code))
    with pytest.raises(TransactionError):
        Gateway(session, sleep=pauses.append).transact("t", [Delete(("a", "b"))])
    assert session.calls == 8
    assert len(pauses) == 7
    assert sum(pauses) < 8
    assert all(0 <= pause <= 0.04 * 2**turn for turn, pause in enumerate(pauses))


def test_pauses_differ_from_process_to_process() -> None:
    seen = set()
    for _ in range(5):
        pauses: list[float] = []
        with pytest.raises(TransactionError):
            Gateway(_Session(_cancelled("TransactionConflict")), sleep=pauses.append).transact("t", [])
        seen.add(tuple(pauses))
    assert len(seen) == 5


def test_a_condition_that_failed_is_not_asked_again() -> None:
    session = _Session(_cancelled("ConditionalCheckFailed", "TransactionConflict"))
    with pytest.raises(TransactionError):
        Gateway(session, sleep=lambda _: pytest.fail("it waited")).transact("t", [])
    assert session.calls == 1


def test_an_update_in_the_way_of_a_transaction_waits_for_it_a_bounded_time() -> None:
    pauses: list[float] = []
    response: Any = {"Error": {"Code": "TransactionConflictException", "Message": "m"}}
    session = _Session(ClientError(response, "UpdateItem"))
    with pytest.raises(AwsError, match="TransactionConflictException"):
        Gateway(session, sleep=pauses.append).update_row("t", Update(("a", "b"), set={"c": 1}))
    assert (session.calls, len(pauses)) == (8, 7)


def test_the_sdk_asks_a_busy_service_five_times_at_most() -> None:
    session = _Session(ReadTimeoutError(endpoint_url="https://ec2"))
    with pytest.raises(AwsError):
        Gateway(session).run_instances({})
    retries: Any = session.configs[0].retries
    assert retries["mode"] == "standard"
    assert retries.get("max_attempts", retries.get("total_max_attempts")) == 5


def test_no_answer_is_an_error_of_its_own_and_a_launch_without_one_is_repeated() -> None:
    with pytest.raises(AwsError) as caught:
        Gateway(_Session(ReadTimeoutError(endpoint_url="https://ec2"))).run_instances({})
    assert caught.value.code == NO_ANSWER
    assert classify_refusal(caught.value.code) is Refused.AGAIN
