"""Files and folders are named as what they are, and nobody needs to read all of a large folder for that."""

import gzip
import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from pipeline.data import file_kinds
from pipeline.data.file_kinds import fault, holdings, is_left_behind, kind_of


def packed(write):
    content = io.BytesIO()
    write(content)
    return content.getvalue()


def image(kind):
    return packed(lambda file: Image.new("RGB", (2, 2)).save(file, kind))


KINDS = {
    "a PNG image": image("PNG"),
    "a JPEG image": image("JPEG"),
    "a GIF image": image("GIF"),
    "a WebP image": image("WEBP"),
    "a zip archive": packed(lambda file: zipfile.ZipFile(file, "w").writestr("x", "x")),
    "a tar archive without gzip": packed(lambda file: tarfile.open(fileobj=file, mode="w").addfile(tarfile.TarInfo("x"))),
    "packed with gzip": gzip.compress(b"x"),
    "a NumPy array": packed(lambda file: np.save(file, np.zeros(2))),
    "an HTML page": b"\n <!doctype HTML><html>",
    "empty": b"",
    "nothing but zeros, as a cut download leaves them": bytes(100),
    "": b"something else",
}


@pytest.mark.parametrize("words", KINDS)
def test_a_file_is_named_by_its_first_bytes(words):
    assert kind_of(KINDS[words]) == words


def test_a_fault_says_what_the_file_is_instead_else_the_error():
    assert fault(b"<html>", "bad magic", "a zip archive") == "it is an HTML page, and must be a zip archive: get it again"
    assert fault(b"", "bad magic", "a zip archive") == "it is empty: it is damaged or truncated, get it again"
    for start in (b"PK\3\4", b"what nobody knows"):
        assert fault(start, "bad magic", "a zip archive") == "bad magic: it is damaged or truncated, get it again"


def test_what_systems_leave_behind_is_told_from_what_people_put_there():
    left = (
        ".DS_Store a/._b.JPEG Thumbs.db a/thumbs.DB DESKTOP.INI __MACOSX/a/b @eaDir/x .git/config a.JPEG:Zone.Identifier".split()
    )
    left += "Thumbs.db:encryptable ehthumbs.db ehthumbs_vista.db Picasa.ini __pycache__/a.pyc found.000/x lost+found wnids.txt~".split()
    left += ["#wnids.txt#", ".#wnids.txt", "a.JPEG:Zone.Identifier:$DATA", "System Volume Information/x", "Icon\r", "#recycle/a"]
    kept = "a.JPEG train/x.y/z Thumbs.dbx desktop c:d found.txt ~a n01443537/images/n01443537_0.JPEG".split()
    assert all(map(is_left_behind, left)) and not any(map(is_left_behind, kept))


def test_a_folder_is_described_by_kinds_then_by_names(tmp_path):
    assert holdings(tmp_path) == "it is empty" == holdings(tmp_path / "nowhere")
    for name in ("a", "b", "c", "d", ".hidden"):
        (tmp_path / name).write_bytes(b"x")
    assert holdings(tmp_path) == "it holds a, b, c and 1 more"
    (tmp_path / "below").mkdir(), (tmp_path / "below/X.PNG").write_bytes(b"x"), (tmp_path / "z.zip").write_bytes(b"x")
    assert holdings(tmp_path) == "it holds PNG images (below/X.PNG), an archive (z.zip)"
    (tmp_path / "set.zip").symlink_to("/nowhere")
    assert holdings(tmp_path).startswith("it holds a link to /nowhere, which is not there (set.zip), PNG")


def test_a_large_folder_or_a_ring_of_links_takes_little_time(tmp_path, monkeypatch):
    monkeypatch.setattr(file_kinds, "ENTRIES", 10), monkeypatch.setattr(file_kinds, "FOLDERS", 20)
    asked = []
    monkeypatch.setattr(os, "scandir", lambda path, scandir=os.scandir: asked.append(path) or scandir(path))
    for i in range(30):
        (tmp_path / f"{i}/below").mkdir(parents=True)
        (tmp_path / f"{i}/ring").symlink_to(tmp_path)
    assert "more" in holdings(tmp_path) and len(asked) <= 20
