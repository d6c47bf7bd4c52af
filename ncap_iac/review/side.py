"""One side of a comparison: a tree of files written out, its documents checked and compiled.

The compiler is the one of this checkout; code in the tree is read as text, never run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ncap_compiler import DocumentError, Problem
from ncap_compiler.document import read_document
from ncap_iac.deploy.users_stacks import number_of
from ncap_iac.deploy.wanted import Wanted
from ncap_iac.documents import Compiled, problems_of
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind, Project
from ncap_iac.review.sources import Tree

AMI = "/Lambda/LambdaConfig/AMI"
HANDLER = "/Lambda/Handler"


class Side:
    """A tree in an empty folder; what is asked of it is compiled once. `earlier`: the side before it."""

    def __init__(self, tree: Tree, root: Path, *, earlier: Side | None = None) -> None:
        tree.write(root)
        self.tree = tree
        self._earlier = earlier
        self.project = Project(root)
        self.compiled = Compiled(self.project)
        self._problems: dict[str, tuple[Problem, ...]] = {}
        self._stacks: dict[str, tuple[Wanted, ...]] = {}

    def documents(self) -> dict[str, Kind]:
        """The documents, by path below the project's root."""
        root = self.project.root
        return {path.relative_to(root).as_posix(): kind for kind in Kind for path in self.project.documents(kind)}

    def problems(self, path: str, kind: Kind) -> tuple[Problem, ...]:
        """All problems of a document and of the files it depends on; none if it is not on this side."""
        if path not in self.tree.files:
            return ()
        if path not in self._problems:
            found = problems_of([self.project.root / path], kind) or self._compile_problems(path, kind)
            if not found and kind is Kind.BLUEPRINT:
                found = self._environment_problems(path)
            self._problems[path] = tuple(self._relative(problem, path) for problem in found)
        return self._problems[path]

    def stacks(self, path: str, kind: Kind) -> tuple[Wanted, ...]:
        """The stacks of a document; none if it cannot be compiled or is not on this side."""
        if path not in self.tree.files:
            return ()
        self.problems(path, kind)
        return self._stacks.get(path, ())

    def _compile_problems(self, path: str, kind: Kind) -> tuple[Problem, ...]:
        """What only compiling finds: a missing handler, a template over AWS's limits."""
        try:
            self._stacks[path] = self._compile(path, kind)
        except UsageError as error:
            if isinstance(error.__cause__, DocumentError):
                return error.__cause__.problems
            return (Problem("B203", path, HANDLER, self._line(path, HANDLER), error.what, error.hint),)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            message = f"the code of its handler cannot be read: {type(error).__name__}"
            return (Problem("B203", path, HANDLER, self._line(path, HANDLER), message, "Mend the code."),)
        return ()

    def _compile(self, path: str, kind: Kind) -> tuple[Wanted, ...]:
        """The stacks of a document; groups stay in the stack they are in on the side before."""
        from ncap_compiler.compiler import groups_in

        if kind is Kind.BLUEPRINT:
            return (self.compiled.analysis(self.project.root / path),)
        before = () if self._earlier is None else self._earlier.stacks(path, kind)
        placement = {
            group: number_of(wanted.stack) for wanted in before for group in groups_in(json.loads(wanted.template))
        }
        return self.compiled.users(self.project.root / path, placement)

    def _environment_problems(self, path: str) -> tuple[Problem, ...]:
        """An environment that is not the one the folder beside the blueprint makes."""
        from ncap_iac.deploy.images import recipe_folder
        from ncap_iac.environments.source import read_source

        folder = (self.project.root / path).parent
        named = str(read_document(self.tree.files[path].decode(), path).get(AMI))
        recipe = recipe_folder(folder)
        if not named.startswith("iae:") or not recipe.is_dir():
            return ()
        try:
            made = read_source(recipe, self.project.protocols).environment
        except DocumentError as error:
            return error.problems
        except (OSError, UnicodeDecodeError) as error:
            message = f"the recipe of its environment cannot be read: {type(error).__name__}"
            return (Problem("R202", path, AMI, self._line(path, AMI), message, "Add what is missing."),)
        if named == made:
            return ()
        message = f"it names {named}, and the recipe beside it makes {made}"
        hint = f"Run `ncap environment pin {folder.name}`."
        return (Problem("B213", path, AMI, self._line(path, AMI), message, hint),)

    def _line(self, path: str, pointer: str) -> int | None:
        return read_document(self.tree.files[path].decode(), path).line(pointer)

    def _relative(self, problem: Problem, path: str) -> Problem:
        """A problem with the file's path below the project's root, whatever its reader called it."""
        root = f"{self.project.root}/"
        known = problem.file.removeprefix(root)
        file = known if known in self.tree.files else _beside(path, known, self.tree.files)
        line = problem.line if file == known or file != path else self._line(path, problem.pointer)
        return replace(problem, file=file, line=line, message=problem.message.replace(root, ""))


def _beside(document: str, name: str, files: Mapping[str, bytes]) -> str:
    """The file a problem is about, where its reader named only a file beside the document, or a stack."""
    candidate = f"{document.rpartition('/')[0]}/{name.rpartition('/')[2]}"
    return candidate if candidate in files else document
