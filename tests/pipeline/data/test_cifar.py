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
from pipeline.data.cifar import Cifar
from pipeline.data.datasets import cifar10, cifar100

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
    with pytest.raises(UserError, match="does not exist"):
        cifar.source(tmp_path / "nowhere")
    with pytest.raises(UserError, match=f"no {cifar.title} in .* must hold {cifar.archive} or {cifar.folder}/"):
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
