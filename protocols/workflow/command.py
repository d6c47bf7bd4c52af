"""A blueprint's COMMAND as a shell program with positional parameters. Pure.

COMMAND is a template with up to four ``{}``: bucket, dataset key, result path, config key. A value is never put into
the text: ``{}`` becomes a quoted reference to a parameter, so a key with quotes, blanks or ``;`` stays data.
"""

from __future__ import annotations

import re

from workflow.manifest import Attempt, Manifest

VALUES = 4
WIDEFIELD = "widefield"

_TOKEN = re.compile(r"\{\{|\}\}|\{\d?\}|[^{}'\"\\]+|.", re.DOTALL)


class CommandError(Exception):
    """COMMAND asks for values that do not exist; the message says which."""


def shell_program(template: str) -> str:
    """The text for ``sh -c``. ``{}`` and ``{0}``..``{3}`` are values, ``{{`` and ``}}`` literal braces.

    Raises CommandError for a fifth value.
    """
    quote = ""
    escaped = False
    used = 0
    program: list[str] = []
    for token in _TOKEN.findall(template):
        if token in ("{{", "}}"):
            program.append(token[0])
        elif re.fullmatch(r"\{\d?\}", token):
            number = int(token[1:-1]) if len(token) == 3 else used
            used += len(token) == 2
            if number >= VALUES:
                raise CommandError(f"COMMAND asks for value {number + 1}; there are {VALUES}: {template!r}.")
            program.append(_reference(number + 1, quote))
        else:
            if token in ("'", '"') and quote in ("", token) and not escaped:
                quote = "" if quote else token
            program.append(token)
        escaped = token == "\\" and quote != "'" and not escaped
    return "".join(program)


def _reference(number: int, quote: str) -> str:
    if quote == '"':
        return f"${{{number}}}"
    if quote == "'":
        return f"'\"${{{number}}}\"'"
    return f'"${{{number}}}"'


def command_values(manifest: Manifest, attempt: Attempt) -> tuple[str, ...]:
    """The values of a COMMAND: bucket, dataset key, result path, config key.

    What is not in the dataset's bucket, or not below the group's folder of it, is given as an ``s3://`` address. The
    widefield protocol has three: bucket, folder of the data, name of the file in it (empty for the whole folder).
    """
    bucket = attempt.dataset.bucket or manifest.bucket
    key = attempt.dataset.key
    if manifest.protocol == WIDEFIELD:
        folder, _, name = key.rpartition("/")
        return bucket, f"{folder}/", name
    config = manifest.config.key
    config_bucket = manifest.config.bucket or manifest.bucket
    if config_bucket != bucket:
        config = f"s3://{config_bucket}/{config}"
    if manifest.result_place:
        results = f"s3://{manifest.result_place.bucket}/{manifest.result_place.prefix.removesuffix('/process_results')}"
    elif attempt.dataset.bucket:
        results = f"s3://{manifest.bucket}/{manifest.result_prefix}"
    else:
        results = manifest.result_prefix.removeprefix(f"{manifest.group}/")
    return bucket, key, results, config
