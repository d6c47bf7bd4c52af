"""Documents of a project → what they compile to. Reads files and calls the compiler; asks no cloud, changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncap_iac.deploy.wanted import Artifact, Version, Wanted
from ncap_iac.errors import DocumentProblemsError, UsageError
from ncap_iac.neighbours import step_problems
from ncap_iac.project import Kind, Project, bundle_sources, read_bytes, read_text

if TYPE_CHECKING:
    from ncap_compiler import Blueprint, Bundle, Problem, Profile
    from ncap_compiler.stages import Stage
    from ncap_iac.job.scatter import Scatter

PARAMETERS_FILE = "parameters.schema.json"
RESERVED_PARAMETERS = frozenset({"__duration__", "__dataset_size__", "__steps__"})
"""Parameters every analysis has; the job manager checks them."""


def problems_of(paths: Iterable[Path], kind: Kind) -> tuple[Problem, ...]:
    """All problems of all documents, and of the parameter schemas beside blueprints."""
    from ncap_compiler import DocumentError, load_blueprint, load_parameters_schema, load_profile
    from ncap_compiler.document import decode_text

    load = load_blueprint if kind is Kind.BLUEPRINT else load_profile
    found: list[Problem] = []
    for path in paths:
        beside = path.parent / PARAMETERS_FILE
        readers = [(path, load)]
        if kind is Kind.BLUEPRINT and beside.is_file():
            readers.append((beside, load_parameters_schema))  # type: ignore[arg-type]
        for document, reader in readers:
            try:
                reader(decode_text(read_bytes(document), str(document)), file=str(document))
            except DocumentError as error:
                found += error.problems
        if kind is Kind.BLUEPRINT and not any(problem.file == str(path) for problem in found):
            found += step_problems(read_text(path), path)
    return tuple(found)


def checked(paths: Sequence[Path], kind: Kind) -> None:
    """Raises DocumentProblemsError if any of the documents has a problem."""
    problems = problems_of(paths, kind)
    if problems:
        raise DocumentProblemsError(tuple(str(problem) for problem in problems))


def analysis_name(path: Path) -> str:
    """The analysis a blueprint describes. Raises DocumentProblemsError."""
    from ncap_compiler import load_blueprint

    checked([path], Kind.BLUEPRINT)
    return load_blueprint(read_text(path), file=str(path)).analysis


@dataclass(frozen=True)
class Described:
    """One document, for a list."""

    name: str
    path: Path
    title: str
    details: str
    problems: int


def describe_document(path: Path, kind: Kind) -> Described:
    """What a document is about, also if it has problems."""
    from ncap_compiler import load_blueprint, load_profile

    problems = problems_of([path], kind)
    if problems:
        return Described(path.parent.name, path, "", "", len(problems))
    if kind is Kind.BLUEPRINT:
        blueprint = load_blueprint(read_text(path), file=str(path))
        title = blueprint.description.title or ""
        return Described(path.parent.name, path, title, blueprint.hardware.ami, 0)
    groups = load_profile(read_text(path), file=str(path)).groups
    said = "; ".join(f"{group.name}: {', '.join(group.members)}" for group in groups)
    analyses = sorted({analysis for group in groups for analysis in group.analyses})
    return Described(path.parent.name, path, said, ", ".join(analyses), 0)


class Compiled:
    """Compiles the documents of one project for one stage (none: production); the bundle is made once."""

    def __init__(self, project: Project, stage: Stage | None = None) -> None:
        self.project = project
        self._stage = stage

    @cached_property
    def stage(self) -> Stage:
        """The stage whose names stacks get."""
        from ncap_compiler.stages import PRODUCTION

        return self._stage or PRODUCTION

    @cached_property
    def _sources(self) -> dict[str, bytes]:
        return bundle_sources(self.project.protocols)

    @cached_property
    def bundle(self) -> Bundle:
        """What runs in Lambda."""
        from ncap_compiler import bundle_files

        return bundle_files(self._sources)

    def stack_name(self, kind: Kind, path: Path) -> str:
        """The stack of a document, of several the first. Raises DocumentProblemsError."""
        from ncap_compiler import names

        return names.users_stack(self._profile_name(path)) if kind is Kind.PROFILE else self._blueprint(path).analysis

    def named(self, path: Path) -> str:
        """The stack of a blueprint that may have problems: what it calls itself, in this stage."""
        return (_named(path) or path.resolve().parent.name) + self.stage.suffix

    def account(self) -> Wanted:
        """The account stack, which all stages share."""
        from ncap_compiler import compile_account, names

        template = compile_account(self.bundle.sha256)
        return Wanted(names.ACCOUNT_STACK, template, artifacts=(self._bundle_artifact(self.bundle),))

    def stacks(self, kind: Kind, path: Path) -> tuple[Wanted, ...]:
        """The stacks of a document where none is deployed yet. Raises DocumentProblemsError."""
        return self.users(path) if kind is Kind.PROFILE else (self.analysis(path),)

    def users(
        self, path: Path, placement: Mapping[str, int] | None = None, *, without: Sequence[str] = ()
    ) -> tuple[Wanted, ...]:
        """The stacks of a profile, its groups staying where they are: `placement`, group → number of its stack.

        `without` leaves members out, for a step on the way. Raises DocumentProblemsError.
        """
        from ncap_compiler import compile_users

        profile = self._profile(path)
        staying = tuple(
            replace(
                group,
                members=tuple(name for name in group.members if name not in without),
                suspended=tuple(name for name in group.suspended if name not in without),
            )
            for group in profile.groups
        )
        with document_problems():
            compiled = compile_users(
                replace(profile, groups=staying), name=self._profile_name(path), placement=placement
            )
        return tuple(Wanted(item.stack_name, item.template) for item in compiled)

    def analysis(self, path: Path) -> Wanted:
        """The stack of a blueprint. Raises DocumentProblemsError."""
        from ncap_compiler import bundle_files, compile_analysis, names

        blueprint = self._blueprint(path)
        code = (path.parent / blueprint.code_uri).resolve()
        own = code == self.project.protocols.resolve()
        sources = self._sources if own else bundle_sources(code)
        for handler in filter(None, (blueprint.handler, blueprint.post_handler)):
            check_handler(handler, sources, code, path)
        bundle = self.bundle if own else bundle_files(sources)
        schema = path.parent / PARAMETERS_FILE
        with document_problems():
            compiled = compile_analysis(
                blueprint,
                bundle_sha256=bundle.sha256,
                parameters_schema=read_text(schema) if schema.is_file() else None,
                commit=self.project.commit(),
            )
        key = names.version_key(compiled.version_id)
        return Wanted(
            compiled.stack_name,
            compiled.template,
            artifacts=(self._bundle_artifact(bundle),),
            kept_buckets=(blueprint.analysis,),
            version=Version(compiled.version_id, blueprint.analysis, key, compiled.version_document),
            environment=blueprint.hardware.ami,
        )

    def _profile_name(self, path: Path) -> str:
        return path.resolve().parent.name + self.stage.suffix

    def _blueprint(self, path: Path) -> Blueprint:
        """A blueprint with the names of the stage."""
        from ncap_compiler import load_blueprint
        from ncap_compiler.document import read_document
        from ncap_compiler.stages import stage_blueprint

        checked([path], Kind.BLUEPRINT)
        text = read_text(path)
        with document_problems():
            return stage_blueprint(
                load_blueprint(text, file=str(path)), self.stage, read_document(text, str(path)), self._analyses()
            )

    def _analyses(self) -> frozenset[str]:
        """Every analysis of the project by the name its blueprint gives it."""
        found = (_named(path) for path in self.project.documents(Kind.BLUEPRINT))
        return frozenset(name for name in found if name is not None)

    def _profile(self, path: Path) -> Profile:
        """A profile with the names of the stage."""
        from ncap_compiler import load_profile
        from ncap_compiler.document import read_document
        from ncap_compiler.stages import stage_profile

        checked([path], Kind.PROFILE)
        text = read_text(path)
        with document_problems():
            return stage_profile(load_profile(text, file=str(path)), self.stage, read_document(text, str(path)))

    def _bundle_artifact(self, bundle: Bundle) -> Artifact:
        from ncap_compiler import names

        return Artifact(names.bundle_key(bundle.sha256), bundle.data)


@contextmanager
def document_problems() -> Iterator[None]:
    """Say problems of documents in our words."""
    from ncap_compiler import DocumentError

    try:
        yield
    except DocumentError as error:
        raise DocumentProblemsError(tuple(str(problem) for problem in error.problems)) from error


def _named(path: Path) -> str | None:
    """The PipelineName of a blueprint, also if it has problems."""
    try:
        document = json.loads(read_bytes(path))
    except (ValueError, UsageError):
        return None
    return str(document["PipelineName"]) if isinstance(document, dict) and "PipelineName" in document else None


def check_handler(handler: str, sources: Mapping[str, bytes], code: Path, blueprint: Path) -> None:
    """Refuse a handler the bundle does not have: its function would fail at every event. Raises UsageError."""
    import ast

    module, _, function = handler.partition(".")
    source = sources.get(f"{module}.py")
    tree = ast.parse(source) if source is not None else ast.Module([], [])
    if not any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body):
        raise UsageError(
            f"there is no function {function} in {code / module}.py",
            where=f"{blueprint}: handler {handler}",
            hint="Name one that exists, or leave the handler out.",
        )


def analysis_schema(bucket: str, project: Project) -> Mapping[str, Any] | None:
    """The parameter schema of an analysis, if the project has one for it."""
    for path in project.documents(Kind.BLUEPRINT):
        schema = path.parent / PARAMETERS_FILE
        if not schema.is_file() or _named(path) != bucket:
            continue
        try:
            found: Mapping[str, Any] = json.loads(read_text(schema))
        except ValueError:
            continue
        return found
    return None


def check_config(path: Path, bucket: str, project: Project, *, scatter: Scatter | None = None) -> None:
    """Refuse a config that the analysis's parameter schema refuses, before anything is uploaded. Raises UsageError.

    With a scatter, the config of its first point whole, and each further value by itself.
    """
    values = read_config(path)
    schema = analysis_schema(bucket, project)
    if schema is None:
        return
    said = scatter_problems(values, schema, scatter)
    if said:
        raise UsageError(
            "; ".join(said), where=str(path), hint=f"The parameters of {bucket} are in its {PARAMETERS_FILE}."
        )


def scatter_problems(values: Mapping[str, Any], schema: Mapping[str, Any], scatter: Scatter | None) -> list[str]:
    """Every way in which the configs of a scatter's points break an analysis's schema, each named once.

    No keyword of a parameter schema ties one parameter to another, so each value is tried once.
    """
    points = [] if scatter is None else list(scatter.values())
    said = schema_problems({**values, **(points[0] if points else {})}, schema)
    known = schema.get("properties") or {}
    seen: set[tuple[str, str]] = set()
    for name, value in (item for point in points[1:] for item in point.items()):
        if name in known and (name, text := json.dumps(value)) not in seen:
            seen.add((name, text))
            said += schema_problems({name: value}, {"properties": {name: known[name]}})
    return list(dict.fromkeys(said))


def schema_problems(values: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Every way in which parameters break an analysis's schema; the reserved ones are the platform's."""
    from jsonschema import Draft202012Validator

    own = {name: value for name, value in values.items() if name not in RESERVED_PARAMETERS}
    errors = Draft202012Validator(schema).iter_errors(own)
    return [
        f"{'/'.join(map(str, error.absolute_path)) or 'the config'}: {error.message}"
        for error in sorted(errors, key=lambda error: list(map(str, error.absolute_path)))
    ]


def read_config(path: Path) -> Mapping[str, Any]:
    """A config's parameters. Raises UsageError."""
    import yaml

    text = read_text(path)
    if path.suffix.lower() not in (".json", ".yaml", ".yml"):
        raise UsageError("a config's name ends in .json, .yaml or .yml", where=str(path), hint="Rename the file.")
    try:
        found = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise UsageError(said, where=str(path), hint="Mend the file: it is not JSON or YAML.") from error
    if not isinstance(found, Mapping):
        raise UsageError("it is not a mapping of names to values", where=str(path), hint="Write `name: value` lines.")
    return found
