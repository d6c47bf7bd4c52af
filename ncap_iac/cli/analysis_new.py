"""`ncap analysis new`: a folder for an analysis, from a template or around a script. Flags answer every question."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind, read_text

if TYPE_CHECKING:
    from ncap_iac.analysis.making import Group
    from ncap_iac.analysis.script import Script

DEFAULT_GROUP = "demo"


def add_new(verbs: SubParsers) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "new",
        "Make a folder for an analysis: blueprint, parameters, environment, workflow, sample, check, README.",
        [
            "ncap analysis new spectra",
            "ncap analysis new spectra --title 'Rhythms of channels' --requirement scipy==1.17.1 --group demo",
            "ncap analysis new sorter --from-script sort.py --sample small.csv --requirement scikit-learn==1.8.0",
            "ncap analysis new sorter --from-script sort.py \\\n"
            "      --command-line 'python sort.py --in {data} --params {config} --out {results}'",
        ],
        run=run_new,
        detail="Without --from-script the folder is a working analysis (power spectra of a recording) to be changed\n"
        "into yours. Nothing is asked, nothing needs the network unless --requirement is given: the usual numpy stack\n"
        "is locked already. The environment is pinned; `ncap blueprint validate NAME` is content at once.",
    )
    parser.add_argument("name", metavar="NAME", help="its name: 3 to 63 of a-z, 0-9 and '-'; also its bucket's")
    parser.add_argument("--title", help="what it does, in a few words")
    parser.add_argument("--python", metavar="RANGE", help="the Pythons it runs on (>=3.11,<3.15)")
    parser.add_argument(
        "--requirement",
        dest="requirements",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a package with its version, scipy==1.17.1, beside or instead of the template's; may be repeated",
    )
    parser.add_argument(
        "--group",
        dest="groups",
        action="append",
        default=[],
        metavar="GROUP",
        help=f"a group that may use it ({DEFAULT_GROUP}); may be repeated",
    )
    script = parser.add_argument_group("around a script of yours")
    script.add_argument("--from-script", metavar="PATH", help="the script; it is copied into the environment")
    script.add_argument(
        "--command-line",
        metavar="WORDS",
        help="how it is called: {data}, {config}, {results} and {stem} are filled in (PROGRAM SCRIPT {data} {config} "
        "{results})",
    )
    script.add_argument(
        "--with-file", dest="files", action="append", default=[], metavar="PATH", help="a file it needs beside it"
    )
    script.add_argument(
        "--sample", dest="samples", action="append", default=[], metavar="FILE", help="a small dataset for the test"
    )
    script.add_argument("--sample-config", metavar="FILE", help="the config of the test ({})")


def run_new(context: Context) -> Answer:
    """Make it, or say why not."""
    from ncap_iac.analysis.making import PYTHON, Wish, checked_name, checked_python, make_analysis
    from ncap_iac.cli.environment import image_maker
    from ncap_iac.deploy.image_upkeep import lock

    arguments, project = context.arguments, context.project
    name = checked_name(arguments.name, project)
    script = _script(context)
    title = " ".join((arguments.title or name.replace("-", " ").capitalize()).split())
    if not title.isprintable() or '"""' in title or "\\" in title or "@" in title:
        raise UsageError("it cannot be used as a title", where="--title", hint="Use plain words.")
    wish = Wish(
        name=name,
        title=title,
        groups=tuple(_group(context, group) for group in arguments.groups or [DEFAULT_GROUP]),
        python=checked_python(arguments.python or PYTHON),
        requirements=tuple(arguments.requirements),
        script=script,
    )
    maker = image_maker(context)
    made = make_analysis(
        wish,
        project,
        lock=lambda folder: lock(maker, folder, upgrade=False),
        environment_of=lambda folder: maker.source(folder).environment,
    )
    for warning in made.warnings:
        context.report(progress.Warned(warning))
    root = project.root
    is_testable = script is None or bool(script.samples)
    return Answer(
        kind="NewAnalysis",
        data={
            "name": name,
            "folder": str(made.folder),
            "environment": made.environment,
            "files": [str(path.relative_to(made.folder)) for path in made.files],
            "warnings": list(made.warnings),
        },
        blocks=(Text("\n".join(str(path.relative_to(root)) for path in made.files)),),
        notes=() if is_testable else (f"Put a small dataset into {made.folder}/sample and name it in sample.json.",),
        next_commands=(f"ncap analysis test {name}", f"ncap blueprint validate {name}"),
    )


def _script(context: Context) -> Script | None:
    from dataclasses import replace

    from ncap_iac.analysis.script import read_script
    from ncap_iac.documents import read_config
    from ncap_iac.project import read_bytes

    arguments, here = context.arguments, context.world.folder
    if arguments.from_script is None:
        only = {"--command-line": arguments.command_line, "--with-file": arguments.files, "--sample": arguments.samples}
        for option, value in only.items():
            if value:
                raise UsageError("it is about a script", where=option, hint="Name the script with --from-script.")
        return None
    path = Path(arguments.from_script)
    line = arguments.command_line and arguments.command_line.replace(str(path), path.name)
    script = read_script(here / path, line, files=[here / file for file in arguments.files])
    samples = tuple(here / file for file in arguments.samples)
    for sample in samples:
        read_bytes(sample)
    config = here / arguments.sample_config if arguments.sample_config else None
    if config is not None:
        read_config(config)
    return replace(script, samples=samples, config=config)


def _group(context: Context, name: str) -> Group:
    """The group of the project's profiles. Raises UsageError."""
    import difflib

    from ncap_compiler import DocumentError, load_profile
    from ncap_compiler.names import GROUP_NAME
    from ncap_iac.analysis.making import Group

    known: dict[str, tuple[str, ...]] = {}
    for path in context.project.documents(Kind.PROFILE):
        try:
            known.update({it.name: tuple(it.members) for it in load_profile(read_text(path), file=str(path)).groups})
        except DocumentError:
            continue
    if name in known or (not known and GROUP_NAME.fullmatch(name)):
        return Group(name, known.get(name, ()))
    near = difflib.get_close_matches(name, known, n=1)
    raise UsageError(
        "no profile of the project has this group",
        where=f"--group {name}",
        hint=f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(sorted(known)) or 'none'}.",
    )
