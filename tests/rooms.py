"""Read which modules of a tree import which, and find imports that go up: by statement, inside a function, or by name."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGES = ("models", "baselines", "pipeline", "workflow")  # each imports from those before it only
ROOMS = ("core", "data", "campaign", "mirror", "evaluation", "training", "reporting", "planning")
REPORTING = ("tables", "drawing", "figures", "claims", "page")  # below reporting's own files, which are lowest
COMMANDS = len(ROOMS)  # the rank of pipeline's first level
SHARED = "pipeline.command_line"  # what commands share: the one module of that level that others of it may import
CATALOGUE = "pipeline.core.catalogue"  # the one place that imports by name
CALLS = {"__import__", "exec", "eval"}  # by which a module can be imported by name
TOOLS = {
    "importlib",
    "importlib.util",
    "pkgutil",
    "runpy",
    "pydoc",
    "builtins",
}  # modules that can do so, and what is taken from them
LAZY = "models"  # whose backbones' names are imported once they are asked for
DOORS = {CATALOGUE, SHARED}  # which alone make shelves of a catalogue
MODULE_NAME = re.compile(r"\b(?:models|baselines|pipeline)(?:\.[a-z_0-9]+)+")


def modules(root: Path) -> dict[str, Path]:
    """Name every module of the packages, with its file."""
    files = (file for package in PACKAGES for file in sorted((root / package).rglob("*.py")))
    return {".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


@cache
def nodes(text: str) -> tuple[ast.AST, ...]:
    """List all nodes of a file, the module first. Trees that differ in one file share those of all others."""
    return tuple(ast.walk(ast.parse(text)))


def imports(name: str, tree: tuple[ast.AST, ...], known: set[str]) -> Iterator[str]:
    """Yield the modules that a module imports, anywhere in it, by an import statement."""
    package = name.split(".")
    for node in tree:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*package[: len(package) - node.level], *filter(None, [node.module])]) if node.level else node.module
            for alias in node.names:
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base


def named(tree: tuple[ast.AST, ...], known: set[str]) -> Iterator[str]:
    """Yield the modules whose names stand in strings, alone or in a longer text; docstrings, and names of commands, left out."""
    docstrings = {
        id(node.body[0].value)
        for node in tree
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in tree:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            for name in MODULE_NAME.findall(node.value):
                parts = name.split(".")
                prefixes = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
                module = next((prefix for prefix in prefixes if prefix in known), None)
                if module and rank(module)[1] != COMMANDS:  # messages tell users which command to run
                    yield module


def graph(root: Path) -> dict[str, set[str]]:
    """Map each module to those of the packages that it imports."""
    files = modules(root)
    known = set(files)
    trees = {name: nodes(file.read_text()) for name, file in files.items()}
    return {name: {module for module in imports(name, tree, known) if module in known} for name, tree in trees.items()}


def rank(module: str) -> tuple[int, int, int]:
    """Rank a module by package, room and, in reporting, the room within it: it may import what ranks lower or equal."""
    package, *rest = module.split(".")
    if package != "pipeline":
        return PACKAGES.index(package), 0, 0
    if not rest:
        return PACKAGES.index(package), 0, 0  # pipeline/__init__.py, which says what there is, and begins with core
    room = ROOMS.index(rest[0]) if rest[0] in ROOMS else COMMANDS
    within = REPORTING.index(rest[1]) if rest[0] == "reporting" and len(rest) > 1 and rest[1] in REPORTING else -1
    return PACKAGES.index(package), room, within


def wrong_imports(root: Path) -> list[str]:
    """Say which imports go up, and which are by name: one line each."""
    found, files = [], modules(root)
    for name, imported in graph(root).items():
        found += [f"{name} imports {module}" for module in sorted(imported) if goes_up(name, module)]
    for name, file in files.items():
        tree = nodes(file.read_text())
        if name not in (CATALOGUE, LAZY):
            found += [f"{name} imports by name, with {way}" for way in sorted(ways_by_name(tree))]
        if name not in DOORS and any(isinstance(node, ast.Name) and node.id == "Shelf" for node in tree):
            found.append(f"{name} imports by name, with a Shelf of its own")
        found += [f"{name} names {module}" for module in sorted(set(named(tree, set(files)))) if goes_up(name, module)]
    return found


def ways_by_name(tree: tuple[ast.AST, ...]) -> Iterator[str]:
    """Yield what a module has that can import by name, and imports that do not say what they import."""
    for node in tree:
        if isinstance(node, ast.Name) and node.id in CALLS:
            yield node.id
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in TOOLS | {"pipeline"})
        elif isinstance(node, ast.ImportFrom) and (
            node.module in TOOLS or any(alias.name in ("*", *TOOLS) for alias in node.names)
        ):
            yield from (alias.name for alias in node.names)


def goes_up(name: str, module: str) -> bool:
    """Whether an import is of a higher rank, or of a command by a command."""
    command = rank(name)[1] == rank(module)[1] == COMMANDS and module != SHARED
    return command or rank(module) > rank(name)


def loops(root: Path) -> list[list[str]]:
    """Find modules that import each other in a circle."""
    after = graph(root)
    reached = {name: reachable(name, after) for name in after}
    return sorted(sorted(other for other in reached[name] if name in reached[other]) for name in after if name in reached[name])


def reachable(name: str, after: dict[str, set[str]]) -> set[str]:
    """Name all that a module imports, itself or through others."""
    seen, waiting = set(), list(after[name])
    while waiting:
        if (module := waiting.pop()) not in seen:
            seen.add(module)
            waiting += after[module]
    return seen
