"""Speeds are those of one device: the one whose records there are, or the one that is named."""

import json
import re

import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import ROOT
from pipeline.planning.measured_rates import choose_device, ends_of, read_file
from pipeline.planning.recorded_times import Timing
from pipeline.planning.training_kinds import INSTRUCTION_SETS, Device

ONE, OTHER = (Device.of(name, "float32", 1, "compiled kernels: c++") for name in ("NVIDIA H100", "a processor"))
FILE = {"device": "NVIDIA H200", "precision": "bf16", "threads": 1, "kernels": "none"}


def test_the_device_is_that_of_the_records_else_that_of_the_file():
    assert choose_device([ONE], FILE, None) == ONE and choose_device([], FILE, None).name == "NVIDIA H200"
    assert choose_device([], None, None) is None


def test_of_several_devices_one_is_to_be_named_by_a_part_of_its_name():
    with pytest.raises(UserError, match="recorded on 2 devices, whose hours are not the same: name one"):
        choose_device([ONE, OTHER], None, None)
    assert choose_device([ONE, OTHER], FILE, "h100") == ONE
    with pytest.raises(UserError, match="'nvidia' is a part of the names of 2 devices"):
        choose_device([ONE, OTHER], FILE, "nvidia")


def test_hours_of_another_instruction_set_are_those_of_another_device():
    """Files from before the widths of vectors name none: their hours are neither's, and they are chosen by their whole name."""
    texts = ("AVX-512, c++ (Debian 12.2.0-14+deb12u1) 12.2.0", "AVX2, c++ 12", "c++ (Debian 12.2.0-14+deb12u1) 12.2.0")
    wide, narrow, before = devices = [Device.of("AMD EPYC", "float32", 1, f"compiled kernels: {text}") for text in texts]
    assert [device.kernels for device in devices] == [f"compiled kernels{rest}" for rest in (": AVX-512", ": AVX2", "")]
    assert all(Device.from_fields(device.fields) == device for device in devices)
    with pytest.raises(UserError, match="recorded on 3 devices"):
        choose_device(devices, None, None)
    assert choose_device(devices, None, "avx-512") == wide and choose_device(devices, None, "avx2") == narrow
    assert choose_device(devices, None, str(before)) == before
    assert Device.of("", "", 1, "compiled kernels: unused on a GPU") == Device.of("", "", 1, "compiled kernels: c++ 12")
    assert Device.of("", "", 1, "plain PyTorch: no C++ compiler").kernels == "plain PyTorch"


def test_the_instruction_sets_are_those_that_the_kernels_name():
    assert INSTRUCTION_SETS == tuple(re.findall(r'INSTRUCTION_SET\[\] = "(.*)"', (ROOT / "models/native/vectors.h").read_text()))


def test_the_speed_at_the_ends_of_epochs_is_by_their_median():
    timings = {"kind": [Timing(ONE, passed=120, ends=[10.0, 90.0]), Timing(ONE, passed=120, ends=[20.0])], "none": [Timing(ONE)]}
    assert ends_of(timings) == {"kind": 120 / 20}


@pytest.mark.parametrize("change", ({"trained": -1}, {"passed": float("inf")}, {"pass_kind": 3}))
def test_a_damaged_file_of_speeds_is_one_line(tmp_path, change):
    entry = {"title": "STATIC", "trained_kind": "a", "pass_kind": "b", "trained": 1.0, "passed": 1.0, "energy": 2.0}
    entry |= {"weights_bytes": 1, "checkpoint_bytes": 1}
    content = FILE | {"gpu": True, "cores": 2}
    (tmp_path / "throughput.json").write_text(json.dumps(content | {"kinds": [entry]}))
    assert read_file(tmp_path / "throughput.json")["kinds"] == [entry]
    (tmp_path / "throughput.json").write_text(json.dumps(content | {"kinds": [entry | change]}))
    with pytest.raises(UserError, match="throughput.json is damaged .*delete it, and measure again"):
        read_file(tmp_path / "throughput.json")
