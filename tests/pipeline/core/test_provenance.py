"""The state of the checkout that a record names: the project's own, or why there is none."""

import os
import shutil
import subprocess

import pytest

from pipeline.core import provenance
from pipeline.core.provenance import OWN_FILE, git_state

WHO = ["-c", "user.name=A Tester", "-c", "user.email=tester@localhost"]


def git(folder, *words):
    """Run git on a folder, whatever a test has exported."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    run = subprocess.run(["git", *WHO, *words], cwd=folder, env=clean, check=True, capture_output=True, text=True)
    return run.stdout.strip()


def commit_all(folder):
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The files of a project, in no repository."""
    folder = tmp_path / "above" / "project"
    for name in (OWN_FILE, "workflow/file", "results/file"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("before")
    monkeypatch.setattr(provenance, "ROOT", folder)
    return folder


@pytest.fixture
def checkout(project):
    commit_all(project)
    return project


def unknown(why):
    return {"commit": None, "modified": None, "why": why}


@pytest.mark.parametrize("name, modified", [(OWN_FILE, True), ("workflow/file", True), ("results/file", False)])
def test_a_checkout_is_modified_where_code_or_declarations_are(checkout, name, modified):
    assert git_state() == {"commit": git(checkout, "rev-parse", "HEAD"), "modified": False}
    (checkout / name).write_text("after")
    (checkout / "untracked").write_text("")
    assert git_state() == {"commit": git(checkout, "rev-parse", "HEAD"), "modified": modified}


def test_outside_a_checkout_nothing_is_known(project):
    assert git_state() == unknown("the project is not in a git checkout")


def test_the_commit_of_a_repository_above_is_not_the_projects(project):
    """Whether it ignores the project, has added its files, or is met because the project's own is broken."""
    (project.parent / "file").write_text("another's")
    (project.parent / ".gitignore").write_text("project")
    commit_all(project.parent)
    another = unknown("the project lies in another repository, not in a checkout of its own")
    assert git_state() == another
    (project.parent / ".gitignore").unlink()
    git(project.parent, "add", "--all")
    git(project.parent, "commit", "--quiet", "--message", "all")
    assert git_state() == another
    (project / ".git").mkdir()
    assert git_state() == another
    shutil.rmtree(project / ".git")
    commit = commit_all(project)
    assert git_state() == {"commit": commit, "modified": False}


def test_the_commit_of_a_repository_that_the_project_was_unpacked_into_is_not_the_projects(project):
    shutil.move(project / OWN_FILE, project.parent / "aside")
    commit_all(project)
    shutil.move(project.parent / "aside", project / OWN_FILE)
    assert git_state() == unknown("the project is not among the files of the repository that it lies in")


def test_worktrees_submodules_shallow_clones_and_links_are_checkouts(checkout, tmp_path, monkeypatch):
    commit = git(checkout, "rev-parse", "HEAD")
    git(checkout, "worktree", "add", "--quiet", str(tmp_path / "worktree"))
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{checkout}", "shallow")
    (tmp_path / "super").mkdir()
    git(tmp_path / "super", "init", "--quiet")
    git(tmp_path / "super", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(checkout), "sub")
    (tmp_path / "linked").symlink_to(checkout)
    for name in ("worktree", "shallow", "super/sub", "linked"):
        monkeypatch.setattr(provenance, "ROOT", (tmp_path / name).resolve())  # as the module resolves it
        assert git_state() == {"commit": commit, "modified": False}, name


@pytest.mark.parametrize(
    "name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_LITERAL_PATHSPECS", "GIT_CEILING_DIRECTORIES"]
)
def test_what_a_hook_of_another_repository_exports_changes_nothing(checkout, tmp_path, monkeypatch, name):
    (tmp_path / "another").mkdir()
    (tmp_path / "another/file").write_text("")
    commit_all(tmp_path / "another")
    values = {"GIT_WORK_TREE": "another", "GIT_INDEX_FILE": "another/.git/index", "GIT_CEILING_DIRECTORIES": "above"}
    monkeypatch.setenv(name, "1" if name == "GIT_LITERAL_PATHSPECS" else str(tmp_path / values.get(name, "another/.git")))
    assert git_state() == {"commit": git(checkout, "rev-parse", "HEAD"), "modified": False}


def test_a_checkout_that_git_cannot_read_is_told_of(checkout):
    head = checkout / ".git/HEAD"
    head.write_text("ref: refs/heads/none")
    assert git_state() == unknown("the checkout has no commit")
    shutil.rmtree(checkout / ".git")
    (checkout / ".git").write_text("gitdir: /nowhere")
    assert git_state() == unknown("git cannot read the checkout")
    (checkout / ".git").write_text("nonsense")
    assert git_state() == unknown("git cannot read the checkout")


def test_the_checkout_of_another_user_is_read_where_its_owner_is_trusted(checkout, monkeypatch):
    if os.geteuid():
        pytest.skip("NOT TESTED: a checkout of another user, which only root can make")
    for path in (checkout, checkout / ".git"):
        os.chown(path, 12345, 12345)
    assert git_state() == unknown("git may not read the checkout, which another user owns: see safe.directory")
    for setting in ("COUNT=1", "KEY_0=safe.directory", f"VALUE_0={checkout}"):
        monkeypatch.setenv(*f"GIT_CONFIG_{setting}".split("=", 1))
    assert git_state()["commit"]


@pytest.mark.parametrize(
    "script, why",
    [
        (None, "git is not installed"),
        ("not a program", "git cannot be run (Exec format error)"),
        ("#!/bin/sh\nexec sleep 1000", "git has not answered for 0.2 seconds"),
        ("#!/bin/sh\nexit 1", "git cannot read the checkout"),
    ],
)
def test_where_git_cannot_be_asked_the_reason_is_known(checkout, tmp_path, monkeypatch, script, why):
    if script:
        (tmp_path / "git").write_text(script)
        (tmp_path / "git").chmod(0o755)
    (tmp_path / "sleep").symlink_to(shutil.which("sleep"))
    monkeypatch.setattr(provenance, "MOST_SECONDS", 0.2)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state() == unknown(why)


def test_reasons_name_no_folder_of_this_machine(checkout, tmp_path):
    """Records are published."""
    (tmp_path / "above/project/.git/HEAD").write_text("nonsense")
    assert git_state()["why"] and str(tmp_path) not in git_state()["why"] and "/" not in git_state()["why"]
