"""What the project needs is declared once, pinned and hashed, and every package that it imports is declared by itself."""

import ast
import importlib.metadata
import re
import sys
import tomllib

import yaml

from pipeline.core.paths import ROOT

PINS = re.compile(r"^([a-z0-9][a-z0-9.-]*)==(\S+)", re.M)
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


def test_conda_users_get_the_pins_of_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, packages = environment["dependencies"]
    assert python == "python=3.11" and pip == "pip" and packages == {"pip": ["-r requirements.lock"]}


def test_the_lock_pins_and_hashes_everything_that_the_project_asks_for():
    lock = (ROOT / "requirements.lock").read_text()
    pins = dict(PINS.findall(lock))
    for wanted in DECLARED:
        name, _, version = re.sub(r"\[.*\]", "", wanted).partition("==")  # extras are pins of their own
        assert name in pins and (not version or pins[name] == version), wanted
    blocks = re.split(r"^(?=[a-z0-9])", lock, flags=re.M)[1:]
    assert len(blocks) >= len(pins) > 100 and all("--hash=sha256:" in block for block in blocks)


def test_the_lock_holds_no_address():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock and "index-url" not in lock.replace("--no-emit-index-url", "")


def imported(folder):
    """The packages that a folder's files import, none of Python's own."""
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                yield node.module.split(".")[0]


def test_every_package_that_is_imported_is_declared():
    declared = {re.split(r"[\[=]", wanted)[0].lower() for wanted in DECLARED}
    known = importlib.metadata.packages_distributions()
    for folder in ("models", "baselines", "pipeline", "tests"):
        for package in set(imported(folder)) - sys.stdlib_module_names:
            names = {name.lower() for name in known.get(package, ())}  # none: a module of the project
            assert not names or names & declared, f"{folder} imports {package}: declare {' or '.join(names)} in pyproject.toml"
