"""Checksums, worked out by hashlib on the bytes that they are said to be of."""

import hashlib

from pipeline.core.checksums import digest, seal, sha256


def test_a_files_checksum_is_of_its_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2's example


def test_an_ids_digits_are_of_what_is_said_whatever_its_order():
    assert digest({"b": 1, "a": [2.5, None]}) == digest({"a": [2.5, None], "b": 1})
    assert digest({"a": 1}) == hashlib.sha256(b'{"a": 1}').hexdigest()[:8] != digest({"a": 2})
    assert digest([1, 2]) != digest([2, 1])


def test_a_seal_is_of_a_files_content_in_its_order():
    assert seal({"b": 1, "a": 2}) == hashlib.sha256(b'{"b": 1, "a": 2}').hexdigest() != seal({"a": 2, "b": 1})
