"""TinyImageNet is read in each layout that tools make of it, with the images, labels and fingerprint of the official one."""

import re
import shutil

import numpy as np
import pytest
from small_tiny_imagenet import WNIDS, archived, jpeg, official_files, unpacked

from pipeline.core.errors import UserError
from pipeline.data import fingerprints
from pipeline.data.datasets import tiny_imagenet

CLASS_OF = {f"val_{i}.JPEG": WNIDS[i % 2] for i in range(4)}  # as the annotations say


@pytest.fixture(autouse=True)
def two_classes(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "FINGERPRINTS", tmp_path / "fingerprints")
    monkeypatch.setattr(tiny_imagenet, "CLASS_COUNT", 2)
    monkeypatch.setattr(tiny_imagenet, "PER_CLASS", {"train": 3, "test": 2})


def renamed(files, change):
    return {change(name): content for name, content in files.items()}


def sorted_into(form):
    """Moves validation images into class folders."""

    def change(name):
        file = name.rsplit("/")[-1]
        return form.format(wnid=CLASS_OF[file], file=file) if name.startswith("val/images/") else name

    return lambda files: renamed(files, change)


def without_inner(files):
    return renamed(files, lambda name: name.replace("/images/", "/") if name.startswith("train/") else name)


def ending(new, split=""):
    return lambda files: renamed(files, lambda name: name.replace(".JPEG", new) if name.startswith(split) else name)


LEFT_BEHIND = (
    ".DS_Store", "train/.DS_Store", "train/Thumbs.db", "train/n00000001/images/Thumbs.db", "train/n00000001/images/.DS_Store",
    "train/n00000001/images/._n00000001_0.JPEG", "train/@eaDir/x/images/x.JPEG", "val/Desktop.ini", "val/images/Thumbs.db",
    "val/images/._val_0.JPEG", "val/n00000001/._val_0.JPEG", "val/images/val_0.JPEG:Zone.Identifier",
    "__MACOSX/train/n3/images/x.JPEG",
    "train/__pycache__/a.pyc", "train/found.000/FILE0000.CHK", "train/notes/readme.txt", "val/images/Thumbs.db:encryptable",
    "val/images/ehthumbs_vista.db", "train/n00000001/images/Picasa.ini", "train/n00000001/images/n00000001_0.JPEG~",
    "train/__MACOSX/._n00000001", "val/.ipynb_checkpoints/val_0.JPEG", "train/.Trash-0/files/a.JPEG", "train/Icon\r",
)  # fmt: skip


def with_files_left_behind(files):
    return files | dict.fromkeys(LEFT_BEHIND, b"\0\5\x16\7")


SORTED = {form: sorted_into(form) for form in ("val/{wnid}/{file}", "val/{wnid}/images/{file}", "val/images/{wnid}/{file}")}
SAME = {
    **SORTED,
    "files left behind": with_files_left_behind,
    "sorted, and files left behind": lambda files: with_files_left_behind(SORTED["val/{wnid}/{file}"](files)),
    "no inner images/": without_inner,
    "no inner images/ in one class": lambda files: files | without_inner({n: c for n, c in files.items() if WNIDS[0] not in n}),
    ".JPG": ending(".JPG"),
    ".jpeg": ending(".jpeg"),
    ".jpg, no inner images/, sorted": lambda files: ending(".jpg")(without_inner(SORTED["val/{wnid}/{file}"](files))),
    "val without images/": lambda files: renamed(files, lambda name: name.replace("val/images/", "val/")),
    "val without images/, .jpg": lambda files: ending(".jpg", "val/")(SAME["val without images/"](files)),
    "copied, not moved": lambda files: files | SORTED["val/{wnid}/{file}"](files),
    "copied twice": lambda files: files | SORTED["val/{wnid}/{file}"](files) | SORTED["val/{wnid}/images/{file}"](files),
    "sorted in part": lambda files: {
        name: content
        for name, content in (files | SORTED["val/{wnid}/{file}"](files)).items()
        if name not in ("val/images/val_0.JPEG", f"val/{WNIDS[1]}/val_1.JPEG")
    },
    "boxes in the class folders": lambda files: SORTED["val/{wnid}/{file}"](files) | {f"val/{WNIDS[0]}/boxes.txt": b"1"},
}


def same_images(raw, other):
    fields = ("train_images", "train_labels", "test_images", "test_labels")
    return all(np.array_equal(getattr(raw, field), getattr(other, field)) for field in fields)


@pytest.fixture
def official(tmp_path):
    """The official layout's source and images."""
    folder = unpacked(tmp_path / "official", official_files())
    return tiny_imagenet.source(folder), tiny_imagenet.read(folder, None, None)


@pytest.mark.parametrize("lay", (unpacked, archived))
@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_each_layout_is_the_same_source_with_the_same_images(tmp_path, official, change, lay):
    folder = lay(tmp_path / "data", change(official_files()))
    assert tiny_imagenet.source(folder) == official[0]
    assert same_images(tiny_imagenet.read(folder, None, None), official[1])


def without(files, part):
    return {name: content for name, content in files.items() if part not in name}


EDITED = {
    "a blank line at the end": lambda text: text + b"\n",
    "blank lines": lambda text: b"\n" + text.replace(b"\n", b"\n \t\n"),
    "lines as on Windows": lambda text: text.replace(b"\n", b"\r\n") + b"\r\n",
    "a mark of UTF-8": lambda text: b"\xef\xbb\xbf" + text,
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "UTF-16, big end first": lambda text: b"\xfe\xff" + text.decode().encode("utf-16-be"),
}


@pytest.mark.parametrize("name", ("wnids.txt", "val/val_annotations.txt"))
@pytest.mark.parametrize("edit", EDITED.values(), ids=EDITED)
def test_a_text_that_an_editor_has_saved_anew_is_read(tmp_path, official, name, edit):
    """Same images; the bytes of the texts are part of the fingerprint."""
    files = official_files()
    folder = unpacked(tmp_path / "data", files | {name: edit(files[name])})
    assert same_images(tiny_imagenet.read(folder, None, None), official[1])
    assert tiny_imagenet.source(folder) != official[0]


@pytest.mark.parametrize("empty", (b"", b"\n \n", b"\xef\xbb\xbf"))
def test_empty_annotations_are_as_good_as_none(tmp_path, official, empty):
    files = without(SORTED["val/{wnid}/{file}"](official_files()), "annotations")
    sources = [tiny_imagenet.source(unpacked(tmp_path / "none", files))]
    folder = unpacked(tmp_path / "empty", files | {"val/val_annotations.txt": empty})
    assert [tiny_imagenet.source(folder)] == sources
    assert same_images(tiny_imagenet.read(folder, None, None), official[1])


@pytest.mark.parametrize("change", SORTED.values(), ids=SORTED)
@pytest.mark.parametrize("texts", (("annotations",), ("annotations", "wnids")))
def test_without_annotations_and_classes_the_folders_say_them(tmp_path, official, change, texts):
    """Same images and labels; another fingerprint, since what the missing texts said more is unknown, but one for all layouts."""
    sources = []
    for number, more in enumerate((lambda files: files, without_inner, ending(".jpg"), with_files_left_behind)):
        files = more(change(official_files()))
        for text in texts:
            files = without(files, text)
        folder = unpacked(tmp_path / str(number), files)
        assert same_images(tiny_imagenet.read(folder, None, None), official[1])
        sources.append(tiny_imagenet.source(folder))
    assert len(set(sources)) == 1 and sources[0] != official[0]


def test_the_fingerprint_without_annotations_holds_the_classes_of_the_folders(tmp_path):
    """Files moved to the folder of another class make another source."""
    files = without(SORTED["val/{wnid}/{file}"](official_files()), "annotations")
    swapped = renamed(files, lambda name: re.sub(r"^val/n0000000(\d)", lambda m: f"val/n0000000{3 - int(m[1])}", name))
    sources = [tiny_imagenet.source(unpacked(tmp_path / str(n), f)) for n, f in enumerate((files, swapped))]
    assert sources[0] != sources[1]


ROOTS = ("tiny-imagenet-200/tiny-imagenet-200", "tiny-imagenet-200", ".")


@pytest.mark.parametrize("root", ROOTS)
def test_a_folder_is_found_in_the_folders_that_unpacking_makes_and_as_itself(tmp_path, official, root):
    unpacked(tmp_path / "data", official_files(), root)
    (tmp_path / "data/.DS_Store").write_bytes(b"")
    assert tiny_imagenet.source(tmp_path / "data") == official[0]


def test_the_outer_folder_is_read_where_a_copy_lies_in_it(tmp_path, official):
    unpacked(tmp_path / "data", official_files())
    unpacked(tmp_path / "data", official_files() | {"train/n00000001/images/n00000001_0.JPEG": jpeg(77)}, ROOTS[0])
    assert tiny_imagenet.source(tmp_path / "data") == official[0]


@pytest.mark.parametrize("root", [f"{root}/" for root in ROOTS[:2]] + [""])
def test_an_archive_that_was_packed_anew_is_read(tmp_path, official, root):
    files = {f"{root}{name}": content for name, content in with_files_left_behind(official_files()).items()}
    archived(tmp_path / "data", files | {f"__MACOSX/{root}._train": b"\0\5\x16\7"}, root="")
    assert tiny_imagenet.source(tmp_path / "data") == official[0]


WRONG = {
    "in the folder of another class": (
        lambda f: renamed(SORTED["val/{wnid}/{file}"](f), lambda n: n.replace("n00000002/val_0", "n00000001/val_0")),
        r"val/n00000001/val_0.JPEG is in the folder of n00000001, and val/val_annotations.txt says n00000002: move it, or take",
    ),
    "in two class folders": (
        lambda f: SORTED["val/{wnid}/{file}"](f) | {"val/n00000001/val_0.JPEG": jpeg(0)},
        "has one image twice, as val/n00000001/val_0.JPEG and as val/n00000002/val_0.JPEG: move one of them away",
    ),
    "with two endings": (
        lambda f: f | {"train/n00000001/images/n00000001_0.jpg": jpeg(0)},
        "has one image twice, as train/n00000001/images/n00000001_0.JPEG and as .*_0.jpg",
    ),
    "not annotated": (
        lambda f: SORTED["val/{wnid}/{file}"](f) | {"val/n00000001/val_9.JPEG": jpeg(0)},
        "val/n00000001/val_9.JPEG is not annotated",
    ),
    "not annotated, nor in a class folder": (
        lambda f: without(SORTED["val/{wnid}/{file}"](f), "annotations") | {"val/images/val_9.JPEG": jpeg(0)},
        "val/images/val_9.JPEG is in no class folder, and val/val_annotations.txt, which has its class, is missing",
    ),
    "in val itself, without annotations": (
        lambda f: without(SAME["val without images/"](f), "annotations"),
        "val/val_0.JPEG is in no class folder, and val/val_annotations.txt, which has its class, is missing: bring that file back",
    ),
    "in val/images, with empty annotations": (
        lambda f: f | {"val/val_annotations.txt": b"\n"},
        "val/images/val_0.JPEG is in no class folder, and val/val_annotations.txt, which has its class, is empty",
    ),
    "a folder of another class": (
        lambda f: f | {"train/n00000009/x.txt": b"x"},
        "train/n00000009 is a folder that is not named as a class of wnids.txt: move it away",
    ),
    "in folders by number": (
        lambda f: renamed(f, lambda name: re.sub(r"val/images/val_(\d)", r"val/\1/val_\1", name)),
        "val/0/val_0.JPEG is in a folder that is not named as a class of wnids.txt",
    ),
    "training images in no folder": (
        lambda f: renamed(f, lambda name: re.sub(r"train/.*/", "train/", name)),
        "has no JPEG images of its classes in train, but train/n00000001_0.JPEG",
    ),
    "too few of a class": (
        lambda f: without(without(SORTED["val/{wnid}/{file}"](f), "annotations"), "val_1."),
        "val names 1 images of n00000001, not 2: unpack the official archive again",
    ),
    "a PNG image by its content": (
        lambda f: SORTED["val/{wnid}/{file}"](f) | {f"val/{WNIDS[0]}/val_0.JPEG": b"\x89PNG\r\n\x1a\n" + bytes(50)},
        "val_0.JPEG is no readable JPEG: it is a PNG image",
    ),
    "a pointer of Git LFS": (
        lambda f: f | {"train/n00000001/images/n00000001_0.JPEG": b"version https://git-lfs.github.com/spec/v1\noid"},
        "n00000001_0.JPEG is no readable JPEG: it is a pointer of Git LFS",
    ),
}


@pytest.mark.parametrize("lay", (unpacked, archived))
@pytest.mark.parametrize("change, message", WRONG.values(), ids=WRONG)
def test_what_contradicts_itself_is_refused_in_one_line(tmp_path, change, message, lay):
    folder = lay(tmp_path / "data", change(official_files()))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message) as caught:
        tiny_imagenet.read(folder, None, None)
    assert "\n" not in str(caught.value) and "get the set again" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bad_archive_beside_its_folder_says_that_the_folder_can_be_read(tmp_path, official):
    folder = unpacked(tmp_path / "data", official_files())
    (folder / "tiny-imagenet-200.zip").write_bytes(b"<html>404</html>")
    with pytest.raises(UserError, match="it is an HTML page.*; or move .*zip away, and .*/tiny-imagenet-200 is read"):
        tiny_imagenet.source(folder)
    (folder / "tiny-imagenet-200.zip").rename(tmp_path / "away.zip")
    assert tiny_imagenet.source(folder) == official[0]


FOUND = {
    "parquet": ({"data/train-00000-of-00001.parquet": b"PAR1"}, r"it holds parquet files \(data/train-00000-of-00001.parquet\)"),
    "another archive": ({"archive.zip": b"PK"}, r"it holds an archive \(archive.zip\)"),
    "a download": ({"tiny-imagenet-200.zip.crdownload": b"PK"}, "it holds a download that did not end"),
    "files left behind": ({".DS_Store": b"", "Thumbs.db": b""}, "it is empty"),
    "the training images": ({"train/n00000001/images/n00000001_0.JPEG": b""}, r"it holds JPEG images \(train/"),
    "deeper": ({f"sets/tiny/{name}": b"" for name in official_files()}, "it lies in .*/sets/tiny; name .*/sets/tiny, or several"),
}


@pytest.mark.parametrize("files, message", FOUND.values(), ids=FOUND)
def test_a_folder_without_the_set_is_told_what_it_holds(tmp_path, files, message):
    with pytest.raises(UserError, match=f"no TinyImageNet in {tmp_path}/data: {message}"):
        tiny_imagenet.source(unpacked(tmp_path / "data", files, "."))


def file_in_place(name):
    return lambda place: (shutil.rmtree(place / name), (place / name).write_bytes(b"x"))


def folder_in_place(name):
    return lambda place: ((place / name).unlink(missing_ok=True), (place / name).mkdir())


MISFITS = {
    "train": (file_in_place("train"), "tiny-imagenet-200/train is a file, and must be a folder: move it away"),
    "val": (file_in_place("val"), "tiny-imagenet-200/val is a file, and must be a folder: move it away"),
    "val/images": (file_in_place("val/images"), "tiny-imagenet-200/val/images is a file, and must be a folder: move it away"),
    "a class": (file_in_place("train/n00000001"), "train/n00000001 is a file, and must be a folder: move it away"),
    "a class's images": (file_in_place("train/n00000001/images"), "train/n00000001/images is a file, and must be a folder"),
    "an image": (folder_in_place("val/images/val_0.JPEG"), "val/images/val_0.JPEG is a folder, and must be a file"),
    "annotations": (
        folder_in_place("val/val_annotations.txt"),
        "val/val_annotations.txt, which has its class, is a folder: bring",
    ),
    "the set": (file_in_place("."), "no TinyImageNet in .*/data: .*/tiny-imagenet-200 is a file, and must be a folder; it must"),
    "nothing": (
        lambda place: (shutil.rmtree(place), place.mkdir()),
        "/tiny-imagenet-200 is there, but it is empty; it must hold",
    ),
    "another": (
        lambda place: (shutil.rmtree(place / "val"), (place / "wnids.txt").unlink()),
        "is there, but it holds JPEG images",
    ),
    "the archive": (
        lambda place: (shutil.rmtree(place), place.with_suffix(".zip").mkdir()),
        "no TinyImageNet in .*/data: .*/tiny-imagenet-200.zip is a folder, and must be a file; it must hold",
    ),
}


@pytest.mark.parametrize("change, message", MISFITS.values(), ids=MISFITS)
def test_a_file_in_the_place_of_a_folder_or_the_reverse_is_named(tmp_path, change, message):
    folder = unpacked(tmp_path / "data", official_files())
    change(folder / "tiny-imagenet-200")
    with pytest.raises(UserError, match=message) as caught:
        tiny_imagenet.source(folder)
    assert "\n" not in str(caught.value)


def test_a_part_of_the_set_is_told_where_the_whole_lies(tmp_path):
    folder = unpacked(tmp_path, official_files()) / "tiny-imagenet-200/train"
    with pytest.raises(UserError, match="it lies in .*/tiny-imagenet-200; name "):
        tiny_imagenet.source(folder)


def test_links_that_lead_nowhere_are_named_only_where_they_are_needed(tmp_path, official):
    folder = unpacked(tmp_path / "data", official_files())
    place = folder / "tiny-imagenet-200"
    for name in (".#wnids.txt", "train/.#n00000001", "readme.txt", "val/images/.#val_0.JPEG", "ring"):
        (place / name).symlink_to("ring" if name == "ring" else "joe@h.1:2")
    assert tiny_imagenet.source(folder) == official[0]
    for name in ("val/images/val_0.JPEG", "wnids.txt"):
        (place / name).unlink(), (place / name).symlink_to("/nowhere")
        with pytest.raises(UserError, match=f"{name} can't be read: it is a link to /nowhere, where no file is; bring that file"):
            tiny_imagenet.source(folder)
