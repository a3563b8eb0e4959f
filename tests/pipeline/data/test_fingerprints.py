"""What was computed from files is remembered while their names, sizes and times stay the same."""

import os

import pytest

from pipeline.core.errors import UserError
from pipeline.data import fingerprints


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with a file in it and one below; what is remembered lies beside."""
    monkeypatch.setattr(fingerprints, "FINGERPRINTS", tmp_path / "fingerprints")
    (tmp_path / "set/below").mkdir(parents=True)
    (tmp_path / "set/one").write_text("1"), (tmp_path / "set/below/two").write_text("2")
    os.utime(tmp_path / "set/below/two", ns=(5, 5))
    return tmp_path / "set"


def counted(files, answers):
    """What is remembered of the files, where each computation takes the next answer."""
    return fingerprints.remembered([files], lambda: answers.pop(0))


def test_what_was_found_out_is_computed_once(files):
    answers = [["first", 1], "never"]
    assert [counted(files, answers) for _ in range(3)] == [["first", 1]] * 3 and answers == ["never"]


@pytest.mark.parametrize(
    "change",
    (
        lambda folder: ((folder / "below/two").write_text("22"), os.utime(folder / "below/two", ns=(5, 5))),
        lambda folder: os.utime(folder / "below/two", ns=(0, 1)),
        lambda folder: (folder / "below/two").rename(folder / "below/three"),
        lambda folder: (folder / "below/three").write_text(""),
        lambda folder: (folder / "one").unlink(),
    ),
)
def test_other_names_sizes_or_times_are_computed_again(files, change):
    answers = ["first", "second"]
    assert counted(files, answers) == "first"
    change(files)
    assert counted(files, answers) == "second"


@pytest.mark.parametrize(
    "damage", (lambda b: b[:-1], lambda b: b"", lambda b: b"\xff" + b[1:], lambda b: b.replace(b"first", b"thirst"))
)
def test_a_damaged_memory_is_computed_again(files, damage):
    answers = ["first", "second"]
    counted(files, answers)
    (kept,) = fingerprints.FINGERPRINTS.iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    assert [counted(files, answers) for _ in range(2)] == ["second"] * 2


def test_what_fails_is_not_remembered(files):
    def fail():
        raise UserError("no")

    with pytest.raises(UserError):
        fingerprints.remembered([files], fail)
    assert counted(files, ["second"]) == "second"


@pytest.mark.parametrize("name, target", (("link", "nowhere"), ("ring", "ring"), (".#one", "joe@h.1:2")))
def test_a_link_that_leads_nowhere_does_not_matter(files, name, target):
    (files / name).symlink_to(target)
    assert counted(files, ["first"]) == "first"


def test_a_folder_that_a_system_left_behind_is_not_looked_into(files):
    """One with a link back would be circular, and one of root's would be closed."""
    for name in ("lost+found", ".Trash-0", "@eaDir", "System Volume Information"):
        (files / name).mkdir()
        (files / name / "back").symlink_to(files)
    assert counted(files, ["first"]) == "first"
    (files / "other").mkdir()
    (files / "other/back").symlink_to(files)
    with pytest.raises(UserError, match="links lead to .* twice"):
        counted(files, ["first"])
