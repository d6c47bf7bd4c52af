"""A blueprint: one analysis as values, read from and written to its document.

`load_blueprint` reports every problem at once or returns a complete value; `dump_blueprint` writes a document that
loads to the same value. What the document may hold is in `schemas/blueprint.json`; the rules a schema cannot state
are in `blueprint_checks`. This module must not derive names or resources.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from ncap_compiler import defaults
from ncap_compiler.blueprint_checks import REFUSED_FIELDS, check_blueprint
from ncap_compiler.document import Document, Json, read_document, render_json
from ncap_compiler.errors import DocumentError, Notice
from ncap_compiler.ignored import BLUEPRINT_FIELDS, CONFIG, GROUPS, IgnoredField, ignored_fields
from ncap_compiler.notices import blueprint_notices
from ncap_compiler.shapes import check_shape
from ncap_compiler.steps import Step, dump_steps, next_analyses, read_steps
from ncap_compiler.values import dollars, put_at, text_or_none, texts, whole


@dataclass(frozen=True, slots=True)
class Description:
    """What an analysis is, for people; None where the document says nothing."""

    title: str | None = None
    paper: str | None = None
    code: str | None = None
    contact: str | None = None


@dataclass(frozen=True, slots=True)
class Hardware:
    """Environment and limits of an analysis (`LambdaConfig`)."""

    ami: str
    instance_types: tuple[str, ...]
    allowed_instance_types: tuple[str, ...]
    command: str | None
    working_directory: str | None
    deploy_limit: int
    max_cost_usd: str
    max_duration_minutes: int
    max_dataset_size_gb: int
    volume_size_gib: int
    submit_timeout_s: int
    spot: str = defaults.SPOT
    """When jobs may run on spot instances: one of `defaults.SPOT_POLICIES`."""

    @property
    def environment_name(self) -> str | None:
        """Name of the immutable environment, None when `ami` is a literal AMI."""
        return self.ami[len("iae:") :].partition("@")[0] if self.ami.startswith("iae:") else None


@dataclass(frozen=True, slots=True)
class BlueprintGroup:
    """A group that may use the analysis, with its members as the blueprint tells them."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One analysis. `post_handler` is None when nothing runs after a job; `retention_days` None keeps results.

    `notices` are about the document, not part of the analysis.
    """

    analysis: str
    region: str | None
    description: Description
    code_uri: str
    handler: str
    post_handler: str | None
    post_trigger: str
    hardware: Hardware
    groups: tuple[BlueprintGroup, ...]
    steps: tuple[Step, ...]
    retention_days: int | None
    schema: str | None
    ignored: tuple[IgnoredField, ...]
    notices: tuple[Notice, ...] = field(default=(), compare=False)

    @property
    def title(self) -> str:
        """The analysis in one line."""
        return self.description.title or self.analysis

    @property
    def group_names(self) -> tuple[str, ...]:
        """The groups that may use the analysis."""
        return tuple(group.name for group in self.groups)

    @property
    def next_analyses(self) -> tuple[str, ...]:
        """The analyses its steps hand results to."""
        return next_analyses(self.steps)


def load_blueprint(text: str, *, file: str) -> Blueprint:
    """Read a blueprint. Raises DocumentError with all problems: of the text, the schema and the rules."""
    document = read_document(text, file)
    shape = check_shape(document, "blueprint", REFUSED_FIELDS)
    problems = (*shape, *check_blueprint(document, frozenset(problem.pointer for problem in shape)))
    if problems:
        raise DocumentError(problems)
    return _blueprint(document)


def dump_blueprint(blueprint: Blueprint) -> str:
    """A blueprint as a document with every effective value spelled out; `load_blueprint` gives the same value."""
    root: dict[str, Json] = {}
    if blueprint.schema is not None:
        root["$schema"] = blueprint.schema
    root["PipelineName"] = blueprint.analysis
    if blueprint.region is not None:
        root["REGION"] = blueprint.region
    about = blueprint.description
    described = {"Title": about.title, "Paper": about.paper, "Code": about.code, "Contact": about.contact}
    if any(value is not None for value in described.values()):
        root["Description"] = {name: value for name, value in described.items() if value is not None}
    code: dict[str, Json] = {"CodeUri": blueprint.code_uri, "Handler": blueprint.handler}
    if blueprint.post_handler is not None:
        code["PostCodeUri"] = blueprint.code_uri
        code["PostHandler"] = blueprint.post_handler
    code["PostTrigger"] = blueprint.post_trigger
    code["LambdaConfig"] = _dump_hardware(blueprint.hardware)
    root["Lambda"] = code
    root["UXData"] = {
        "Affiliates": [{"AffiliateName": group.name, "UserNames": list(group.members)} for group in blueprint.groups]
    }
    if blueprint.steps:
        root["Steps"] = dump_steps(blueprint.steps)
    if blueprint.retention_days is not None:
        root["Retention"] = blueprint.retention_days
    for unused in blueprint.ignored:
        put_at(root, unused.pointer, json.loads(unused.value))
    return render_json(root)


def _dump_hardware(hardware: Hardware) -> dict[str, Json]:
    config: dict[str, Json] = {
        "AMI": hardware.ami,
        "INSTANCE_TYPE": list(hardware.instance_types),
        "ALLOWED_INSTANCE_TYPES": list(hardware.allowed_instance_types),
    }
    if hardware.command is not None:
        config["COMMAND"] = hardware.command
    if hardware.working_directory is not None:
        config["WORKING_DIRECTORY"] = hardware.working_directory
    return config | {
        "DEPLOY_LIMIT": hardware.deploy_limit,
        "MAXCOST": hardware.max_cost_usd,
        "MAX_DURATION": hardware.max_duration_minutes,
        "MAX_DATASET_SIZE": hardware.max_dataset_size_gb,
        "VOLUME_SIZE": hardware.volume_size_gib,
        "EXECUTION_TIMEOUT": hardware.submit_timeout_s,
        "SPOT": hardware.spot,
    }


def _blueprint(document: Document) -> Blueprint:
    root = document.value
    retention = root.get("Retention")
    ignored = ignored_fields(document, BLUEPRINT_FIELDS)
    return Blueprint(
        analysis=str(root["PipelineName"]),
        region=text_or_none(root.get("REGION")) or text_or_none(document.get(f"{CONFIG}/REGION")),
        description=Description(
            title=text_or_none(document.get("/Description/Title")),
            paper=text_or_none(document.get("/Description/Paper")),
            code=text_or_none(document.get("/Description/Code")),
            contact=text_or_none(document.get("/Description/Contact")),
        ),
        code_uri=str(document.get("/Lambda/CodeUri")),
        handler=defaults.EARLIER_HANDLERS.get(handler := str(document.get("/Lambda/Handler")), handler),
        post_handler=text_or_none(document.get("/Lambda/PostHandler")) or None,
        post_trigger=text_or_none(document.get("/Lambda/PostTrigger")) or defaults.POST_TRIGGER,
        hardware=_hardware(document),
        groups=_groups(document),
        steps=read_steps(document),
        retention_days=whole(retention, 0) if retention is not None else None,
        schema=text_or_none(root.get("$schema")),
        ignored=ignored,
        notices=blueprint_notices(document, ignored),
    )


def _hardware(document: Document) -> Hardware:
    config = document.get(CONFIG)
    if not isinstance(config, dict):
        raise TypeError("checked documents have a LambdaConfig object")
    types = texts(config["INSTANCE_TYPE"])
    allowed = texts(config.get("ALLOWED_INSTANCE_TYPES"))
    ssm_timeout_minutes = whole(config.get("SSM_TIMEOUT"), defaults.MAX_DURATION_MINUTES * 60) // 60
    return Hardware(
        ami=str(config["AMI"]),
        instance_types=types,
        allowed_instance_types=(*types, *(kind for kind in allowed if kind not in types)),
        command=text_or_none(config.get("COMMAND")),
        working_directory=text_or_none(config.get("WORKING_DIRECTORY")),
        deploy_limit=whole(config.get("DEPLOY_LIMIT"), defaults.DEPLOY_LIMIT),
        max_cost_usd=dollars(config.get("MAXCOST"), defaults.MAX_COST_USD),
        max_duration_minutes=whole(config.get("MAX_DURATION"), ssm_timeout_minutes),
        max_dataset_size_gb=whole(config.get("MAX_DATASET_SIZE"), defaults.MAX_DATASET_SIZE_GB),
        volume_size_gib=whole(config.get("VOLUME_SIZE"), defaults.VOLUME_SIZE_GIB),
        submit_timeout_s=whole(config.get("EXECUTION_TIMEOUT"), defaults.SUBMIT_TIMEOUT_S),
        spot=text_or_none(config.get("SPOT")) or defaults.SPOT,
    )


def _groups(document: Document) -> tuple[BlueprintGroup, ...]:
    groups = document.get(GROUPS)
    return tuple(
        BlueprintGroup(str(group["AffiliateName"]), texts(group.get("UserNames")))
        for group in (groups if isinstance(groups, list) else [])
        if isinstance(group, dict)
    )
