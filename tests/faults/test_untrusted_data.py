"""Whatever stands in a data folder, it is read soundly, or refused in one line, and nothing of it is run.

100 examples of each here, as many as ATSNN_EXAMPLES says in `make faults`.
"""

import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from small_sets import (
    ANNOTATIONS,
    BATCHES,
    CIFAR,
    IMAGE,
    SET,
    TREE,
    WNIDS,
    Calling,
    many,
    pickled,
    picture,
    read_cifar,
    read_tiny,
    refused,
    unpacked,
)

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("small")


GOOD = {
    "grey": picture(mode="L"),
    "four colours": picture(mode="CMYK", colour=(1, 2, 3, 4)),
    "all of its own": picture(colour=(255, 0, 0)),
}
BAD = {f"{kind} named .JPEG": picture(kind) for kind in ("PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")}
BAD |= {f"{width} pixels wide": picture(size=(width, 64)) for width in (1, 63, 65, 128)}
BAD |= {"a size to warn of": picture().replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 10_000, 10_000), 1)}
BAD |= {"a huge size": picture().replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 65_535, 65_535), 1)}
BAD |= {"nothing": b"", "text": b"\xff\xd8 no image", "html": b"<html>404</html>", "too large": IMAGE + bytes(2**20)}
IMAGES = [name for name in TREE if name.endswith("JPEG")]


@many
@given(name=st.sampled_from(IMAGES), kind=st.sampled_from(sorted(GOOD | BAD)))
def test_images_of_another_kind(tmp_path, name, kind):
    said = refused(read_tiny, unpacked(tmp_path / SET, TREE | {name: (GOOD | BAD)[kind]}))
    assert name in said if kind in BAD else said == "", said


@many
@given(name=st.sampled_from(IMAGES), place=st.floats(0, 1), bit=st.integers(0, 7), cut=st.booleans())
def test_images_with_any_damage(tmp_path, name, place, bit, cut):
    at = min(int(place * len(IMAGE)), len(IMAGE) - 3)  # without its end alone a JPEG has all pixels
    damaged = IMAGE[:at] if cut else IMAGE[:at] + bytes([IMAGE[at] ^ (1 << bit)]) + IMAGE[at + 1 :]
    said = refused(read_tiny, unpacked(tmp_path / SET, TREE | {name: damaged}))
    assert name in said or not cut


@many
@given(content=st.binary(max_size=300), name=st.sampled_from(sorted(TREE)))
def test_files_of_any_content(tmp_path, content, name):
    assert refused(read_tiny, unpacked(tmp_path / SET, TREE | {name: content}))


files = st.sampled_from([*(f"val_{i}.JPEG" for i in range(5)), "../../wnids.txt", "/etc/passwd"]) | st.text(max_size=9)
classes = st.sampled_from([*WNIDS, "n00000003", ".."]) | st.text(max_size=9)


@many
@given(lines=st.lists(st.tuples(files, classes, st.text(max_size=5)), max_size=6))
@example(lines=[(f"val_{i}.JPEG", WNIDS[i // 2], "x") for i in (3, 1, 2, 0)])
def test_annotations_of_any_lines(tmp_path, lines):
    text = "".join("\t".join(line) + "\n" for line in lines)
    said = refused(read_tiny, unpacked(tmp_path / SET, TREE | {ANNOTATIONS: text.encode()}))
    right = (
        sorted(f for f, *_ in lines) == [f"val_{i}.JPEG" for i in range(4)]
        and sorted(c for _, c, _ in lines) == [WNIDS[0]] * 2 + [WNIDS[1]] * 2
    )
    assert said or right, "labels that nobody gave"


@many
@given(names=st.lists(classes, max_size=3))
def test_lists_of_any_classes(tmp_path, names):
    said = refused(read_tiny, unpacked(tmp_path / SET, TREE | {"wnids.txt": "\n".join(names).encode()}))
    assert said or sorted(" ".join(names).split()) == list(WNIDS)


def pipe(path):
    os.mkfifo(path)


def link(target):
    return lambda path: path.symlink_to(target)


def holes(path):
    path.touch()
    os.truncate(path, 2**40)


PUT = {
    "a pipe": pipe,
    "a device": link("/dev/zero"),
    "a dead link": link("nowhere"),
    "a ring of one": link("image"),
    "a folder": Path.mkdir,
}
PUT |= {"a ring of folders": link(".."), "nothing": lambda path: None, "a terabyte of nothing": holes}


@many
@given(name=st.sampled_from(sorted(TREE)), put=st.sampled_from(sorted(PUT)))
def test_what_is_no_file_in_the_place_of_one(tmp_path, name, put):
    folder = unpacked(tmp_path / SET)
    (folder / name).unlink()
    PUT[put](folder / name)
    said_otherwise = name == "wnids.txt" and put in ("nothing", "a folder")  # the folders of train say the classes too
    assert bool(refused(read_tiny, folder)) != said_otherwise


@many
@given(name=st.sampled_from(sorted(CIFAR.batches)), put=st.sampled_from(sorted(PUT)))
def test_what_is_no_file_in_the_place_of_a_batch(tmp_path, name, put):
    folder = unpacked(tmp_path / "data", pickled(BATCHES))
    (folder / name).unlink()
    PUT[put](folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.data.archives.LARGEST", 2**20)
        patch.setattr("pipeline.data.archives.content_of.__defaults__", (2**20,))
        assert refused(read_cifar, folder)


def test_folders_that_links_multiply(tmp_path):
    folder = unpacked(tmp_path / SET)
    for at in (folder, folder / "train"):
        (at / "one").symlink_to(folder), (at / "two").symlink_to(folder / "val")
    assert "twice" in refused(read_tiny, folder)


@many
@given(
    folder=st.sampled_from(("train/", "val/images/", f"train/{WNIDS[0]}/images/", "")),
    name=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=9),
)
@example(folder="train/", name="n00000003")
@example(folder="", name="<script>\x1b[31m")
@example(folder="val/images/", name="._val_0.JPEG")
@example(folder="train/", name="Thumbs.db")
def test_files_of_any_name(tmp_path, folder, name):
    tree = TREE if name in (".", "..") else TREE | {f"{folder}{name}" + ("/images/x.JPEG" if folder == "train/" else ""): IMAGE}
    said = refused(read_tiny, unpacked(tmp_path / SET, tree))
    left_behind = name.startswith(".") or name.lower() in ("icon\r", "thumbs.db", "@eadir") or name.endswith(":Zone.Identifier")
    left_behind |= name.endswith("~") or len(name) > 1 and name[0] == name[-1] == "#"
    assert bool(said) == (folder != "" and tree is not TREE and not left_behind), said


# Commands


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The code, with a scale for each data set that can't be drawn."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("pipeline", "baselines", "models", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "workflow/experiments/smoke.yaml").read_text()
    for name in ("cifar10", "tiny_imagenet"):
        own = re.sub(r"\bshapes: \{.*?\}", f"{name}: {{}}", text).replace("scale: smoke", f"scale: {name}")
        (folder / f"workflow/experiments/{name}.yaml").write_text(own.replace("dataset: shapes", f"dataset: {name}"))
    return folder


def prepare(project, scale, data):
    """Runs the command, which must end with exit code 2 and one line, and write no data; returns the line."""
    before = sorted(path for path in project.rglob("*") if "__pycache__" not in path.parts and "fingerprints" not in path.parts)
    run = subprocess.run(
        [sys.executable, "-m", "pipeline.prepare", "--scale", scale, "--data", str(data)],
        cwd=project, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and run.stderr.startswith("pipeline.prepare: error: "), run.stderr
    after = sorted(path for path in project.rglob("*") if "__pycache__" not in path.parts and "fingerprints" not in path.parts)
    assert set(after) - set(before) <= {project / "data"} and not (project / "data/prepared").exists()
    return run.stderr


def test_commands_refuse_members_out_of_their_folder(project, tmp_path):
    with tarfile.open(tmp_path / CIFAR.archive, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../x"))
    with zipfile.ZipFile(tmp_path / f"{SET}.zip", "w") as archive:
        archive.writestr("../../x", b"x")
    for scale in ("cifar10", "tiny_imagenet"):
        assert "holds '../../x', a path out of its folder: don't use" in prepare(project, scale, tmp_path)


def test_commands_run_no_pickle(project, tmp_path):
    hostile = pickle.dumps({"data": Calling(os.system, (f"touch {tmp_path}/it-ran",))}, 2)
    folder = unpacked(tmp_path / "data", dict.fromkeys(CIFAR.batches, hostile))
    assert "it calls posix.system" in prepare(project, "cifar10", folder) and not (tmp_path / "it-ran").exists()
    pickle.loads(hostile)
    assert (tmp_path / "it-ran").exists(), "it would have"


def test_commands_refuse_archives_that_are_cut_off(project, tmp_path):
    with tarfile.open(tmp_path / CIFAR.archive, "w:gz") as archive:
        archive.add(ROOT / "pipeline/data/cifar.py", "x")
    with zipfile.ZipFile(tmp_path / f"{SET}.zip", "w") as archive:
        archive.write(ROOT / "pipeline/data/cifar.py", "x")
    for scale, path in (("cifar10", tmp_path / CIFAR.archive), ("tiny_imagenet", tmp_path / f"{SET}.zip")):
        path.write_bytes(path.read_bytes()[:-30])
        assert "damaged or truncated, get it again" in prepare(project, scale, tmp_path)
