"""Data folders are read from every kind of value, or refused in one line; each data set comes from the first that holds it."""

import os
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.command_line import CATALOGUE, from_config, open_campaign
from pipeline.core.errors import UserError
from pipeline.data.data_folders import find, not_here, or_read_instead, parse_folders
from pipeline.data.prepared import prepare_from_source
from pipeline.data.sources import NotHere, Source


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Relative names are in a folder of the test, which holds a, b and c:d; ~ is a."""
    for name in ("a", "b", "c:d", "3"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "a"))
    monkeypatch.delenv("ATSNN_DATA", raising=False)


READ = {
    "one": ("a", ["a"]),
    "two": ("a:b", ["a", "b"]),
    "one with a colon in its name": ("c:d", ["c:d"]),
    "a list": (["a", "b"], ["a", "b"]),
    "a list with one that has a colon": (["c:d", "b"], ["c:d", "b"]),
    "a list of several": (["a:b", "a/../b"], ["a", "b"]),
    "a path": (Path("a"), ["a"]),
    "a home folder": ("~:~/../b", ["a", "b"]),
    "spaces and empty parts": (" a : b ::", ["a", "b"]),
    "a folder that is not there": ("nowhere:b", ["nowhere", "b"]),
    "a number as text": ("3", ["3"]),
    "none": (None, []),
}


@pytest.mark.parametrize("value, names", READ.values(), ids=READ)
def test_a_value_names_folders(tmp_path, value, names):
    assert parse_folders(value, "data") == [tmp_path / name for name in names]


REFUSED = {
    "a number": (3, "data is 3, a number: name a folder"),
    "a fraction": (1e3, "data is 1000.0, a number: .* write ./ before it"),
    "yes": (True, "data is True, yes or no"),
    "a mapping": ({"a": 1}, "data is {'a': 1}, a mapping"),
    "a list of numbers": (["a", 3], "data is 3, a number"),
    "a list in a list": ([["a"]], r"data is \['a'\], a list"),
    "bytes": (b"a", "data is b'a', no text"),
    "an empty text": ("", "data is empty: name a folder"),
    "an empty list": ([], "data is empty"),
    "colons": (" : ", "data is empty"),
    "a character that no path has": ("a\0b", r"data names 'a\\x00b', which can be no folder"),
    "the home of nobody": ("~nobody-of-this-name/x", "data names '~nobody-of-this-name/x', which can be no folder"),
}


@pytest.mark.parametrize("value, message", REFUSED.values(), ids=REFUSED)
def test_a_value_of_another_type_is_one_line(value, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_folders(value, "data")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", (3, "", None, [], {"a": "b"}))
def test_snakemake_ends_with_one_line_and_exit_code_2(value, capsys):
    """`--config data=` without a value is None there."""
    with pytest.raises(SystemExit) as caught:
        from_config({"scale": "smoke", "data": value})
    said = capsys.readouterr().err
    assert caught.value.code == 2 and said.startswith("Snakefile: error: data is ") and said.count("\n") == 1


def test_the_environment_names_folders_too_and_the_command_line_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("ATSNN_DATA", "a:b")
    assert open_campaign("smoke").data_folders == [tmp_path / "a", tmp_path / "b"]
    assert open_campaign("smoke", ["b"]).data_folders == [tmp_path / "b"]
    monkeypatch.setenv("ATSNN_DATA", "")
    assert open_campaign("smoke").data_folders == []


@pytest.mark.parametrize("value", ("a", "a:b", ["c:d", "b"]))
def test_the_command_line_of_a_stage_names_the_same_folders(value):
    """Absolute ones, one after the other, whatever colons are in their names."""
    campaign = open_campaign("smoke", value)
    words = shlex.split(campaign.stage["train"])
    told = [word for before, word in zip(words, words[1:]) if before == "--data"]
    assert open_campaign("smoke", told).data_folders == campaign.data_folders == [Path(folder) for folder in told]


def dataset(holders, fault=None):
    """A data set that lies in the folders of these names; reading it says from where."""

    def source(folder):
        if folder is None:
            return Source("official", "official", True)
        if fault and folder.name == fault:
            raise UserError(f"{folder} is damaged")
        if folder.name not in holders:
            raise NotHere("THINGS", folder, "it is empty", "it must hold things")
        return Source(folder.name, folder.name, False)

    return SimpleNamespace(source=source)


def test_a_data_set_comes_from_the_first_folder_that_holds_it(tmp_path):
    folders = [tmp_path / name for name in ("a", "b", "3")]
    found = [find(dataset(holders), folders)[0].name for holders in (("a",), ("b",), ("3", "b"), ("a", "3"))]
    assert found == ["a", "b", "b", "a"]
    assert find(dataset(()), []) == (None, Source("official", "official", True))


def test_every_data_set_that_is_not_drawn_says_that_it_is_not_in_an_empty_folder(tmp_path):
    for name in CATALOGUE.datasets.names:
        module = CATALOGUE.datasets[name]
        if name != "shapes":
            with pytest.raises(NotHere, match=f"^no {module.TITLE} in {tmp_path}/a: it is empty; it must hold "):
                module.source(tmp_path / "a")


def test_a_damaged_data_set_is_not_passed_over(tmp_path):
    with pytest.raises(UserError, match="a is damaged"):
        find(dataset(("b",), fault="a"), [tmp_path / "a", tmp_path / "b"])


def test_a_data_set_that_lies_nowhere_says_what_each_folder_holds(tmp_path):
    with pytest.raises(UserError) as caught:
        find(dataset(()), [tmp_path / "a", tmp_path / "b"])
    each = f"{tmp_path}/a: it is empty; {tmp_path}/b: it is empty"
    assert str(caught.value) == f"no THINGS in any of 2 folders ({each}): it must hold things"


def test_it_is_prepared_from_the_folder_in_which_it_was_found(tmp_path):
    class Stop(Exception):
        pass

    def read(folder, train, test):
        raise Stop(folder.name)

    things = dataset(("b",))
    things.read = read
    with pytest.raises(Stop, match="^b$"):
        prepare_from_source(things, SimpleNamespace(train=None, test=None), [tmp_path / "a", tmp_path / "b"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_one_line(tmp_path):
    (tmp_path / "a").chmod(0)
    with pytest.raises(UserError, match="can't be read"):
        find(SimpleNamespace(source=lambda folder: os.listdir(folder)), [tmp_path / "a"])


def test_another_fault_of_the_system_is_one_line(tmp_path):
    long = tmp_path / ("x" * 300)
    with pytest.raises(UserError, match=r"xxx can't be read \(File name too long\): check its permissions, or name another"):
        find(SimpleNamespace(source=os.listdir), [long])


def test_a_closed_folder_near_by_does_not_matter(tmp_path):
    (tmp_path / "a/closed").mkdir(), (tmp_path / "a/open").mkdir()

    def place_in(folder):
        if folder.name == "closed":
            raise PermissionError(13, "Permission denied")
        return folder / "set" if folder.name == "open" else None

    assert not_here("THINGS", tmp_path / "a", place_in, "").found == f"it lies in {tmp_path}/a/open/set"


def test_what_can_be_read_instead_is_added_to_an_error_where_there_is_something(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    with pytest.raises(UserError, match=f"^it is bad; or move {a} away, and {b} is read$"), or_read_instead(a, [b]):
        raise UserError("it is bad")
    with pytest.raises(UserError, match="^it is bad$"), or_read_instead(a, []):
        raise UserError("it is bad")
