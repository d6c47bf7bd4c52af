"""``neurocaas-contrib``: what analysis scripts call on an instance (groups ``workflow`` and ``scripting``).

Names, options and what goes to stdout are what existing scripts rely on. Answers go to stdout, one line; everything
else goes to stderr, except the progress of ``get-*`` and ``put-result``. Exit code 1: it could not be done.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

PROGRAM = "neurocaas-contrib"


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = build_parser().parse_args(argv)
    from workflow.problem import WorkflowError

    command: Callable[[argparse.Namespace], int | None] = arguments.command
    try:
        return command(arguments) or 0
    except (WorkflowError, OSError, UnicodeDecodeError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Tools for analysis scripts on an instance.")
    for names in (["--location"], ["-a", "--analysis-name"]):
        # Scripts may name the analysis they were developed for; nothing on an instance depends on it.
        parser.add_argument(*names, help=argparse.SUPPRESS)
    groups = parser.add_subparsers(metavar="GROUP", required=True)
    workflow = groups.add_parser("workflow", help="move data, config and results of a job; run its script")
    _add_workflow(workflow.add_subparsers(metavar="COMMAND", required=True))
    scripting = groups.add_parser("scripting", help="small tools for scripts")
    _add_scripting(scripting.add_subparsers(metavar="COMMAND", required=True))
    return parser


def _add_workflow(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = _command(commands, "initialize-job", "start an empty registration in a folder", initialize_job)
    one.add_argument("-p", "--path", type=_folder, required=True, help="an existing folder")
    for name, kind, what in (
        ("register-dataset", "data", "say where the dataset is"),
        ("register-config", "config", "say where the config is"),
        ("register-file", "file", "say where a further file is"),
        ("register-resultpath", "resultpath", "say where results go (after the dataset)"),
    ):
        one = _command(commands, name, what, register, kind=kind)
        one.add_argument("-b", "--bucket", help="name of the bucket, with -k")
        one.add_argument("-k", "--key", help="key in the bucket")
        one.add_argument("-l", "--localpath", help="a path on this machine instead of -b and -k")
        if kind == "file":
            one.add_argument("-n", "--name", required=True, help="name to refer to the file by")
    for name, kind in (("get-data", "data"), ("get-config", "config"), ("get-file", "file")):
        one = _command(commands, name, "fetch it to this machine", get_registered, kind=kind)
        one.add_argument("-o", "--outputpath", type=_folder, help="an existing folder to put it into")
        one.add_argument("-f", "--force", action="store_true", help="write over a file of that name")
        one.add_argument("-d", "--display", action="store_true", help="progress on one line")
        _add_name(one, kind)
    for name, kind, part in (
        ("get-dataname", "data", "name"),
        ("get-configname", "config", "name"),
        ("get-filename", "file", "name"),
        ("get-datapath", "data", "path"),
        ("get-configpath", "config", "path"),
        ("get-filepath", "file", "path"),
    ):
        one = _command(commands, name, f"print the {part} of the fetched file", print_fetched, kind=kind, part=part)
        _add_name(one, kind)
    _command(commands, "get-bucket", "print the bucket of the dataset", print_bucket)
    _command(commands, "get-group", "print the group the dataset belongs to", print_group)
    one = _command(commands, "get-resultpath", "print where a file or folder goes among the results", print_resultpath)
    one.add_argument("-l", "--locpath", type=_existing, required=True, help="an existing file or folder")
    _command(commands, "get-resultpath-tmp", "make and print a folder for results on this machine", print_result_folder)
    one = _command(commands, "put-result", "store a file among the results", put_result)
    one.add_argument("-r", "--result", required=True, help="the file, or a pattern such as 'out/*.npy' in quotes")
    one.add_argument("-d", "--display", action="store_true", help="progress on one line")
    one = _command(commands, "put-folder", "store a folder and all below it among the results", put_folder)
    one.add_argument("-r", "--result", type=_folder, required=True, help="an existing folder")
    one = _command(commands, "log-command", "run a command and report on it", log_command)
    one.add_argument("-c", "--command", dest="line", required=True, help="the command, with its arguments")
    one.add_argument("-b", "--bucket", required=True, help="bucket of the job")
    one.add_argument("-r", "--resultpath", required=True, help="result path of the job")
    one = _command(commands, "log-command-local", "run a command and report beside local results", log_command_local)
    one.add_argument("-c", "--command", dest="line", required=True, help="the command, with its arguments")
    _command(commands, "cleanup", "store the config and the end marker of the dataset", clean_up)


def _add_scripting(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = _command(commands, "read-yaml", "print a top-level field of a YAML or JSON file", read_yaml)
    one.add_argument("-p", "--path", type=_existing, required=True, help="the file")
    one.add_argument("-f", "--field", required=True, help="name of the field")
    one.add_argument("-d", "--default", help="what to print when the field is missing")
    one = _command(commands, "parse-zip", "unpack a zip and print its only top-level name", parse_zip)
    one.add_argument("-z", "--zippath", type=_existing, required=True, help="the zip")
    one.add_argument("-o", "--outputpath", type=_folder, help="where to; default: beside the zip")


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    what: str,
    function: Callable[[argparse.Namespace], int | None],
    **defaults: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
    parser.set_defaults(command=function, **defaults)
    return parser


def _add_name(parser: argparse.ArgumentParser, kind: str) -> None:
    if kind == "file":
        parser.add_argument("-n", "--name", required=True, help="name given to register-file")
    else:
        parser.set_defaults(name=None)


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not an existing folder")
    return path


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text!r} does not exist")
    return path


def _home() -> Path:
    return Path(os.environ.get("HOME") or Path.home())


def initialize_job(arguments: argparse.Namespace) -> None:
    """``workflow initialize-job``."""
    from workflow.registration import initialize

    initialize(arguments.path, _home())


def register(arguments: argparse.Namespace) -> None:
    """``workflow register-*``."""
    from workflow.jobfiles import register_entry

    register_entry(
        _home(),
        arguments.kind,
        name=getattr(arguments, "name", None),
        bucket=arguments.bucket,
        key=arguments.key,
        local=arguments.localpath,
    )


def get_registered(arguments: argparse.Namespace) -> None:
    """``workflow get-data``, ``get-config``, ``get-file``."""
    from workflow.jobfiles import fetch_entry

    fetch_entry(
        _home(),
        arguments.kind,
        name=arguments.name,
        folder=arguments.outputpath,
        force=arguments.force,
        one_line=arguments.display,
    )


def print_fetched(arguments: argparse.Namespace) -> None:
    """``workflow get-dataname``, ``get-datapath`` and their likes."""
    from workflow.registration import fetched_path

    path = fetched_path(_home(), arguments.kind, arguments.name)
    print(path.name if arguments.part == "name" else path)


def print_bucket(_: argparse.Namespace) -> None:
    """``workflow get-bucket``."""
    from workflow.jobfiles import dataset_place

    print(dataset_place(_home())[0])


def print_group(_: argparse.Namespace) -> None:
    """``workflow get-group``."""
    from workflow.jobfiles import dataset_place

    print(dataset_place(_home())[1])


def print_resultpath(arguments: argparse.Namespace) -> None:
    """``workflow get-resultpath``."""
    from workflow.jobfiles import result_address

    print(result_address(_home(), arguments.locpath))


def print_result_folder(_: argparse.Namespace) -> None:
    """``workflow get-resultpath-tmp``."""
    from workflow.jobfiles import make_result_folder

    print(make_result_folder(_home()))


def put_result(arguments: argparse.Namespace) -> None:
    """``workflow put-result``."""
    from workflow.jobfiles import store_files

    for place in store_files(_home(), arguments.result, one_line=arguments.display):
        print(f"\nStored {place}" if arguments.display else f"Stored {place}")


def put_folder(arguments: argparse.Namespace) -> None:
    """``workflow put-folder``."""
    from workflow.jobfiles import store_folder

    print(f"Stored {store_folder(_home(), arguments.result)}")


def log_command(arguments: argparse.Namespace) -> int:
    """``workflow log-command``."""
    from workflow.logcommand import run_logged

    return run_logged(arguments.line, home=_home(), bucket=arguments.bucket, result_path=arguments.resultpath)


def log_command_local(arguments: argparse.Namespace) -> int:
    """``workflow log-command-local``."""
    from workflow.logcommand import run_logged_here

    return run_logged_here(arguments.line, home=_home())


def clean_up(_: argparse.Namespace) -> None:
    """``workflow cleanup``."""
    from workflow.jobfiles import finish_job

    finish_job(_home())


def read_yaml(arguments: argparse.Namespace) -> None:
    """``scripting read-yaml``."""
    from workflow.scripting import read_field

    print(read_field(arguments.path, arguments.field, arguments.default))


def parse_zip(arguments: argparse.Namespace) -> None:
    """``scripting parse-zip``."""
    from workflow.scripting import unpack_zip

    print(unpack_zip(arguments.zippath, arguments.outputpath or arguments.zippath.parent))


if __name__ == "__main__":
    sys.exit(main())
