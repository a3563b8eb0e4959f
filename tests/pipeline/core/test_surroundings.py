"""Commands and Snakemake run among packages of other programs and in a home without room. Each case is a process of its own."""

import os
import shutil
import subprocess
import sys

import pytest

from pipeline.core.paths import ROOT

FOREIGN = ("models", "baselines", "pipeline", "tests", "numpy", "yaml", "pydantic", "torch")
SAYS_ITS_CACHES = "import os, pipeline; print(os.environ.get('XDG_CACHE_HOME'), os.environ.get('MPLCONFIGDIR'), sep='\\n')"


def run(*words, **environment):
    """A program of this environment in the project's folder, with the output of both kinds as bytes."""
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "XDG_", "MPL"))}
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, timeout=120, env=surroundings | environment)


def plan(*words, **environment):
    """The command that the cases run: it reads a declaration and records, and prints letters that not every encoding has."""
    return run("-m", "pipeline.plan", "--scale", "laptop", *words, **environment)


@pytest.fixture(scope="module")
def undisturbed():
    """What it prints in UTF-8, as a text and in JSON."""
    return {words: plan(*words, PYTHONUTF8="1").stdout for words in ((), ("--json",))}


@pytest.fixture
def foreign(tmp_path):
    """A folder with packages of the names that this project imports; importing one of them fails."""
    for name in FOREIGN:
        (tmp_path / "foreign" / name).mkdir(parents=True)
        (tmp_path / "foreign" / name / "__init__.py").write_text(f"raise RuntimeError('a foreign {name}')")
    (tmp_path / "foreign" / "only_there.py").write_text("print('imported')")
    return tmp_path / "foreign"


@pytest.mark.parametrize("places", ("{foreign}", "{foreign}:", "{foreign}:{root}", ":{root}:{foreign}", "{foreign}:{packages}"))
def test_packages_on_pythonpath_do_not_take_the_place_of_the_environments(foreign, undisturbed, places):
    packages = next(place for place in sys.path if place.endswith("site-packages"))
    listed = places.format(foreign=foreign, root=ROOT, packages=packages)
    told = plan(PYTHONPATH=listed, PYTHONUTF8="1")
    assert told.returncode == 0 and not told.stderr and told.stdout == undisturbed[()]


def test_make_lets_every_program_of_the_environment_begin_so(foreign, tmp_path):
    """By the recipe's own lines, in an environment of its own: Snakemake's imports come before any of the project's."""
    recipe = subprocess.run(["make", "-n", "-B", ".venv/ready"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    (tmp_path / "pipeline/core").mkdir(parents=True)
    copy = shutil.copy(ROOT / "pipeline/core/surroundings.py", tmp_path / "pipeline/core")
    script = "".join(f"{part}\n" for part in recipe.replace("\\\n", "").splitlines() if "at_snn_surroundings" in part)
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True)
    for name in ("types", "random", "functools"):
        (foreign / f"{name}.py").write_text("raise RuntimeError('foreign')")
    program = [tmp_path / ".venv/bin/python", "-c", "import types, random, functools, os; print(os.environ['XDG_CACHE_HOME'])"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(foreign), "HOME": "/proc/nowhere"}
    told = subprocess.run(program, capture_output=True, text=True, env=environment)
    assert told.stdout == f"{tmp_path / '.cache'}\n" and not told.stderr
    os.unlink(copy)  # an older state of the project
    told = subprocess.run([program[0], "-c", ""], capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (0, "")


def test_a_package_that_is_only_on_pythonpath_is_found(foreign):
    found = run("-c", "import pipeline, numpy, only_there", PYTHONPATH=str(foreign))
    assert (found.returncode, found.stdout) == (0, b"imported\n"), found.stderr


def test_a_sitecustomize_alone_on_pythonpath_comes_first(foreign, tmp_path):
    """Some of Python's installations have one of their own, and tools that are to come before all else need theirs to be found."""
    code = "import sys, pipeline; print(sys.path.index(sys.argv[1]) < [p.endswith('lib-dynload') for p in sys.path].index(True))"
    assert run("-c", code, str(foreign), PYTHONPATH=str(foreign)).stdout == b"False\n"
    (foreign / "sitecustomize.py").touch()
    assert run("-c", code, str(foreign), PYTHONPATH=str(foreign)).stdout == b"False\n", "packages beside it stay behind"
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "sitecustomize.py").touch()
    assert run("-c", code, str(alone), PYTHONPATH=str(alone)).stdout == b"True\n"


def test_make_gives_its_programs_nothing_that_is_meant_for_others(tmp_path):
    (tmp_path / "show.mk").write_text("show:\n\t@env")
    others = {"PYTHONPATH": "/other", "PYTHONHOME": "/other", "PYTHONOPTIMIZE": "2", "PIP_TARGET": "/other", "PIP_USER": "1"}
    kept = {
        "PIP_INDEX_URL": "of this place",
        "UV_INDEX_URL": "of this place",
        "PYTHONIOENCODING": "ascii",
        "PYTHONUNBUFFERED": "1",
    }

    def shown(**environment):
        command = ["make", "-s", "-f", "Makefile", "-f", tmp_path / "show.mk", "show"]
        surroundings = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | environment
        lines = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=True, env=surroundings
        ).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    told = shown(**others, **kept)
    assert not told.keys() & others.keys() and kept.items() <= told.items() and "XDG_CACHE_HOME" not in told
    for places in ({"HOME": "/proc/nowhere"}, {"HOME": "/dev/null"}, {"HOME": ""}, {"XDG_CACHE_HOME": "relative"}):
        assert shown(**places)["XDG_CACHE_HOME"] == str(ROOT / ".cache"), places
    assert shown(HOME="/proc/nowhere", XDG_CACHE_HOME=f"{tmp_path}/ü b")["XDG_CACHE_HOME"] == f"{tmp_path}/ü b"


def test_stages_that_snakemake_starts_find_the_project_with_a_safe_path():
    """With PYTHONSAFEPATH `python -m` looks for no package in the folder that it is in."""
    code = "import subprocess, sys; sys.path.insert(0, '.'); import pipeline; "
    code += "sys.exit(subprocess.run([sys.executable, '-m', 'pipeline.plan', '--help'], stdout=-3).returncode)"
    assert run("-c", code, PYTHONSAFEPATH="1").returncode == 0


@pytest.mark.parametrize(
    "name, places",
    (
        ("no such home", {"HOME": "/proc/nowhere"}),
        ("the home is a device", {"HOME": "/dev/null"}),
        ("the cache is in a file", {"XDG_CACHE_HOME": "{file}/cache", "XDG_CONFIG_HOME": "{file}"}),
        ("the cache is relative", {"XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config"}),
    ),
)
def test_where_the_home_can_hold_no_caches_they_lie_in_the_project(tmp_path, name, places):
    (tmp_path / "file").touch()
    told = run("-c", SAYS_ITS_CACHES, **{key: value.format(file=tmp_path / "file") for key, value in places.items()})
    assert told.stdout.decode().splitlines() == [str(ROOT / ".cache"), str(ROOT / ".cache/matplotlib")], told.stderr
    assert not (ROOT / "cache").exists()


def test_a_home_with_room_keeps_its_caches(tmp_path):
    told = run("-c", SAYS_ITS_CACHES, HOME=str(tmp_path)), run("-c", SAYS_ITS_CACHES, HOME=str(tmp_path / "new"))
    assert {one.stdout for one in told} == {b"None\nNone\n"} and (tmp_path / "new/.cache").is_dir()
    told = run("-c", SAYS_ITS_CACHES, HOME="/proc/nowhere", XDG_CACHE_HOME=str(tmp_path), MPLCONFIGDIR="/chosen")
    assert told.stdout.decode().splitlines() == [str(tmp_path), "/chosen"]


ENCODINGS = (
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "cp1252:strict"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
)


@pytest.mark.parametrize("environment", ENCODINGS, ids=str)
def test_the_plan_is_told_in_any_encoding(undisturbed, environment):
    """What the encoding lacks is escaped; all else is as it is in UTF-8."""
    encoding = environment.get("PYTHONIOENCODING", "ascii").partition(":")[0]
    told, in_utf_8 = plan(**environment), undisturbed[()].decode("utf-8")
    assert told.returncode == 0 and not told.stderr and "γ" in in_utf_8
    assert told.stdout == in_utf_8.encode(encoding, "backslashreplace")


@pytest.mark.parametrize("environment", ENCODINGS, ids=str)
def test_a_plan_in_json_is_the_same_in_any_encoding(undisturbed, environment):
    assert plan("--json", **environment).stdout == undisturbed["--json",] != b""


def test_a_command_tells_its_use_without_its_docstring():
    for optimized in ("1", "2"):
        told = plan(PYTHONOPTIMIZE=optimized)
        assert told.returncode == 0 and not told.stderr


def test_a_mistake_is_one_line_where_output_is_ascii():
    wrong = run("-m", "pipeline.plan", "--scale", "größe", PYTHONIOENCODING="ascii")
    assert wrong.returncode == 2 and wrong.stderr.startswith(b"pipeline.plan: error: scale 'gr\\xf6\\xdfe' has no declaration")
    assert wrong.stderr.count(b"\n") == 1 and not wrong.stdout
