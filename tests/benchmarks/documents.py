"""Measurements of documents: validating 100 of them, compiling all blueprints, compiling a profile of 300 groups.

Each figure is a ratio to something a machine does without us in the same run, so that machines can be compared.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.stories.laboratory import ROOT

DOCUMENTS = 100
GROUPS = 300
REPEATS = 5
BLUEPRINT = "stack_config_template.json"


@dataclass(frozen=True)
class Row:
    """One measurement: seconds of ours, seconds of the yardstick, and what the yardstick is."""

    name: str
    seconds: float
    yardstick_s: float
    yardstick: str

    @property
    def ratio(self) -> float:
        """Ours by the yardstick's."""
        return self.seconds / self.yardstick_s


def figures() -> Mapping[str, str]:
    """All measurements of documents, as the page shows them."""
    return {row.name: f"{row.seconds:.3f} s, {row.ratio:.1f} x {row.yardstick}" for row in measure_documents()}


def measure_documents() -> list[Row]:
    """All measurements of documents, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        files = _many_blueprints(Path(folder))
        return [_validate_command(files), _validate(files), _compile_blueprints(), _compile_users()]


def _median(run: Callable[[], object]) -> float:
    """Median wall seconds, after one run that fills the caches."""
    run()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _many_blueprints(folder: Path) -> list[Path]:
    """100 blueprints in the forms the predecessor had, each with a name of its own."""
    shapes = sorted((ROOT / "tests" / "compiler" / "legacy" / "blueprints").glob("*.json"))
    found = []
    for number in range(DOCUMENTS):
        document = json.loads(shapes[number % len(shapes)].read_text()) | {"PipelineName": f"analysis-{number}"}
        path = folder / f"{number}" / BLUEPRINT
        path.parent.mkdir()
        path.write_text(json.dumps(document, indent=2))
        found.append(path)
    return found


def _validate_command(files: list[Path]) -> Row:
    """`ncap blueprint validate` of 100 files, the start of the command included."""
    words = [sys.executable, "-m", "ncap_iac", "blueprint", "validate", *map(str, files), "--output", "json"]
    ours = _median(lambda: subprocess.run(words, check=False, capture_output=True, cwd=ROOT))
    bare = _median(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    return Row(f"ncap blueprint validate, {len(files)} files", ours, bare, "a bare interpreter")


def _validate(files: list[Path]) -> Row:
    """The same without the start of the command."""
    from ncap_iac.project import Kind
    from ncap_iac.review.findings import findings_of

    ours = _median(lambda: findings_of(files, Kind.BLUEPRINT))
    parsed = _median(lambda: [json.loads(path.read_text()) for path in files])
    return Row(f"findings of {len(files)} blueprints", ours, parsed, "json.loads of the same files")


def _compile_blueprints() -> Row:
    """Every blueprint of the project, from JSON to template text."""
    from ncap_compiler import compile_analysis, load_blueprint

    files = sorted((ROOT / "ncap_blueprints").glob(f"*/{BLUEPRINT}"))

    def compile_all() -> list[str]:
        found = []
        for file in files:
            parameters = file.parent / "parameters.schema.json"
            compiled = compile_analysis(
                load_blueprint(file.read_text(), file=str(file)),
                bundle_sha256="0" * 64,
                parameters_schema=parameters.read_text() if parameters.exists() else None,
            )
            found.append(compiled.template)
        return found

    return _against_rendering(f"compile {len(files)} blueprint{'s' if len(files) > 1 else ''}", compile_all)


def _compile_users() -> Row:
    """A profile of 300 groups of five members and three analyses, from JSON to template texts."""
    from ncap_compiler import compile_users, load_profile

    groups = [
        {
            "AffiliateName": f"lab-{number}",
            "UserNames": [f"member-{number}-{member}" for member in range(5)],
            "Pipelines": ["kalman-lds", "spike-sorting", "pose-tracking"],
            "Budget": {"total": 100, "kalman-lds": 25},
        }
        for number in range(GROUPS)
    ]
    text = json.dumps({"UXData": {"Affiliates": groups}}, indent=2)

    def compile_all() -> list[str]:
        stacks = compile_users(load_profile(text, file="profile.json"), name="many")
        return [stack.template for stack in stacks]

    return _against_rendering(f"compile a profile of {GROUPS} groups", compile_all)


def _against_rendering(name: str, run: Callable[[], list[str]]) -> Row:
    """Compiling against writing the very templates with `json.dumps`."""
    finished = [json.loads(template) for template in run()]
    written = _median(lambda: [json.dumps(template, indent=2, sort_keys=True) for template in finished])
    return Row(name, _median(run), written, "json.dumps of the templates")
