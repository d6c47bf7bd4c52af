"""Pages that cannot go stale: rendered from code, links that lead somewhere, commands that exist."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from ncap_iac.cli import build_parser
from tests.benchmarks.page import PAGE, render_page
from tests.docs.render import PAGES, verbs

ROOT = Path(__file__).resolve().parents[2]
MARKDOWN = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "ncap_blueprints").glob("*/README.md")])


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_reference_page_says_what_the_code_says(name: str, request: pytest.FixtureRequest) -> None:
    page = ROOT / "docs" / "reference" / name
    text = PAGES[name]()
    if request.config.getoption("--update-golden"):
        page.write_text(text)
    assert page.read_text() == text


def test_the_benchmark_page_shows_the_committed_figures() -> None:
    figures = json.loads((ROOT / "docs" / "benchmarks.json").read_text())
    assert PAGE.read_text() == render_page(figures)


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if not re.match(r"https?://", link) and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_shown_commands_exist(page: Path) -> None:
    """Each `ncap …` line of a shell block names a verb and options that the command has."""
    known = dict(verbs(build_parser()))
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] != ["ncap"]:
                continue
            words = words[: words.index("--")] if "--" in words else words
            plain = [word for word in words if word not in ("--aws",)]
            verb = next((tuple(plain[:size]) for size in (3, 2) if tuple(plain[:size]) in known), None)
            assert verb, f"{page.name}: {line}"
            options = {option for action in known[verb]._actions for option in action.option_strings}
            unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in options]
            assert unknown == [], f"{page.name}: {line}"


def test_the_ci_script_runs_the_readme_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    readme = (ROOT / "README.md").read_text()
    assert "<!-- test command -->" in script
    assert readme.count("<!-- test command -->") == 1
