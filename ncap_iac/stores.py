"""Where money is written down, as this project reads it: the ledger's sums, budget parameters, deployed analyses.

The gateway's part for budgets. Decides nothing; makes no session. The ledger is only read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ncap_compiler import names
from ncap_iac.errors import NotFoundError

if TYPE_CHECKING:
    from ncap_iac.aws import Session

BUDGETS = "/neurocaas/budgets/"
"""Below it the parameters `<group>/<analysis>` (docs/contracts.md section 1)."""
VERSION_PARAMETER = "VersionId"
_ROWS_A_CALL = 100
_TRIES = 8


@dataclass(frozen=True)
class Sums:
    """What the ledger counts for a group and an analysis, in micro-dollars: spent and reserved together, and spent."""

    committed: int = 0
    spent: int = 0

    @property
    def reserved(self) -> int:
        """What running and waiting datasets hold."""
        return max(0, self.committed - self.spent)


class Ledger:
    """The ledger table's rows of budgets."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def sums(self, budgets: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Sums]:
        """What is counted for each group and analysis (`total`: all analyses). One call a hundred; absent: nothing.

        Keys and attributes are those of `protocols/jobmanager/rows.py`. Raises AccessError, NotFoundError.
        """
        client = self._session.client("dynamodb")
        found: dict[tuple[str, str], Sums] = dict.fromkeys(budgets, Sums())
        wanted = list(dict.fromkeys(budgets))
        for start in range(0, len(wanted), _ROWS_A_CALL):
            by_key = {f"BUDGET#{group}#{name}": (group, name) for group, name in wanted[start : start + _ROWS_A_CALL]}
            keys = [{"pk": {"S": key}, "sk": {"S": "BUDGET"}} for key in by_key]
            for row in self._rows(client, keys):
                found[by_key[row["pk"]["S"]]] = Sums(_number(row, "committed_micro"), _number(row, "spent_micro"))
        return found

    def _rows(self, client: Any, keys: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        left: Any = {names.LEDGER_TABLE: {"Keys": list(keys), "ConsistentRead": True}}
        with self._session.translated(f"ledger {names.LEDGER_TABLE}"):
            for _ in range(_TRIES):
                answer = client.batch_get_item(RequestItems=left)
                yield from answer["Responses"].get(names.LEDGER_TABLE, [])
                left = answer.get("UnprocessedKeys")
                if not left:
                    return


def _number(row: Mapping[str, Any], name: str) -> int:
    return int(row.get(name, {}).get("N", 0))


class Parameters:
    """Budget parameters."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def budgets(self, group: str = "") -> dict[tuple[str, str], str]:
        """The value of every budget parameter, or of a group's, by group and analysis. Raises AccessError."""
        client = self._session.client("ssm")
        path = BUDGETS + group
        found: dict[tuple[str, str], str] = {}
        with self._session.translated(f"parameters {path}"):
            for page in client.get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True):
                for item in page["Parameters"]:
                    of, _, analysis = str(item["Name"]).removeprefix(BUDGETS).partition("/")
                    found[of, analysis] = str(item["Value"])
        return found

    def owner(self, group: str, analysis: str) -> str | None:
        """The stack a budget parameter belongs to; None if it was made by hand, or there is none."""
        client, name = self._session.client("ssm"), names.budget_parameter(group, analysis)
        with self._session.translated(f"parameter {name}"):
            try:
                tags = client.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"]
            except client.exceptions.InvalidResourceId:
                return None
        return next((str(tag["Value"]) for tag in tags if tag["Key"] == names.STACK_TAG), None)

    def put(self, group: str, analysis: str, usd: str) -> None:
        """Write a budget. Raises AccessError."""
        client, name = self._session.client("ssm"), names.budget_parameter(group, analysis)
        with self._session.translated(f"parameter {name}"):
            client.put_parameter(Name=name, Value=usd, Type="String", Overwrite=True)

    def delete(self, group: str, analysis: str) -> None:
        """Take a budget away. Raises AccessError, NotFoundError."""
        client, name = self._session.client("ssm"), names.budget_parameter(group, analysis)
        with self._session.translated(f"parameter {name}"):
            try:
                client.delete_parameter(Name=name)
            except client.exceptions.ParameterNotFound as error:
                raise NotFoundError("there is no such budget", where=f"parameter {name}") from error


class Analyses:
    """The analyses that are deployed: stacks that serve a version."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def served(self, analysis: str = "") -> dict[str, str]:
        """Each deployed analysis and the version it serves by default, or only the one named. Raises AccessError."""
        client = self._session.client("cloudformation")
        named = {"StackName": analysis} if analysis else {}
        found = {}
        try:
            with self._session.translated(f"stack {analysis}" if analysis else "stacks"):
                for page in client.get_paginator("describe_stacks").paginate(**named):
                    for stack in page["Stacks"]:
                        values = {
                            item["ParameterKey"]: item.get("ParameterValue") for item in stack.get("Parameters", [])
                        }
                        if values.get(VERSION_PARAMETER):
                            found[str(stack["StackName"])] = str(values[VERSION_PARAMETER])
        except NotFoundError:
            return {}
        return found
