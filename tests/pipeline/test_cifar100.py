import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest

from pipeline import sources
from pipeline.datasets import cifar100
from pipeline.errors import UserError


def batch(split):
    """A batch file as the official archive has it, of images whose first byte is their label."""
    count = cifar100.PER_CLASS[split] * 100
    labels = np.arange(count) % 100
    rows = np.zeros((count, 3072), np.uint8)
    rows[:, 0], rows[:, 1], rows[:, 1024] = labels, 7, 9  # red of pixel (0, 0) and (0, 1), green of (0, 0)
    return {"data": rows, "fine_labels": labels.tolist(), "coarse_labels": [0] * count, "filenames": ["x"] * count}


@pytest.fixture(scope="module")
def files():
    return {split: pickle.dumps(batch(split), protocol=2) for split in ("train", "test")}


def unpacked(folder, files):
    (folder / "cifar-100-python").mkdir()
    for split, content in files.items():
        (folder / "cifar-100-python" / split).write_bytes(content)
    return folder


def archived(folder, files):
    with tarfile.open(folder / "cifar-100-python.tar.gz", "w:gz", compresslevel=1) as archive:
        for split, content in files.items():
            member = tarfile.TarInfo(f"cifar-100-python/{split}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return folder


@pytest.mark.parametrize("lay", (unpacked, archived))
def test_images_come_out_of_folder_and_archive_with_channels_last(tmp_path, files, lay):
    raw = cifar100.read(lay(tmp_path, files), None, None)
    assert raw.train_images.shape == (50_000, 32, 32, 3) and raw.test_images.shape == (10_000, 32, 32, 3)
    assert raw.train_images[42, 0, 0].tolist() == [42, 9, 0] and raw.train_images[42, 0, 1].tolist() == [7, 0, 0]
    assert np.array_equal(raw.test_labels, np.arange(10_000) % 100)


def test_a_copy_is_accepted_and_named_as_such(tmp_path, files):
    source = cifar100.source(unpacked(tmp_path, files))
    assert not source.official and "a copy, not the official archive" in source.origin
    other = dict(files, test=files["test"] + b".")
    (tmp_path / "other").mkdir()
    assert cifar100.source(unpacked(tmp_path / "other", other)).fingerprint != source.fingerprint


def test_the_official_images_are_official_wherever_they_lie(tmp_path, files, monkeypatch):
    """With the digests of these files in the place of the official ones, archive and folder are one source."""
    (tmp_path / "archive").mkdir(), (tmp_path / "folder").mkdir()
    archive, folder = archived(tmp_path / "archive", files), unpacked(tmp_path / "folder", files)
    monkeypatch.setattr(cifar100, "ARCHIVE_SHA256", sources.sha256(archive / cifar100.ARCHIVE))
    monkeypatch.setattr(cifar100, "OFFICIAL_MD5", {split: hashlib.md5(content).hexdigest() for split, content in files.items()})
    found = [cifar100.source(place) for place in (None, archive, folder, folder / "cifar-100-python")]
    assert len(set(found)) == 1 and found[0].official and found[0].origin == "CIFAR-100"


def test_a_wrong_folder_says_what_it_must_hold(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        cifar100.source(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no CIFAR-100 in .* must hold cifar-100-python.tar.gz or cifar-100-python/"):
        cifar100.source(tmp_path)


@pytest.mark.parametrize("share", (0.5, 0.99, 0.001))
def test_a_truncated_archive_is_refused(tmp_path, files, share):
    path = archived(tmp_path, files) / cifar100.ARCHIVE
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UserError, match="damaged or truncated|truncated"):
        cifar100.read(tmp_path, None, None)


def test_a_truncated_batch_file_is_refused(tmp_path, files):
    with pytest.raises(UserError, match="not a CIFAR batch file"):
        cifar100.read(unpacked(tmp_path, dict(files, train=files["train"][:-100])), None, None)


class Hostile:
    def __reduce__(self):
        return (open, ("hostile-was-here", "w"))


def test_a_pickle_that_would_run_code_is_refused(tmp_path, files, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hostile = pickle.dumps({"data": Hostile(), "fine_labels": []}, protocol=2)
    with pytest.raises(UserError, match="it calls .*open"):
        cifar100.read(unpacked(tmp_path, dict(files, test=hostile)), None, None)
    assert not (tmp_path / "hostile-was-here").exists()


@pytest.mark.parametrize(
    "change, message",
    (
        (lambda b: b | {"data": b["data"][:-1]}, "not 10000 images"),
        (lambda b: b | {"fine_labels": [0] * 10_000}, "100 images of each of 100 classes"),
        (lambda b: b | {"data": b["data"].astype(np.float32)}, "float32"),
        (lambda b: {"labels": b["fine_labels"], "data": b["data"]}, "0 fine labels"),
    ),
)
def test_counts_are_checked(tmp_path, files, change, message):
    content = pickle.dumps(change(batch("test")), protocol=2)
    with pytest.raises(UserError, match=message):
        cifar100.read(unpacked(tmp_path, dict(files, test=content)), None, None)


def test_a_download_that_fails_names_the_address_and_the_way_round(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "DOWNLOADS", tmp_path)
    with pytest.raises(UserError, match="could not download http://127.0.0.1:9/.*--config data=FOLDER"):
        sources.download("http://127.0.0.1:9/cifar-100-python.tar.gz", "0" * 64)
    assert not list(tmp_path.glob("*.gz"))


def test_a_download_is_checked_and_tried_again(tmp_path, monkeypatch):
    """A server on this machine that fails once, then gives the file; and a file with another digest is refused."""
    import http.server
    import threading

    content, asked = b"an archive", []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200 if len(asked) > 1 else 503)
            self.end_headers()
            if len(asked) > 1:
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(sources, "DOWNLOADS", tmp_path)
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        path = sources.download(f"{address}/good.tar.gz", hashlib.sha256(content).hexdigest())
        assert path.read_bytes() == content and len(asked) == 2
        with pytest.raises(UserError, match="could not download"):
            sources.download(f"{address}/bad.tar.gz", "0" * 64)
    finally:
        server.shutdown()
