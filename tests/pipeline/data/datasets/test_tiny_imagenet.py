"""On a data set of two classes, drawn here, and on the real one where ATSNN_DATA names a folder that holds it."""

import csv
import hashlib
import os
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_tiny_imagenet import ANNOTATIONS, WNIDS, archived, jpeg, official_files, unpacked

from pipeline.core import checksums
from pipeline.core.errors import UserError
from pipeline.data import fingerprints
from pipeline.data.datasets import tiny_imagenet


@pytest.fixture
def files():
    return official_files()


@pytest.fixture(autouse=True)
def two_classes(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "FINGERPRINTS", tmp_path / "fingerprints")
    monkeypatch.setattr(tiny_imagenet, "CLASS_COUNT", 2)
    monkeypatch.setattr(tiny_imagenet, "PER_CLASS", {"train": 3, "test": 2})


LAYS = pytest.mark.parametrize("lay", (unpacked, archived))


@LAYS
def test_images_and_labels_come_out_in_the_order_of_names(tmp_path, files, lay):
    raw = tiny_imagenet.read(lay(tmp_path, files), None, None)
    assert raw.train_images.shape == (6, 64, 64, 3) and raw.train_images.dtype == np.uint8
    assert raw.train_labels.tolist() == [0, 0, 0, 1, 1, 1] and raw.train_labels.dtype == np.int64
    assert abs(raw.train_images[:, 5, 5, 0].astype(int) - [0, 10, 100, 120, 130, 220]).max() <= 3
    assert raw.test_labels.tolist() == [1, 0, 1, 0]
    assert abs(raw.test_images[:, 5, 5].astype(int) - [[0, 0, 255], [51, 0, 204], [102, 0, 153], [153] * 3]).max() <= 3


@LAYS
def test_a_copy_is_named_as_such_with_its_share(tmp_path, files, lay, monkeypatch):
    source, mark = tiny_imagenet.source(lay(tmp_path, files)), "a copy, not the official archive"
    assert source.origin == f"TinyImageNet ({mark}, sha256 {source.fingerprint[:8]})" and not source.official
    monkeypatch.setattr(tiny_imagenet, "PER_CLASS", {"train": 5, "test": 2})
    share = tiny_imagenet.source(tmp_path).origin
    assert share == f"TinyImageNet ({mark}, 60 % of the training images, sha256 {source.fingerprint[:8]})"


def test_archive_and_folder_of_a_copy_are_one_source(tmp_path, files):
    archive, folder = archived(tmp_path / "archive", files), unpacked(tmp_path / "folder", files)
    found = [tiny_imagenet.source(place) for place in (archive, folder, folder / "tiny-imagenet-200")]
    assert len(set(found)) == 1


def test_the_official_archive_is_official_also_beside_its_folder(tmp_path, files, monkeypatch):
    archived(tmp_path, files), unpacked(tmp_path, files)
    assert not tiny_imagenet.source(tmp_path).official
    shutil.rmtree(fingerprints.FINGERPRINTS)
    monkeypatch.setattr(tiny_imagenet, "ARCHIVE_SHA256", checksums.sha256(tmp_path / "tiny-imagenet-200.zip"))
    assert tiny_imagenet.source(tmp_path) == tiny_imagenet.source(None) and tiny_imagenet.source(None).official


def test_times_are_not_part_of_a_fingerprint_and_contents_are(tmp_path, files):
    before = tiny_imagenet.source(unpacked(tmp_path, files))
    for name in files:
        os.utime(tmp_path / "tiny-imagenet-200" / name, ns=(1, 1))
    assert tiny_imagenet.source(tmp_path) == before
    assert len(list(fingerprints.FINGERPRINTS.iterdir())) == 2
    seen = {before.fingerprint}
    for number, name in enumerate(("train/n00000001/images/n00000001_0.JPEG", "val/images/val_2.JPEG", ANNOTATIONS), start=2):
        path = tmp_path / "tiny-imagenet-200" / name
        path.write_bytes(files[name].replace(b"\t9", b"\t8") if name == ANNOTATIONS else jpeg(77))
        os.utime(path, ns=(number, number))
        seen.add(tiny_imagenet.source(tmp_path).fingerprint)
    assert len(seen) == 4


def test_what_is_not_read_is_not_part_of_a_fingerprint(tmp_path, files):
    fewer = {name: content for name, content in files.items() if "boxes" not in name and not name.startswith("test")}
    assert len(fewer) < len(files)
    assert tiny_imagenet.source(unpacked(tmp_path / "all", files)) == tiny_imagenet.source(unpacked(tmp_path / "fewer", fewer))


def test_a_second_look_reads_no_file(tmp_path, files, monkeypatch):
    first = tiny_imagenet.source(unpacked(tmp_path, files))
    monkeypatch.setattr(tiny_imagenet, "open_tree", None)
    assert tiny_imagenet.source(tmp_path) == first


def without(files, part):
    return {name: content for name, content in files.items() if part not in name}


def annotated(files, old, new):
    assert old in files[ANNOTATIONS]
    return files | {ANNOTATIONS: files[ANNOTATIONS].replace(old, new, 1)}


TRAIN = "train/n00000001/images/n00000001_"
FAULTS = {
    "no list of classes, and a class less": (
        lambda f: without(without(f, "wnids"), "train/n00000002/"),
        "has no wnids.txt, and folders of 1 classes in train, not 2",
    ),
    "a class too many": (lambda f: f | {"wnids.txt": f["wnids.txt"] + b"\nn3"}, "names 3 classes in 3 lines, not 2"),
    "a class twice": (lambda f: f | {"wnids.txt": b"n00000001\nn00000001"}, "names 1 classes in 2 lines"),
    "a class without images": (lambda f: without(f, "train/n00000002/"), "from 0 of n00000002 to 3 of n00000001"),
    "no training images": (lambda f: without(f, "train/"), "has no images in train: it is TinyImageNet in part"),
    "no validation images": (lambda f: without(f, "val/"), "has no images in val: it is TinyImageNet in part"),
    "images of another format": (
        lambda f: {name.replace(".JPEG", ".png"): content for name, content in f.items()},
        "train/n00000001/images/n00000001_0.png is no .JPEG",
    ),
    "a folder of no class": (
        lambda f: f | {"train/n3/images/n3_0.JPEG": jpeg(0)},
        "train/n3 is a folder that is not named as a",
    ),
    "unequal counts": (lambda f: without(f, f"{TRAIN}10"), "from 2 of n00000001 to 3 of n00000002"),
    "too many images": (
        lambda f: f | {f"train/{w}/images/{w}_11.JPEG": jpeg(0) for w in WNIDS},
        "from 4 of n00000001 to 4 .*at most 3",
    ),
    "another class's image": (
        lambda f: without(f, f"{TRAIN}1") | {"train/n00000001/images/n00000002_7.JPEG": jpeg(0)},
        "n00000002_7.JPEG is not named as an image of its class",
    ),
    "no annotations": (
        lambda f: without(f, "annotations"),
        "val/images/val_0.JPEG is in no class folder, and val/val_annotations.txt, which has its class, is missing",
    ),
    "an unknown class": (lambda f: annotated(f, b"n00000001", b"n00000003"), "line 2, names no class"),
    "a line of one field": (lambda f: annotated(f, b"n00000001\t0\t0\t9\t9", b""), "line 2, names no class"),
    "a file annotated twice": (lambda f: annotated(f, b"val_3", b"val_0"), "line 4, names no class .*or a file again"),
    "a file that is not there": (lambda f: annotated(f, b"val_3", b"val_4"), "val_3.JPEG is not annotated"),
    "an annotation removed": (lambda f: without(f, "val_1"), "val_1.JPEG is annotated, but not there"),
    "an image too many": (lambda f: f | {"val/images/val_9.JPEG": jpeg(0)}, "val_9.JPEG is not annotated"),
    "a wrong annotation": (lambda f: annotated(f, b"n00000001", b"n00000002"), "1 images of n00000001, not 2"),
}
PIXEL_FAULTS = {
    "another size": (lambda f: f | {f"{TRAIN}0.JPEG": jpeg(0, size=(64, 63))}, "n00000001_0.JPEG has 64x63 pixels"),
    "a truncated image": (lambda f: f | {"val/images/val_2.JPEG": jpeg(9)[:-80]}, "val_2.JPEG is no readable JPEG"),
    "an empty image": (lambda f: f | {f"{TRAIN}1.JPEG": b""}, "n00000001_1.JPEG is no readable JPEG"),
    "another format": (lambda f: f | {f"{TRAIN}1.JPEG": b"P6 64 64 255 " + bytes(12288)}, "_1.JPEG is no readable JPEG"),
}


def refused(ask, folder, message):
    """One line for the user, and not a file more than before."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=message) as caught:
        ask()
    assert "\n" not in str(caught.value) and sorted(folder.rglob("*")) == before


@LAYS
@pytest.mark.parametrize("change, message", FAULTS.values(), ids=FAULTS)
def test_what_is_inconsistent_is_refused(tmp_path, files, lay, change, message):
    lay(tmp_path / "data", change(files))
    refused(lambda: tiny_imagenet.source(tmp_path / "data"), tmp_path, message)
    refused(lambda: tiny_imagenet.read(tmp_path / "data", None, None), tmp_path, message)


@LAYS
@pytest.mark.parametrize("change, message", PIXEL_FAULTS.values(), ids=PIXEL_FAULTS)
def test_an_image_that_is_none_is_refused(tmp_path, files, lay, change, message):
    lay(tmp_path, change(files))
    refused(lambda: tiny_imagenet.read(tmp_path, None, None), tmp_path, message)


def test_a_folder_without_the_set_says_what_it_must_hold(tmp_path):
    refused(lambda: tiny_imagenet.source(tmp_path / "nowhere"), tmp_path, "does not exist")
    refused(lambda: tiny_imagenet.source(tmp_path), tmp_path, "it must hold tiny-imagenet-200.zip or tiny-imagenet-200/")


@pytest.mark.parametrize("name", ("../x", "train/../../../x", "..\\x", "/x"))
def test_a_name_that_leads_out_of_the_archive_is_refused(tmp_path, files, name):
    path = archived(tmp_path / "data", files) / "tiny-imagenet-200.zip"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name if name.startswith("/") else f"tiny-imagenet-200/{name}", b"x")
    refused(lambda: tiny_imagenet.read(tmp_path / "data", None, None), tmp_path, "a path out of its folder")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused(tmp_path, files):
    path = archived(tmp_path, files) / "tiny-imagenet-200.zip"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"tiny-imagenet-200/{TRAIN}0.JPEG", jpeg(99))
    refused(lambda: tiny_imagenet.read(tmp_path, None, None), tmp_path, "n00000001_0.JPEG' twice")


def test_a_member_that_unpacks_to_much_is_refused(tmp_path, files):
    archived(tmp_path, files | {"val/images/val_1.JPEG": bytes(2**21)})
    refused(lambda: tiny_imagenet.read(tmp_path, None, None), tmp_path, "val_1.JPEG claims 2097152 bytes")


@pytest.mark.parametrize("claim, message", ((2**32 - 2, "claims 4294967294 bytes"), (100, "can't be read .*CRC")))
def test_a_member_that_lies_about_its_size_is_refused(tmp_path, files, claim, message):
    """The size in both of its headers is another one; what unpacks to more than it claims is not unpacked."""
    path = archived(tmp_path, files | {"wnids.txt": bytes(2**21)}) / "tiny-imagenet-200.zip"
    content = path.read_bytes()
    assert content.count(struct.pack("<I", 2**21)) == 2
    path.write_bytes(content.replace(struct.pack("<I", 2**21), struct.pack("<I", claim)))
    refused(lambda: tiny_imagenet.read(tmp_path, None, None), tmp_path, f"wnids.txt {message}")


def test_a_packing_without_a_bound_is_refused(tmp_path, files):
    archived(tmp_path, files, zipfile.ZIP_LZMA)
    refused(lambda: tiny_imagenet.read(tmp_path, None, None), tmp_path, "not packed with deflate")


@pytest.mark.parametrize("share", (0, 0.01, 0.5, 0.99))
def test_a_truncated_archive_is_refused(tmp_path, files, share):
    path = archived(tmp_path, files) / "tiny-imagenet-200.zip"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(lambda: tiny_imagenet.source(tmp_path), tmp_path, "damaged or truncated, get it again")
    refused(lambda: tiny_imagenet.read(tmp_path, None, None), tmp_path, "damaged or truncated, get it again")


def test_a_damaged_member_is_refused(tmp_path, files):
    path = archived(tmp_path, files, zipfile.ZIP_STORED) / "tiny-imagenet-200.zip"
    content, image = path.read_bytes(), files[f"{TRAIN}10.JPEG"]
    assert content.count(image) == 1
    path.write_bytes(content.replace(image, image[:-20] + bytes(20)))
    refused(lambda: tiny_imagenet.read(tmp_path, None, None), tmp_path, "n00000001_10.JPEG can't be read .*CRC")


@pytest.fixture(scope="module")
def real():
    folder = Path(os.environ.get("ATSNN_DATA", ""))
    if not os.environ.get("ATSNN_DATA") or not (folder / "tiny-imagenet-200").is_dir():
        pytest.skip("no real images here: set ATSNN_DATA to a folder that holds tiny-imagenet-200/")
    return folder / "tiny-imagenet-200"


@pytest.fixture
def full_size(monkeypatch):
    monkeypatch.setattr(tiny_imagenet, "CLASS_COUNT", 200)
    monkeypatch.setattr(tiny_imagenet, "PER_CLASS", {"train": 500, "test": 50})


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_real_labels_are_those_of_the_folders_own_files(real, full_size):
    """Each label against the files, read in another way; each training image found again in the folder of its class."""
    raw = tiny_imagenet.read(real.parent, None, None)
    wnids = sorted((real / "wnids.txt").read_text().splitlines())
    assert len(wnids) == 200
    with (real / ANNOTATIONS).open(newline="") as file:
        wanted = {row[0]: row[1] for row in csv.reader(file, delimiter="\t")}
    names = sorted(path.name for path in (real / "val/images").iterdir())
    assert [wnids[label] for label in raw.test_labels] == [wanted[name] for name in names] and len(names) == 10_000
    for index in range(0, 10_000, 97):
        assert np.array_equal(raw.test_images[index], pixels(real / "val/images" / names[index]))
    start = 0
    for label, wnid in enumerate(wnids):
        paths = sorted((real / "train" / wnid / "images").iterdir(), key=lambda path: path.name)
        assert (raw.train_labels[start : start + len(paths)] == label).all()
        for place in (0, len(paths) // 2, len(paths) - 1):
            assert np.array_equal(raw.train_images[start + place], pixels(paths[place]))
        start += len(paths)
    assert start == len(raw.train_labels) == len(raw.train_images)


def test_real_images_are_a_copy_with_a_fingerprint_of_their_contents(real, full_size):
    found = tiny_imagenet.source(real.parent)
    used = [path for path in real.rglob("*") if path.suffix == ".JPEG" and path.relative_to(real).parts[0] != "test"]
    used += [real / "wnids.txt", real / ANNOTATIONS]
    lines = sorted((str(path.relative_to(real)), hashlib.sha256(path.read_bytes()).hexdigest()) for path in used)
    expected = hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in lines).encode()).hexdigest()
    share = (len(used) - 10_002) / 1000
    assert found.fingerprint == expected and not found.official
    assert (f"{share:g} % of the training images" in found.origin) == (share != 100)
