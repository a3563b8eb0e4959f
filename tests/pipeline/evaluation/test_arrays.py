import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.evaluation.arrays import read_arrays, save_arrays


def test_arrays_come_back_by_evaluation_and_name(tmp_path):
    path = tmp_path / "arrays" / "set.npz"
    save_arrays(path, {"static": {"labels": np.arange(3)}, "at_snn": {"labels": np.arange(4), "blocks": np.ones(2)}})
    found = read_arrays(path, "at_snn", "blocks", "labels", "halt_block")
    assert sorted(found) == ["blocks", "labels"] and found["labels"].tolist() == [0, 1, 2, 3]
    assert [file.name for file in path.parent.iterdir()] == ["set.npz"]


def test_any_damage_is_one_line_that_says_what_to_do(tmp_path):
    path = tmp_path / "set.npz"
    save_arrays(path, {"static": {"labels": np.random.default_rng(0).integers(0, 9, 500)}})
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes(b ^ 255 for b in whole[place : place + 20]) + whole[place + 20 :])
        try:
            read_arrays(path, "static", "labels")
        except UserError as error:
            refused += "delete it, and it is measured again" in str(error)
    assert refused > len(whole) // 7 // 2
    path.write_bytes(b"")
    with pytest.raises(UserError, match="set.npz can't be read"):
        read_arrays(path, "static", "labels")
