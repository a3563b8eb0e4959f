import dataclasses
import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.core import checksums
from pipeline.core.errors import UserError
from pipeline.data import fingerprints
from pipeline.data.archives import content_of
from pipeline.data.cifar import Cifar
from pipeline.data.datasets import cifar10, cifar100
from pipeline.data.sources import NotHere

SETS = (cifar10.CIFAR10, cifar100.CIFAR100)


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "FINGERPRINTS", tmp_path / "fingerprints")


@pytest.fixture(params=SETS, ids=lambda cifar: cifar.title)
def cifar(request) -> Cifar:
    """A set with a hundredth of its images."""
    return dataclasses.replace(request.param, per_class={s: n // 100 for s, n in request.param.per_class.items()})


def batches(cifar: Cifar) -> dict[str, dict]:
    """Batch files as the official archive has them, of images sorted by label whose first byte is their label."""
    found = {}
    for split, md5 in cifar.md5.items():
        for name, labels in zip(md5, np.array_split(sorted_labels(cifar, split), len(md5))):
            rows = np.zeros((len(labels), 3072), np.uint8)
            rows[:, 0], rows[:, 1], rows[:, 1024] = labels, 7, 9  # red of pixel (0, 0) and (0, 1), green of (0, 0)
            found[name] = {"data": rows, cifar.label_key: labels.tolist(), "coarse_labels": [0] * len(labels)}
    return found


def sorted_labels(cifar, split):
    return np.repeat(np.arange(cifar.class_count), cifar.per_class[split])


@pytest.fixture
def files(cifar):
    return {name: pickle.dumps(batch, protocol=2) for name, batch in batches(cifar).items()}


def unpacked(folder, cifar, files):
    (folder / cifar.folder).mkdir(parents=True)
    for name, content in files.items():
        (folder / cifar.folder / name).write_bytes(content)
    return folder


def archived(folder, cifar, files):
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / cifar.archive, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{cifar.folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return folder


@pytest.mark.parametrize("lay", (unpacked, archived))
def test_images_come_out_of_folder_and_archive_with_channels_last(tmp_path, cifar, files, lay):
    raw = cifar.read(lay(tmp_path, cifar, files), None, None)
    for split, images, labels in (("train", raw.train_images, raw.train_labels), ("test", raw.test_images, raw.test_labels)):
        expected = sorted_labels(cifar, split)
        assert images.shape == (len(expected), 32, 32, 3) and np.array_equal(labels, expected)
        assert np.array_equal(images[:, 0, 0], np.stack([expected, 0 * expected + 9, 0 * expected], axis=1))
        assert (images[:, 0, 1] == [7, 0, 0]).all()


def test_a_folder_may_hold_both_sets(tmp_path):
    small = [dataclasses.replace(cifar, per_class={"train": 5, "test": 1}) for cifar in SETS]
    for cifar, lay in zip(small, (unpacked, archived)):
        lay(tmp_path, cifar, {name: pickle.dumps(batch, protocol=2) for name, batch in batches(cifar).items()})
    assert [cifar.read(tmp_path, None, None).test_labels.tolist() for cifar in small] == [list(range(10)), list(range(100))]
    assert [cifar.source(tmp_path).origin.split(" (")[0] for cifar in small] == ["CIFAR-10", "CIFAR-100"]


def test_a_copy_is_accepted_and_named_as_such(tmp_path, cifar, files):
    source = cifar.source(unpacked(tmp_path, cifar, files))
    assert not source.official
    assert source.origin == f"{cifar.title} (a copy, not the official archive, sha256 {source.fingerprint[:8]})"
    for name in files:
        other = cifar.source(unpacked(tmp_path / f"other {name}", cifar, files | {name: files[name] + b"."}))
        assert other.fingerprint != source.fingerprint


def test_the_fingerprint_of_a_copy_is_the_digest_of_its_files_digests(tmp_path, cifar, files):
    digests = b"".join(hashlib.sha256(content).digest() for content in files.values())
    assert cifar.source(unpacked(tmp_path, cifar, files)).fingerprint == hashlib.sha256(digests).hexdigest()


def test_the_official_images_are_official_wherever_they_lie(tmp_path, cifar, files):
    """With the digests of these files in the place of the official ones, archive and folder are one source."""
    archive, folder = archived(tmp_path / "archive", cifar, files), unpacked(tmp_path / "folder", cifar, files)
    md5 = {split: {name: hashlib.md5(files[name]).hexdigest() for name in names} for split, names in cifar.md5.items()}
    official = dataclasses.replace(cifar, archive_sha256=checksums.sha256(archive / cifar.archive), md5=md5)
    found = [official.source(place) for place in (None, archive, folder, folder / cifar.folder)]
    assert len(set(found)) == 1 and found[0].official and found[0].origin == cifar.title


@pytest.mark.parametrize("cifar, name", list(zip(SETS, ("CIFAR10", "CIFAR100"))), ids=("CIFAR-10", "CIFAR-100"))
def test_the_official_files_are_those_that_torchvision_knows(cifar, name):
    import torchvision

    known = getattr(torchvision.datasets, name)
    assert (cifar.address, cifar.archive, cifar.folder) == (known.url, known.filename, known.base_folder)
    assert cifar.md5 == {"train": dict(known.train_list), "test": dict(known.test_list)}
    assert [n * cifar.class_count for n in cifar.per_class.values()] == [50_000, 10_000]


def test_a_wrong_folder_says_what_it_must_hold(tmp_path, cifar):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="does not exist"):
        cifar.source(tmp_path / "nowhere")
    with pytest.raises(UserError, match=f"no {cifar.title} in .*: it is empty; it must hold {cifar.archive} or {cifar.folder}/"):
        cifar.source(tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=f"data folder {tmp_path}/file is a file: name the folder in which it lies, {tmp_path}$"):
        cifar.source(tmp_path / "file")


@pytest.mark.parametrize("below", ("{folder}", ".", "{folder}/{folder}", "{stem}/{folder}"))
def test_a_folder_is_found_in_the_folders_that_unpacking_makes_and_as_itself(tmp_path, cifar, files, below):
    expected = cifar.source(unpacked(tmp_path / "usual", cifar, files))
    place = tmp_path / "data" / below.format(folder=cifar.folder, stem=cifar.archive.removesuffix(".tar.gz"))
    place.mkdir(parents=True)
    for name in [*files, ".DS_Store", "Thumbs.db", "._test", "batches.html"]:
        (place / name).write_bytes(files.get(name, b"left behind"))
    assert cifar.source(tmp_path / "data") == expected
    assert np.array_equal(cifar.read(tmp_path / "data", None, None).test_labels, sorted_labels(cifar, "test"))


OTHER_VERSIONS = {
    "binary": ("{binary}/test_batch.bin", "the binary version of CIFAR"),
    "binary, CIFAR-100": ("{binary}/train.bin", "the binary version of CIFAR"),
    "binary, packed": ("{dashed}-binary.tar.gz", "the binary version of CIFAR"),
    "Matlab": ("{dashed}-matlab/train.mat", "Matlab's version"),
    "PNG folders": ("train/airplane/0001.png", "PNG images"),
    "PNG folders of a competition": ("train/1.png", "PNG images"),
    "parquet": ("plain_text/train-00000-of-00001.parquet", "parquet files"),
    "arrow": ("cifar/plain_text/0.0.0/0b2714987/cifar-train.arrow", "arrow files"),
    "TFRecord": ("cifar/3.0.2/cifar-train.tfrecord-00000-of-00001", "TFRecord files"),
    "an archive of another name": ("{dashed}-python (1).tar.gz", "an archive"),
    "an archive without gzip": ("{dashed}-python.tar", "an archive"),
    "a download that was cut": ("{dashed}-python.tar.gz.part", "a download that did not end"),
}


@pytest.mark.parametrize("name, words", OTHER_VERSIONS.values(), ids=OTHER_VERSIONS)
def test_other_versions_are_named_with_the_way_to_the_python_version(tmp_path, cifar, name, words):
    dashed = cifar.title.lower()
    path = tmp_path / "data" / name.format(dashed=dashed, binary=f"{dashed}-batches-bin")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x"), (tmp_path / "data/.DS_Store").write_bytes(b"x")
    with pytest.raises(NotHere) as caught:
        cifar.source(tmp_path / "data")
    said = str(caught.value)
    assert said.startswith(f"no {cifar.title} in {tmp_path}/data: it holds {words} ({path.relative_to(tmp_path / 'data')}); ")
    assert f"it must hold {cifar.archive} or {cifar.folder}/, the python version: get {cifar.address}, or name no folder" in said
    assert "\n" not in said


def test_a_folder_that_was_unpacked_in_part_says_what_it_lacks(tmp_path, files, cifar):
    first, *rest = files
    folder = unpacked(tmp_path / "data", cifar, {first: files[first]})
    with pytest.raises(NotHere, match=f"{cifar.folder} lacks {', '.join(rest)}, so it was unpacked in part"):
        cifar.source(folder)
    archived(folder, cifar, files)
    assert len(cifar.read(folder, None, None).test_labels) == len(sorted_labels(cifar, "test")), "the archive beside it is read"


def test_a_damaged_folder_beside_its_archive_says_that_the_archive_can_be_read(tmp_path, files, cifar):
    name = list(files)[0]
    folder = archived(unpacked(tmp_path / "data", cifar, files | {name: files[name][:-100]}), cifar, files)
    with pytest.raises(UserError, match=f"damaged.*; or move .*/{cifar.folder} away, and .*/{cifar.archive} is read"):
        cifar.read(folder, None, None)


def test_an_archive_that_was_packed_anew_is_read(tmp_path, files, cifar):
    """By tar on macOS, or as ./folder."""
    more = {f"./{cifar.folder}/{name}": content for name, content in files.items()} | {f"./{cifar.folder}/._test": b"x"}
    (tmp_path / "data").mkdir()
    with tarfile.open(tmp_path / "data" / cifar.archive, "w:gz") as archive:
        for name, content in more.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert np.array_equal(cifar.read(tmp_path / "data", None, None).test_labels, sorted_labels(cifar, "test"))


@pytest.mark.parametrize(
    "content, message",
    (
        (b"<!DOCTYPE html><p>Sorry", "it is an HTML page, and must be packed with gzip: get it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "it is a pointer of Git LFS, in whose place git lfs pull"),
        (b"PK\3\4" + bytes(50), "it is a zip archive, and must be packed with gzip"),
        (bytes(257) + b"ustar" + bytes(500), "it is a tar archive without gzip, and must be packed with gzip"),
        (bytes(500), "it is nothing but zeros, as a cut download leaves them: it is damaged or truncated, get it again"),
        (b"", "it is damaged or truncated|has no "),
    ),
)
def test_an_archive_that_is_something_else_is_named(tmp_path, cifar, content, message):
    (tmp_path / cifar.archive).write_bytes(content)
    with pytest.raises(UserError, match=f"{cifar.archive} .*({message})"):
        cifar.read(tmp_path, None, None)


def test_an_archive_of_another_version_says_what_it_holds(tmp_path, cifar):
    archived(tmp_path, dataclasses.replace(cifar, folder="cifar-10-batches-bin"), {"data_batch_1.bin": b"x"})
    with pytest.raises(UserError, match=f"has no {cifar.folder}/.* but cifar-10-batches-bin/data_batch_1.bin: it is not the"):
        cifar.read(tmp_path, None, None)


def test_a_batch_that_is_no_file_is_named_as_what_it_is(tmp_path, files, cifar):
    name = list(files)[0]
    path = unpacked(tmp_path, cifar, files) / cifar.folder / name
    with pytest.raises(NotHere, match=f"{name} is a link to /nowhere, where nothing is, and must be a file; it must hold"):
        path.unlink(), path.symlink_to("/nowhere"), cifar.source(tmp_path)
    with pytest.raises(UserError, match=f"{name} can't be read: it is a link to /nowhere, where no file is"):
        content_of(path)
    with pytest.raises(UserError, match=f"{name} is a folder, and must be a file"):
        path.unlink(), path.mkdir(), content_of(path)


PUT = {
    "a folder": Path.mkdir,
    "a link": lambda path: path.symlink_to("/nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a pipe": os.mkfifo,
}
SAID = {
    "a link": "a link to /nowhere, where nothing is",
    "a link to itself": "a link to .*, where nothing is",
    "a pipe": "a pipe or device",
}


@pytest.mark.parametrize("put", PUT)
def test_whatever_is_no_file_in_the_place_of_one_is_named(tmp_path, files, cifar, put):
    """A batch file, beside another that is missing, and the archive."""
    first, *rest = files
    folder = unpacked(tmp_path / "part", cifar, {name: files[name] for name in rest[1:]})
    PUT[put](folder / cifar.folder / first)
    lacks = f"; .*/{cifar.folder} lacks {rest[0]}, so it was unpacked in part"
    with pytest.raises(NotHere, match=f"{first} is {SAID.get(put, put)}, and must be a file{lacks}; it must hold"):
        cifar.source(folder)
    (tmp_path / "archive").mkdir()
    PUT[put](tmp_path / "archive" / cifar.archive)
    with pytest.raises(NotHere, match=f"{cifar.archive} is {SAID.get(put, put)}, and must be a file; it must hold"):
        cifar.source(tmp_path / "archive")


def test_a_file_or_another_folder_in_the_place_of_the_folder_is_named(tmp_path, cifar):
    folder = tmp_path / cifar.folder
    for make, said in (
        (lambda: folder.write_bytes(b"x"), "is a file, and must be a folder"),
        (lambda: folder.write_bytes(b"\x1f\x8b"), r"is a file \(packed with gzip\), and must be a folder"),
        (lambda: (folder.unlink(), folder.mkdir()), "is there, but it is empty"),
        (lambda: (folder / "readme.html").write_bytes(b"x"), "is there, but it holds readme.html"),
    ):
        make()
        with pytest.raises(NotHere, match=f"no {cifar.title} in {tmp_path}: {folder} {said}; it must hold"):
            cifar.source(tmp_path)


@pytest.mark.parametrize("share", (0.5, 0.99, 0.001))
def test_a_truncated_archive_is_refused(tmp_path, cifar, files, share):
    path = archived(tmp_path, cifar, files) / cifar.archive
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UserError, match="damaged or truncated|truncated"):
        cifar.read(tmp_path, None, None)


def test_a_truncated_batch_file_is_refused(tmp_path, cifar, files):
    name = list(files)[0]
    with pytest.raises(UserError, match=f"{name}.* is not a CIFAR batch file"):
        cifar.read(unpacked(tmp_path, cifar, files | {name: files[name][:-100]}), None, None)


class Hostile:
    def __reduce__(self):
        return (open, ("hostile-was-here", "w"))


def test_a_pickle_that_would_run_code_is_refused(tmp_path, cifar, files, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hostile = pickle.dumps({"data": Hostile(), cifar.label_key: []}, protocol=2)
    with pytest.raises(UserError, match="it calls .*open"):
        cifar.read(unpacked(tmp_path, cifar, files | {list(files)[-1]: hostile}), None, None)
    assert not (tmp_path / "hostile-was-here").exists()


@pytest.mark.parametrize(
    "change, message",
    (
        (lambda b, key: b | {"data": b["data"][:-1]}, r"holds \(99, 3072\) .* not 100 images"),
        (lambda b, key: b | {key: [0] * len(b[key])}, "of each of 100? classes"),
        (lambda b, key: b | {key: [-label for label in b[key]]}, "of each of 100? classes"),
        (lambda b, key: b | {"data": b["data"].astype(np.float32)}, "float32"),
        (lambda b, key: {"other": b[key], "data": b["data"]}, " 0 (fine )?labels"),
    ),
)
def test_counts_are_checked(tmp_path, cifar, files, change, message):
    name = list(files)[-1]
    content = pickle.dumps(change(batches(cifar)[name], cifar.label_key), protocol=2)
    with pytest.raises(UserError, match=message):
        cifar.read(unpacked(tmp_path, cifar, files | {name: content}), None, None)


@pytest.mark.parametrize("module", (cifar10, cifar100), ids=("CIFAR-10", "CIFAR-100"))
def test_real_images_are_those_of_the_batch_files(module):
    """Read in another way: channels taken apart by hand, images and labels one after the other."""
    folder, (cifar,) = Path(os.environ.get("ATSNN_DATA", "")), (c for c in SETS if c.title == module.TITLE)
    if not os.environ.get("ATSNN_DATA") or not (folder / cifar.folder).is_dir():
        pytest.skip(f"no real images here: set ATSNN_DATA to a folder that holds {cifar.folder}/")
    raw = module.read(folder, None, None)
    assert raw.train_images.shape == (50_000, 32, 32, 3) and raw.test_images.shape == (10_000, 32, 32, 3)
    assert module.source(folder).fingerprint == cifar.fingerprint(folder / cifar.folder)
    images, labels = iter([*raw.train_images, *raw.test_images]), iter([*raw.train_labels, *raw.test_labels])
    for name in cifar.batches:
        batch = pickle.loads((folder / cifar.folder / name).read_bytes(), encoding="latin1")
        for row, label in zip(batch["data"], batch[cifar.label_key], strict=True):
            image = next(images)
            assert next(labels) == label and np.array_equal(image[..., 1].ravel(), row[1024:2048])
            assert image[3, 5].tolist() == [row[3 * 32 + 5 + 1024 * channel] for channel in range(3)]
    assert next(images, None) is None
