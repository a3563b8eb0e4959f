"""TinyImageNet with two classes, drawn here, as a folder and as an archive."""

import io
import zipfile

from PIL import Image

WNIDS = ("n00000002", "n00000001")  # in wnids.txt, not sorted
ANNOTATIONS = "val/val_annotations.txt"


def jpeg(brightness, size=(64, 64), mode="RGB"):
    content = io.BytesIO()
    Image.new(mode, size, brightness if mode == "L" else (brightness, 0, 255 - brightness)).save(content, "JPEG")
    return content.getvalue()


def official_files():
    """Names and contents: three training images of each class, two for validation, one of them grey."""
    found = {f"train/{w}/images/{w}_{i}.JPEG": jpeg(120 * (w == WNIDS[0]) + 10 * i) for w in WNIDS for i in (0, 1, 10)}
    found |= {f"train/{w}/{w}_boxes.txt": b"" for w in WNIDS} | {"test/images/test_0.JPEG": b"unused"}
    found |= {f"val/images/val_{i}.JPEG": jpeg(51 * i, mode="L" if i == 3 else "RGB") for i in range(4)}
    lines = [f"val_{i}.JPEG\t{WNIDS[i % 2]}\t0\t0\t9\t9\n" for i in range(4)]
    return found | {"wnids.txt": "\n".join(WNIDS).encode(), ANNOTATIONS: "".join(lines).encode()}


def unpacked(folder, files, root="tiny-imagenet-200"):
    for name, content in files.items():
        path = folder / root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def archived(folder, files, compression=zipfile.ZIP_DEFLATED, root="tiny-imagenet-200/"):
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "tiny-imagenet-200.zip", "w", compression) as archive:
        archive.writestr("tiny-imagenet-200/", b"")
        for name, content in files.items():
            archive.writestr(f"{root}{name}", content)
    return folder
