"""Whatever a batch file of CIFAR holds, it is read soundly, or refused in one line, and nothing that it names is called.

100 examples of each here, as many as ATSNN_EXAMPLES says in `make faults`.
"""

import codecs
import os
import pickle
import shutil
import struct
import subprocess

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from small_sets import BATCHES, Calling, many, pickled, read_cifar, refused, unpacked

pytestmark = pytest.mark.usefixtures("small")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def with_entries(folder, **change):
    """CIFAR-10 with other entries in its batch of test images."""
    return unpacked(folder, pickled(BATCHES | {"test_batch": BATCHES["test_batch"] | change}))


@many
@given(labels=st.lists(st.integers(-1, 10) | st.integers(), min_size=10, max_size=10) | st.permutations(range(10)) | values)
@example(labels=[0.0, *range(1, 10)])
@example(labels=[True, 0, *range(2, 10)])
@example(labels=[str(label) for label in range(10)])
def test_labels_of_any_value(tmp_path, labels):
    said = refused(read_cifar, with_entries(tmp_path / "data", labels=labels))
    assert bool(said) == (labels.__class__ is not list or sorted(map(repr, labels)) != [repr(n) for n in range(10)])


@many
@given(
    shape=st.lists(st.integers(0, 12), max_size=4) | st.sampled_from(([10, 3072], [3072, 10], [30720], [10, 3, 32, 32])),
    kind=st.sampled_from(("u1", "i1", "f4", ">i8", "bool", "S3", "O", "U2", "M8[s]", "c8", "u1,O")),
)
def test_images_of_any_shape_and_kind(tmp_path, shape, kind):
    said = refused(read_cifar, with_entries(tmp_path / "data", data=np.zeros(shape, kind)))
    assert bool(said) == ((shape, kind) != ([10, 3072], "u1"))


CALLS = [
    Calling(os.system, ("touch it-ran",)),
    Calling(open, ("it-ran", "w")),
    Calling(eval, ("open('it-ran', 'w')",)),
    Calling(exec, ("open('it-ran', 'w')",)),
    Calling(shutil.copy, ("/etc/passwd", "it-ran")),
    Calling(np.save, ("it-ran", [1])),
    Calling(subprocess.Popen, (["touch", "it-ran"],)),
]


@many
@given(
    call=st.sampled_from(CALLS),
    key=st.sampled_from(("data", "labels", "filenames", "x")),
    name=st.sampled_from(sorted(BATCHES)),
    deep=values,
    protocol=st.integers(0, 4),
)
def test_a_batch_that_would_run_something(tmp_path, call, key, name, deep, protocol):
    hostile = pickle.dumps(BATCHES[name] | {key: [deep, {"x": call}]}, protocol)
    assert "it calls" in refused(read_cifar, unpacked(tmp_path / "data", pickled(BATCHES) | {name: hostile}))
    assert not list(tmp_path.rglob("it-ran*"))


KIND = Calling(np.dtype, ("O", False, True))
MADE_UP = Calling(np.dtype, ("V8", False, True), (3, "|", None, ("a",), {"a": (KIND, 0)}, 8, 1, 0))
ADDRESS = Calling(np.zeros(1).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, (1,), MADE_UP, False, b"A" * 8))
HEX = [Calling(codecs.encode, ("x", "hex"))]
for _ in range(60):
    HEX.append(Calling(codecs.encode, (HEX[-1], "hex")))
LAUGHS = [[0] * 10]
for _ in range(20):
    LAUGHS.append([LAUGHS[-1]] * 10)
CYCLE = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "content, message",
    (
        (pickle.dumps({"data": 0, "labels": ADDRESS}, 2), "it holds an array of 'V8'"),
        (pickle.dumps({"data": 0, "labels": HEX[-1]}, 2), "it calls _codecs.encode for 'hex'"),
        (pickle.dumps({"data": LAUGHS[-1], "labels": LAUGHS[-1]}, 2), "holds no array"),
        (pickle.dumps({"data": CYCLE, "labels": CYCLE}, 2), "holds no array"),
        (b"\x80\x02}r" + struct.pack("<I", 2**31) + b".", "more than 1048576 parts"),
        (b"\x80\x02}p4000000000\n.", "more than 1048576 parts"),
        (b"\x80\x02" + b"}" * (2**20 + 10) + b".", "more than 1048576 parts"),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**50) + b".", "is not a CIFAR batch file"),
        (b"(" * 100_000, "is not a CIFAR batch file"),
        (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "it holds no dictionary"),
    ),
    ids=lambda value: "" if isinstance(value, bytes) else value,
)
def test_a_batch_that_takes_memory_or_makes_numpy_read_anywhere(tmp_path, content, message):
    assert message in refused(read_cifar, unpacked(tmp_path / "data", pickled(BATCHES) | {"test_batch": content}))


def test_a_batch_as_the_official_archive_has_it(tmp_path):
    """As Python 2 wrote it: bytes as text, the array with a dtype by its old name."""
    rows = bytes(range(256)) * 120
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x01(cnumpy\nndarray\nq\x02K\x00\x85U\x01btRq\x03(K\x01M\n\x00M\x00\x0c\x86"
    array += b"cnumpy\ndtype\nq\x04(U\x02u1K\x00K\x01tRq\x05(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    array += b"T" + struct.pack("<I", len(rows)) + rows + b"tb"
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in range(10)) + b"e"
    content = b"\x80\x02}q\x00(U\x0bbatch_labelU\x05test U\x06labels" + labels + b"U\x04data" + array + b"u."
    raw = read_cifar(unpacked(tmp_path / "data", pickled(BATCHES) | {"test_batch": content}))
    assert raw.test_images.transpose(0, 3, 1, 2).tobytes() == rows
