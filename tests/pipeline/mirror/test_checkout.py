"""A checkout keeps its name, and copies, clones and other folders have names of their own; all that begin at once agree."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import ROOT
from pipeline.mirror import checkout
from pipeline.mirror.checkout import checkout_id

CODE = "from pipeline.mirror.checkout import checkout_id; print(checkout_id())"


def begin(folder):
    return subprocess.Popen(
        [sys.executable, "-c", CODE], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    )


def name_in(folder):
    return begin(folder).communicate()[0].decode().strip()


@pytest.fixture
def first(tmp_path):
    (tmp_path / "first").mkdir()
    name = name_in(tmp_path / "first")
    assert re.fullmatch("[0-9a-f]{8}", name)
    return tmp_path / "first", name


def test_a_checkout_keeps_its_name_and_another_one_has_another(first, tmp_path):
    folder, name = first
    (tmp_path / "other").mkdir()
    assert name_in(folder) == name != name_in(tmp_path / "other")
    assert [path.name for path in (folder / "results").iterdir()] == [".checkout"]


def test_a_moved_checkout_and_one_seen_by_another_path_keep_their_name(first, tmp_path):
    folder, name = first
    folder.rename(tmp_path / "moved")
    assert name_in(tmp_path / "moved") == name
    (tmp_path / "link").symlink_to(tmp_path / "moved")
    assert name_in(tmp_path / "link") == name


def test_a_file_system_that_gives_other_inodes_each_time_it_is_mounted_changes_no_name(first):
    folder, name = first
    path = folder / "results/.checkout"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"inode": 1}))
    assert name_in(folder) == name


@pytest.mark.parametrize("words", (["cp", "-r"], ["cp", "-a"], ["rsync", "-a"]))
def test_a_copy_gets_a_name_of_its_own_and_keeps_it_and_so_does_a_copy_of_it(first, tmp_path, words):
    folder, name = first
    if not shutil.which(words[0]):
        pytest.skip(f"there is no {words[0]} here")
    subprocess.run([*words, f"{folder}/", tmp_path / "copy"], check=True)
    running = [begin(tmp_path / "copy") for _ in range(4)]
    names = {job.communicate()[0].decode().strip() for job in running}
    assert len(names) == 1 and name not in names
    (tmp_path / "copy").rename(tmp_path / "moved_copy")
    assert {name_in(tmp_path / "moved_copy")} == names and name_in(folder) == name
    shutil.copytree(tmp_path / "moved_copy", tmp_path / "second")
    assert name_in(tmp_path / "second") not in {name, *names}


def test_processes_that_begin_at_once_in_a_new_checkout_agree(tmp_path):
    running = [begin(tmp_path) for _ in range(8)]
    assert len({job.communicate()[0] for job in running}) == 1
    assert [path.name for path in (tmp_path / "results").iterdir()] == [".checkout"]


def test_a_file_system_without_hard_links_has_a_name_too(store, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(checkout.os, "link", refused)
    assert checkout_id() == checkout_id()


def test_a_name_tells_nothing_of_machine_and_user_and_git_ignores_its_file(store):
    assert re.fullmatch("[0-9a-f]{8}", checkout_id())
    ignored = subprocess.run(["git", "check-ignore", "results/.checkout"], cwd=ROOT, capture_output=True, text=True)
    assert ignored.returncode != 1, "git may be missing here (128), but where it is, it ignores the file"


@pytest.mark.parametrize("content", ("", "{}", "[]", '{"checkout": "x\' or 1", "folder": "", "inode": 0}'))
def test_a_damaged_file_is_one_line_and_stays(store, content):
    checkout.FILE.write_text(content)
    with pytest.raises(UserError, match="checkout.*delete it"):
        checkout_id()
    assert checkout.FILE.read_text() == content


def test_a_folder_that_cannot_be_written_is_one_line(store, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(checkout, "FILE", tmp_path / "file" / ".checkout")
    with pytest.raises(UserError, match="which names this checkout in MLflow, can't be written"):
        checkout_id()
