"""The state of the checkout that a record names."""

import subprocess

import pytest

from pipeline.core import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name in ("pipeline", "workflow", "results"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("before")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "pipeline" / "provenance.py"))
    who = ["-c", "user.name=A Tester", "-c", "user.email=tester@localhost"]
    for words in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "--message", "all"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize("name, modified", [("pipeline", True), ("workflow", True), ("results", False)])
def test_a_checkout_is_modified_where_code_or_declarations_are(checkout, name, modified):
    assert provenance.git_state()["modified"] is False and len(provenance.git_state()["commit"]) == 40
    (checkout / name / "file").write_text("after")
    (checkout / "untracked").write_text("")
    assert provenance.git_state()["modified"] is modified


def test_outside_a_checkout_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    assert provenance.git_state() == {"commit": None, "modified": None}
