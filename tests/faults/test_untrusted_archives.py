"""Whatever stands in an archive of images, it is read soundly, or refused in one line; nothing of it is unpacked.

100 examples of each here, as many as ATSNN_EXAMPLES says in `make faults`.
"""

import bz2
import gzip
import lzma
import re
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from small_sets import BATCHES, CIFAR, SET, TREE, anew, many, pickled, read_cifar, read_tiny, refused

from pipeline.data import archives

pytestmark = pytest.mark.usefixtures("small")
words = st.text("abcdefgh.é ", min_size=1, max_size=8)
unsafe = st.one_of(
    words.map("../{}".format), words.map("/{}".format), words.map("a/{}/../..".format), words.map("..\\{}".format),
    words.map("\\{}".format), words.map("C:\\{}".format), words.map("c:{}".format), words.map(f"{SET}/../{{}}".format),
)  # fmt: skip
numbers = st.integers(0, 2**40) | st.integers(0, 70_000)


def tarred(folder, members, before=False):
    """The archive of CIFAR-10 with more members, of a header and any content."""
    honest = [
        (header(f"{CIFAR.folder}/{name}", tarfile.REGTYPE, size=len(content)), content)
        for name, content in pickled(BATCHES).items()
    ]
    parts = [*members, *honest] if before else [*honest, *members]
    blocks = b"".join(head + content + bytes(-len(content) % 512) for head, content in parts)
    (anew(folder) / CIFAR.archive).write_bytes(gzip.compress(blocks + bytes(1024), compresslevel=1))
    return folder


def header(name, kind, size=0, link="", **more) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    for key, value in more.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


KINDS = [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
PLAIN = KINDS[:2]


@many
@given(name=unsafe | words, kind=st.sampled_from(KINDS), before=st.booleans(), link=words)
def test_tar_members_that_could_leave_their_folder(tmp_path, name, kind, before, link):
    said = refused(read_cifar, tarred(tmp_path / "data", [(header(name, kind, link=link), b"")], before))
    away = name[:1] in "/\\" or ".." in re.split(r"[/\\]", name) or re.match(r"[a-z]:", name, re.I)
    if away or kind not in PLAIN:
        assert repr(name.rstrip("/")) in said and "don't use this archive" in said
    else:
        assert said == ""


@many
@given(
    kind=st.sampled_from([*KINDS, *(bytes([n]) for n in b"07xgLKSDVX\x00\xff")]),
    name=words | st.sampled_from([f"{CIFAR.folder}/{name}" for name in BATCHES]),
    size=st.integers(-(2**40), 2**62) | st.integers(0, 5000),
    content=st.binary(max_size=600),
    before=st.booleans(),
)
def test_tar_members_of_any_kind_size_and_content(tmp_path, kind, name, size, content, before):
    folder = tarred(tmp_path / "data", [(header(name, kind, size=size, mtime=0), content)], before)
    if not refused(read_cifar, folder):
        assert np.array_equal(read_cifar(folder).test_images, CIFAR.decode(pickled(BATCHES), "test", folder)[0])


@many
@given(place=st.floats(0, 1), bit=st.integers(0, 7), cut=st.booleans(), zipped=st.booleans())
def test_archives_with_any_damage(tmp_path, place, bit, cut, zipped):
    folder, read = (zipped_tree, read_tiny) if zipped else (tarred, read_cifar)
    folder = folder(tmp_path / "data", [])
    (path,) = folder.iterdir()
    content = path.read_bytes()
    at = min(int(place * len(content)), len(content) - 1)
    path.write_bytes(content[:at] if cut else content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :])
    said = refused(read, folder)
    assert said or not cut, "what is cut off can't be read"


@pytest.mark.parametrize(
    "member, message",
    (
        (header("x", tarfile.GNUTYPE_SPARSE, size=0, mtime=0), "link or device, or a file with holes"),
        (header(f"{CIFAR.folder}/test_batch", tarfile.REGTYPE), "test_batch' twice"),
        (b"".join(header(f"{n}", tarfile.REGTYPE) for n in range(1000)), "holds more than 1000 files"),
        (b"".join(header(f"{n}", tarfile.DIRTYPE) for n in range(1000)), "holds more than 1000 files"),
    ),
)
def test_tar_members_that_no_set_has(tmp_path, member, message):
    assert message in refused(read_cifar, tarred(tmp_path / "data", [(member, b"")]))


@many
@given(more=st.integers(0, 3_000_000))
@example(more=0)
def test_tar_archives_that_unpack_to_much(tmp_path, monkeypatch, more):
    monkeypatch.setattr(archives, "LARGEST", 2_000_000)
    said = refused(read_cifar, tarred(tmp_path / "data", [(header("x", tarfile.REGTYPE, size=more), bytes(more))]))
    assert ("unpacks to more than 2000000 bytes" in said) == bool(said)
    assert bool(said) == (len(gzip.decompress((tmp_path / "data" / CIFAR.archive).read_bytes())) > 2_000_000)


@pytest.mark.parametrize("once_more", (gzip.compress, bz2.compress, lzma.compress))
def test_a_tar_archive_that_is_packed_twice(tmp_path, once_more):
    """The second packing could hold any number of bytes."""
    path = tarred(tmp_path / "data", []) / CIFAR.archive
    path.write_bytes(gzip.compress(once_more(gzip.decompress(path.read_bytes()))))
    assert "can't be read" in refused(read_cifar, tmp_path / "data")


def zipped_tree(folder, members, tree=TREE, change=lambda infos: None):
    """The archive of TinyImageNet with more members, and with changes of what its directory says of them."""
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(anew(folder) / f"{SET}.zip", "w") as archive:
        for name, content in tree.items():
            archive.writestr(f"{SET}/{name}", content)
        for info in members:
            archive.writestr(info, b"x")
        change(archive.infolist())
    return folder


def zip_info(name, mode=0, **more):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    for key, value in more.items():
        setattr(info, key, value)
    return info


@many
@given(name=unsafe | words, mode=st.sampled_from((0, 1, 2, 4, 6, 8, 10, 12, 15)).map(lambda kind: kind << 12 | 0o644))
def test_zip_members_that_could_leave_their_folder(tmp_path, name, mode):
    said = refused(read_tiny, zipped_tree(tmp_path / "data", [zip_info(name, mode)]))
    away = name[:1] in "/\\" or ".." in re.split(r"[/\\]", name) or re.match(r"[a-z]:", name, re.I)
    if away or mode >> 12 not in (0, 4, 8):
        assert repr(name) in said and "don't use this archive" in said
    else:
        assert said == ""


CHANGES = {"file_size": numbers, "compress_size": numbers, "header_offset": numbers, "CRC": st.integers(0, 2**32 - 1)}
CHANGES |= {"flag_bits": st.integers(0, 2**16 - 1), "compress_type": st.sampled_from((0, 1, 8, 9, 12, 14, 93, 99))}
CHANGES |= {"extra": st.binary(max_size=40), "comment": st.binary(max_size=40), "external_attr": st.integers(0, 2**32 - 1)}
changes = st.sampled_from(sorted(CHANGES)).flatmap(lambda key: st.tuples(st.just(key), CHANGES[key]))


@many
@given(number=st.integers(0, len(TREE) - 1), changed=st.lists(changes, max_size=3))
@example(number=0, changed=[("flag_bits", 1)])
def test_zip_members_of_which_the_directory_says_anything(tmp_path, number, changed):
    def change(infos):
        for key, value in changed:
            setattr(infos[number], key, value)

    folder = zipped_tree(tmp_path / "data", [], change=change)
    said = refused(read_tiny, folder)
    assert said or np.array_equal(read_tiny(folder).train_images, read_tiny(zipped_tree(folder, [])).train_images)
    if changed == [("flag_bits", 1)]:
        assert "encrypted" in said


@many
@given(name=st.sampled_from(sorted(TREE)), place=st.integers(0, 3))
def test_zip_members_that_stand_twice(tmp_path, name, place):
    again = zip_info(f"{SET}/{name}")
    others = [zip_info(f"{n}") for n in range(3)]
    assert f"{name}' twice" in refused(read_tiny, zipped_tree(tmp_path / "data", [*others[:place], again, *others[place:]]))


def test_zip_archives_that_unpack_to_much(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.data.folder_or_zip.UNPACKED", 2**20)
    tree = TREE | {f"test/{n}": bytes(2**19) for n in range(3)}
    assert "claims" in refused(read_tiny, zipped_tree(tmp_path / "data", [], tree))


def test_zip_archives_of_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.data.folder_or_zip.AT_ONCE", 5000)
    assert refused(read_tiny, zipped_tree(tmp_path / "data", [])) == ""
    many_more = [zip_info(f"{n}") for n in range(100)]
    assert "more members than have place in 5000 bytes" in refused(read_tiny, zipped_tree(tmp_path / "data", many_more))
