"""What every workflow keeps to: least rights, pinned actions, no strangers' text in a shell, no request that deploys.

Each rule is a function from a workflow to complaints; every rule is shown a workflow it has to complain about.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
Workflow = dict[str, Any]

MAY_WRITE = {("comment", "pull-requests"), ("deploy", "id-token")}
"""Workflow and right: every other right is `read`."""
OUTSIDE = {"pull_request", "workflow_run", "issue_comment", "issues", "pull_request_review", "discussion", "fork"}
"""Triggers people without any right on the repository can pull."""


def triggers(workflow: Workflow) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    said: Any = workflow.get("on", workflow.get(True))  # type: ignore[call-overload]
    if isinstance(said, str):
        return {said: None}
    return dict.fromkeys(said) if isinstance(said, list) else dict(said)


def jobs(workflow: Workflow) -> dict[str, Any]:
    found: dict[str, Any] = workflow["jobs"]
    return found


def steps(workflow: Workflow) -> Iterator[dict[str, Any]]:
    for job in jobs(workflow).values():
        yield from job.get("steps", ())


def scripts(workflow: Workflow) -> Iterator[str]:
    yield from (str(step["run"]) for step in steps(workflow) if "run" in step)


def uses(workflow: Workflow) -> Iterator[str]:
    yield from (str(step["uses"]) for step in steps(workflow) if "uses" in step)
    yield from (str(job["uses"]) for job in jobs(workflow).values() if "uses" in job)


def rights_are_least(workflow: Workflow) -> Iterator[str]:
    if not isinstance(workflow.get("permissions"), dict):
        yield "the workflow does not say its permissions"
    for scope in (workflow, *jobs(workflow).values()):
        said = scope.get("permissions", {})
        if not isinstance(said, dict):
            yield f"all rights at once: {said}"
            continue
        for right, level in said.items():
            if level not in ("read", "none") and (workflow.get("name"), right) not in MAY_WRITE:
                yield f"{right}: {level}"
    if "write" in str(workflow.get("permissions")):
        yield "a right to write for every job"


def actions_are_pinned(workflow: Workflow) -> Iterator[str]:
    for used in uses(workflow):
        if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", used):
            yield f"{used} is not pinned to a commit"


def requests_never_run_with_rights(workflow: Workflow) -> Iterator[str]:
    if "pull_request_target" in triggers(workflow):
        yield "pull_request_target"
    if OUTSIDE.intersection(triggers(workflow)) - {"pull_request"}:
        yield from (f"takes files of a request: {used}" for used in uses(workflow))
        words = r"\bgit (clone|fetch|pull|checkout)\b|\bgh (pr|repo) (checkout|clone)|\b(pip|npm|make|bash|sh) "
        yield from (
            f"runs what a request may hold: {found}" for run in scripts(workflow) for found in re.findall(words, run)
        )


def no_text_of_strangers_in_a_shell(workflow: Workflow) -> Iterator[str]:
    for run in scripts(workflow):
        yield from (f"expression in a script: {found}" for found in re.findall(r"\$\{\{.*?\}\}", run))
    for step in steps(workflow):
        if "github-script" in str(step.get("uses")):
            yield "a script as an argument"


def outsiders_reach_no_secret(workflow: Workflow) -> Iterator[str]:
    if OUTSIDE.intersection(triggers(workflow)):
        text = json.dumps({"jobs": jobs(workflow), "env": workflow.get("env")})
        yield from (f"a secret: {found}" for found in re.findall(r"secrets\b[.\[]?\w*|secrets: *\"?inherit", text))
        yield from (f"environment of {name}" for name, job in jobs(workflow).items() if "environment" in job)


def deployments_come_from_main_only(workflow: Workflow) -> Iterator[str]:
    for name, job in jobs(workflow).items():
        rights = {**(workflow.get("permissions") or {}), **(job.get("permissions") or {})}
        if rights.get("id-token") != "write" and "AWS_ROLE_ARN" not in json.dumps(job):
            continue
        if set(triggers(workflow)) != {"push"} or triggers(workflow)["push"].get("branches") != ["main"]:
            yield f"{name} can be started otherwise than by a push to main"
        if job.get("environment") != "production":
            yield f"{name} is in no protected environment"


def nothing_keeps_credentials(workflow: Workflow) -> Iterator[str]:
    for step in steps(workflow):
        checks_out = str(step.get("uses", "")).startswith("actions/checkout@")
        if checks_out and step.get("with", {}).get("persist-credentials") is not False:
            yield "a checkout leaves its token in .git/config"


def code_of_a_request_is_data(workflow: Workflow) -> Iterator[str]:
    """Where the base is checked out beside the request, only the base's code is installed or run."""
    places = [step.get("with", {}) for step in steps(workflow) if str(step.get("uses")).startswith("actions/checkout@")]
    changed = [str(place.get("path", ".")) for place in places if "ref" not in place]
    if "pull_request" not in triggers(workflow) or not any("ref" in place for place in places):
        return
    for step in steps(workflow):
        run = str(step.get("run", ""))
        for place in changed:
            if str(step.get("working-directory", "")).split("/")[0] == place:
                yield f"a step works in {place}"
            rest = re.sub(rf'--project "\$GITHUB_WORKSPACE/{place}"', "", run)
            if re.search(rf"(?<![\w-]){re.escape(place)}(?![\w-])", re.sub("#.*", "", rest)):
                yield f"a step does more with {place} than name it as a project"


def jobs_are_bounded(workflow: Workflow) -> Iterator[str]:
    for name, job in jobs(workflow).items():
        if "timeout-minutes" not in job:
            yield f"{name} may run for six hours"
        if "self-hosted" in str(job.get("runs-on")):
            yield f"{name} runs on a machine of ours"


Rule = Callable[[Workflow], Iterator[str]]
CHECKOUT = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683"


def bad(on: Any, *job_steps: Any, permissions: Any = None, **job: Any) -> Workflow:
    found: Workflow = {"name": "bad", "on": on, "jobs": {"one": {"steps": list(job_steps), **job}}}
    return found if permissions is None else {**found, "permissions": permissions}


DEPLOYS = {"permissions": {"id-token": "write"}}
BASE = {"uses": CHECKOUT, "with": {"ref": "x", "path": "base"}}
CHANGE = {"uses": CHECKOUT, "with": {"path": "change"}}

RULES: list[tuple[Rule, list[Workflow]]] = [
    (
        rights_are_least,
        [
            bad("push"),
            bad("push", permissions="write-all"),
            bad("push", permissions={"contents": "write"}),
            {**bad("push"), "jobs": {"one": {"permissions": {"contents": "write"}}}, "permissions": {}},
            {**bad("push", permissions={"pull-requests": "write"}), "name": "comment"},
        ],
    ),
    (
        actions_are_pinned,
        [
            bad("push", {"uses": "actions/checkout@v4"}),
            bad("push", {"uses": "actions/checkout@main"}),
            bad("push", {"uses": "./.github/actions/own"}),
            bad("push", {"uses": "docker://alpine:3"}),
            bad("push", uses="someone/else/.github/workflows/x.yml@v1"),
        ],
    ),
    (
        requests_never_run_with_rights,
        [
            bad("pull_request_target"),
            bad({"workflow_run": {}}, {"uses": CHECKOUT}),
            bad({"workflow_run": {}}, {"run": 'gh pr checkout "$NUMBER"'}),
            bad(["issue_comment"], {"run": "git fetch origin"}),
            bad("workflow_run", {"run": "pip install ."}),
        ],
    ),
    (
        no_text_of_strangers_in_a_shell,
        [
            bad("pull_request", {"run": "echo ${{ github.event.pull_request.title }}"}),
            bad("push", {"run": "x\nname='${{ github.head_ref }}'"}),
            bad("push", {"uses": "actions/github-script@" + "0" * 40}),
        ],
    ),
    (
        outsiders_reach_no_secret,
        [
            bad("pull_request", {"env": {"KEY": "${{ secrets.KEY }}"}}),
            bad("pull_request", {"env": {"KEY": "${{ secrets['KEY'] }}"}}),
            bad("workflow_run", secrets="inherit", env={"A": "${{ toJSON(secrets) }}"}),
            bad("pull_request", environment="production"),
        ],
    ),
    (
        deployments_come_from_main_only,
        [
            bad("pull_request", environment="production", **DEPLOYS),
            bad({"push": {"branches": ["main"]}, "pull_request": None}, environment="production", **DEPLOYS),
            bad({"push": {"branches": ["**"]}}, environment="production", **DEPLOYS),
            bad({"push": {"branches": ["main"]}}, **DEPLOYS),
            bad({"workflow_dispatch": {}}, {"env": {"AWS_ROLE_ARN": "x"}}),
        ],
    ),
    (nothing_keeps_credentials, [bad("push", {"uses": CHECKOUT}), bad("push", {"uses": CHECKOUT, "with": {}})]),
    (
        code_of_a_request_is_data,
        [
            bad("pull_request", BASE, CHANGE, {"run": "pip install ./change"}),
            bad("pull_request", BASE, CHANGE, {"run": "cd change\npython setup.py"}),
            bad("pull_request", BASE, CHANGE, {"run": "python -m ncap_iac", "working-directory": "change"}),
        ],
    ),
    (jobs_are_bounded, [bad("push"), bad("push", **{"timeout-minutes": 5, "runs-on": ["self-hosted"]})]),
]


@pytest.mark.parametrize("rule", [rule for rule, _ in RULES], ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_workflow_keeps_the_rule(file: Path, rule: Rule) -> None:
    assert list(rule(yaml.safe_load(file.read_text()))) == []


@pytest.mark.parametrize(
    ("rule", "workflow"),
    [(rule, workflow) for rule, examples in RULES for workflow in examples],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_rule_catches_a_workflow_that_breaks_it(rule: Rule, workflow: Workflow) -> None:
    assert list(rule(workflow)) != []


# --- the comment's script, run with a `gh` that answers from files ---

SHA = "a" * 40
HOSTILE = "### Report\n- `x` @someone <img src=x> <!-- -->\n[a](http://evil) www.evil.org #12 \u202e\x1b[31m ![x](y)\n"


def comment_script() -> str:
    workflow = yaml.safe_load((ROOT / ".github/workflows/comment.yml").read_text())
    return next(scripts(workflow))


@pytest.fixture
def comment(tmp_path: Path) -> Callable[..., list[list[str]]]:
    """Runs the script with a report; gives what `gh` was asked to do to comments."""

    def run(report: str, *, head: str = SHA, earlier: list[dict[str, Any]] | None = None) -> list[list[str]]:
        with zipfile.ZipFile(tmp_path / "made.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("check.md", report)
            archive.writestr("number.txt", "666")
        size = (tmp_path / "made.zip").stat().st_size
        artifact = {"id": 7, "name": "check-report", "size_in_bytes": size, "expired": False}
        answers = {
            "pulls": [{"number": 12, "head": {"sha": "b" * 40}}, {"number": 34, "head": {"sha": head}}],
            "artifacts": {"artifacts": [artifact]},
            "comments": earlier or [],
        }
        for name, answer in answers.items():
            (tmp_path / name).write_text(json.dumps(answer))
        (tmp_path / "calls").write_text("")
        gh = tmp_path / "gh"
        gh.write_text(
            "#!/bin/sh\n"
            f'cd "{tmp_path}"\n'
            'case "$*" in\n'
            "  *'-X POST'*|*'-X PATCH'*) printf '%s\\n' \"$*\" >> calls ;;\n"
            "  */zip*) cat made.zip ;;\n"
            "  */artifacts*) cat artifacts ;;\n"
            "  */comments*) cat comments ;;\n"
            "  */pulls*) cat pulls ;;\n"
            "  *) exit 9 ;;\n"
            "esac\n"
        )
        gh.chmod(0o755)
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}", "RUNNER_TEMP": str(tmp_path), "REPOSITORY": "us/ours",
            "RUN_ID": "99", "HEAD_SHA": SHA, "HEAD_OWNER": "someone", "HEAD_BRANCH": "a; touch pwned $(id)",
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-e", "-c", comment_script()], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return [line.split() for line in (tmp_path / "calls").read_text().splitlines()]

    return run


def test_the_comment_goes_to_the_request_at_that_commit(comment: Callable[..., list[list[str]]]) -> None:
    calls = comment("fine\n")
    assert [call[1:4] for call in calls] == [["-X", "POST", "repos/us/ours/issues/34/comments"]]


def test_a_report_for_a_commit_that_is_no_longer_there_is_dropped(comment: Callable[..., list[list[str]]]) -> None:
    assert comment("fine\n", head="c" * 40) == []


def test_only_a_comment_of_its_own_is_changed(comment: Callable[..., list[list[str]]]) -> None:
    forged = {"id": 1, "user": {"login": "someone"}, "body": "<!-- ncap check --> hello"}
    own = {"id": 2, "user": {"login": "github-actions[bot]"}, "body": "<!-- ncap check -->\nx"}
    assert [call[1:4] for call in comment("x\n", earlier=[forged, own])] == [
        ["-X", "PATCH", "repos/us/ours/issues/comments/2"]
    ]
    assert [call[2] for call in comment("x\n", earlier=[forged])] == ["POST"]


def test_a_hostile_report_can_mention_link_and_mark_up_nothing(
    comment: Callable[..., list[list[str]]], tmp_path: Path
) -> None:
    assert comment(HOSTILE + "x" * 230_000)
    body = json.loads((tmp_path / "body.json").read_text())["body"]
    marker, _, rest = body.partition("\n")
    assert marker == "<!-- ncap check -->"
    for part in ("@someone", "<img", "<!--", "](", "://", "www.", "#12", "\u202e", "\x1b"):
        assert part not in rest
    assert "### Report" in rest
    assert len(body) < 65_536
    assert not (tmp_path / "pwned").exists()


def test_a_report_that_unpacks_to_very_much_is_read_only_so_far(
    comment: Callable[..., list[list[str]]], tmp_path: Path
) -> None:
    assert comment("@" * 30_000_000)
    assert len(json.loads((tmp_path / "body.json").read_text())["body"]) < 65_536
