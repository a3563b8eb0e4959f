"""Small data sets as archives and folders, and what reads or refuses them: CIFAR-10 with six images of each class, TinyImageNet
with two classes. Beside the tests of untrusted data.
"""

import dataclasses
import io
import os
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.data.datasets import cifar10, tiny_imagenet

many = settings(
    max_examples=int(os.environ.get("ATSNN_EXAMPLES", 100)),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
CIFAR = dataclasses.replace(cifar10.CIFAR10, per_class={"train": 5, "test": 1})
BATCHES = {
    name: {"data": np.full((10, 3072), number, np.uint8), "labels": [*range(10)], "filenames": ["x"] * 10}
    for number, name in enumerate(CIFAR.batches)
}
WNIDS = ("n00000001", "n00000002")
SET, ANNOTATIONS = "tiny-imagenet-200", "val/val_annotations.txt"


def picture(kind="JPEG", size=(64, 64), mode="RGB", colour=77):
    content = io.BytesIO()
    Image.new(mode, size, colour).save(content, kind)
    return content.getvalue()


IMAGE = picture()
TREE = {f"train/{w}/images/{w}_{i}.JPEG": picture(colour=99 * i) for w in WNIDS for i in range(2)}
TREE |= {f"val/images/val_{i}.JPEG": picture(colour=50 * i) for i in range(4)}
TREE |= {
    "wnids.txt": "\n".join(WNIDS).encode(),
    ANNOTATIONS: "".join(f"val_{i}.JPEG\t{WNIDS[i % 2]}\t0\t0\t9\t9\n" for i in range(4)).encode(),
}


def anew(place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return place


def unpacked(place, tree=TREE):
    for name, content in tree.items():
        path = anew(place) / name if name == next(iter(tree)) else place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return place


def refused(call, *given) -> str:
    """What it says, in one line, if it refuses; nothing if it reads. It leaves nothing behind, and warns of nothing."""
    before = {path for path in Path.cwd().rglob("*") if path.parent.name != "fingerprints"}
    said = ""
    with warnings.catch_warnings(action="error"):
        try:
            call(*given)
        except UserError as error:
            said = str(error)
            assert said and said.isprintable()
    after = {path for path in Path.cwd().rglob("*") if path.parent.name != "fingerprints"}
    assert after - before <= {Path.cwd() / "fingerprints"}
    return said


def read_cifar(folder):
    """Reads what is there, and makes sure that it is sound."""
    CIFAR.source(folder)
    raw = CIFAR.read(folder, None, None)
    for images, labels, count in ((raw.train_images, raw.train_labels, 50), (raw.test_images, raw.test_labels, 10)):
        assert images.shape == (count, 32, 32, 3) and images.dtype == np.uint8 and labels.dtype == np.int64
        assert sorted(labels) == sorted([*range(10)] * (count // 10))
    return raw


def read_tiny(folder):
    tiny_imagenet.source(folder)
    raw = tiny_imagenet.read(folder, None, None)
    for images, labels in ((raw.train_images, raw.train_labels), (raw.test_images, raw.test_labels)):
        assert images.shape == (len(labels), 64, 64, 3) and images.dtype == np.uint8 and labels.dtype == np.int64
        assert 0 < np.bincount(labels, minlength=3)[0] == np.bincount(labels, minlength=3)[1] and labels.max() == 1
    return raw


def pickled(batches):
    return {name: pickle.dumps(batch, protocol=2) for name, batch in batches.items()}


class Calling:
    """A pickle that calls a function with some arguments, and sets a state."""

    def __init__(self, *told):
        self.told = told

    def __reduce__(self):
        return self.told
