"""Which devices CUDA shows, on machines that are pretended: a program named nvidia-smi, and folders like the driver's."""

import itertools
import os

import pretended_gpus
import pytest
import torch

from pipeline.evaluation import visible_gpus
from pipeline.evaluation.visible_gpus import UnknownDevices, visible

FOUR = [
    "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77",
    "GPU-0aa11ebd-627f-af3f-1a0d-4e1fd92fd7b0",
    "GPU-08279800-1cbe-a71d-f3e6-8f67e15ae54a",
    "GPU-71086aca-c858-d1e0-aae1-275bed1008b9",
]
MIG = [
    "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f",
    "MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb",
    "MIG-0c757cd7-e942-5726-a0b8-0e8fb7067135",
]
INFORMATION = """Model: 		 NVIDIA H100 80GB HBM3
IRQ:   		 42
GPU UUID: 	 {uuid}
Bus Location: 	 0000:{bus}:00.0
Device Minor: 	 {minor}
GPU Excluded:	 No
"""


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine without nvidia-smi, driver and device files."""
    for name in ("bin", "dev", "nvidia"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(visible_gpus, "DEVICE_FILES", tmp_path / "dev")
    monkeypatch.setattr(visible_gpus, "DRIVER", tmp_path / "nvidia")
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def smi(tmp_path):
    return tmp_path / "bin"


def shown(monkeypatch, value):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    return visible()


def test_all_gpus_are_shown_unless_some_are_named(smi):
    pretended_gpus.pretend(smi, FOUR)
    assert visible() == FOUR


@pytest.mark.parametrize(
    "value, indices",
    [
        ("2", [2]),
        ("2,1", [2, 1]),  # the guide's example
        ("0,2,-1,1", [0, 2]),  # the guide's example
        ("3, 1", [3, 1]),
        ("1,4,2", [1]),
        ("4", []),
        ("1,,2", [1]),
        ("1,2,", [1, 2]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),  # SLURM's, for jobs without any
        ("none", []),
        ("2,0,2", []),
        ("1,01", []),
        ("1ti,+2", [1, 2]),
        (FOUR[1], [1]),
        (f"{FOUR[3]},{FOUR[0]}", [3, 0]),
        ("GPU-5d5", [0]),
        ("GPU-7,GPU-08", [3, 2]),
        ("GPU-0", []),  # two begin so
        ("GPU-5,GPU-0,GPU-7", [0]),
        ("GPU-5,GPU-5d", []),  # the same one twice
        ("GPU-5,GPU-ffff,GPU-7", [0]),
        (f"{FOUR[1]},2", [1]),
        (f"2,{FOUR[1]}", [2]),
        (f"{FOUR[1]},{MIG[0]},{FOUR[2]}", [1]),
        (MIG[0], []),
    ],
)
def test_names_mean_what_they_mean_to_cuda(smi, monkeypatch, value, indices):
    pretended_gpus.pretend(smi, FOUR)
    assert shown(monkeypatch, value) == [FOUR[index] for index in indices]


def test_indices_and_uuids_mean_what_pytorch_takes_them_for(smi, monkeypatch):
    """torch.cuda counts devices by these two functions, which were compared with CUDA; here for lists of three words."""
    pretended_gpus.pretend(smi, FOUR)
    words = ["0", "3", "4", "-1", " 2", "", "x", "GPU-5", "GPU-0", "GPU-5d5ba", FOUR[1], "GPU-9"]
    gpus = visible_gpus.present()
    monkeypatch.setattr(visible_gpus, "present", lambda: gpus)
    for three in itertools.product(words, repeat=3):
        ours = shown(monkeypatch, ",".join(three))
        parsed = torch.cuda._parse_visible_devices()
        if parsed and isinstance(parsed[0], str):
            parsed = torch.cuda._transform_uuid_to_ordinals(parsed, FOUR)
        theirs = [FOUR[index] for index in itertools.takewhile(lambda index: index < len(FOUR), parsed)]
        assert ours == theirs, three


def test_the_instances_of_a_gpu_that_mig_splits_are_devices(smi, monkeypatch):
    pretended_gpus.pretend(smi, FOUR[:2], instances_of={FOUR[0]: MIG[:2], FOUR[1]: MIG[2:]})
    assert visible() == MIG, "each is for a job of its own"
    assert shown(monkeypatch, f"{MIG[2]},{MIG[0]}") == [MIG[2], MIG[0]]
    assert shown(monkeypatch, f"{MIG[0]},MIG-ffff,{MIG[2]}") == [MIG[0]]
    assert shown(monkeypatch, f"{MIG[0]},{MIG[0]}") == []
    assert shown(monkeypatch, f"{MIG[0]},0") == [MIG[0]]
    assert shown(monkeypatch, FOUR[0]) == [MIG[0]], "CUDA takes the first instance for a GPU that is split"
    assert shown(monkeypatch, "0,1") == [MIG[0], MIG[2]]


def test_a_gpu_beside_one_that_is_split_is_a_device(smi, monkeypatch):
    pretended_gpus.pretend(smi, FOUR[:2], instances_of={FOUR[0]: MIG[:2]})
    assert visible() == [MIG[0], MIG[1], FOUR[1]]
    assert shown(monkeypatch, FOUR[1]) == [FOUR[1]]
    with pytest.raises(UnknownDevices, match="CUDA_VISIBLE_DEVICES=1 counts GPUs, and MIG splits some of them: name UUIDs"):
        shown(monkeypatch, "1")


def test_instances_are_found_by_the_names_that_older_drivers_give(smi, monkeypatch):
    old = [f"MIG-{FOUR[0]}/{number}/0" for number in (1, 11, 2)]
    pretended_gpus.pretend(smi, FOUR[:1], instances_of={FOUR[0]: old})
    assert visible() == old
    assert shown(monkeypatch, f"{old[2]},{old[0]}") == [old[2], old[0]]
    pretended_gpus.pretend(smi, FOUR[:1], instances_of={FOUR[0]: MIG})
    with pytest.raises(UnknownDevices, match="/1/0, which has another name here"):
        shown(monkeypatch, old[0])


def test_an_index_among_gpus_of_several_models_is_known_where_cuda_counts_as_nvidia_smi_does(smi, monkeypatch):
    """CUDA's default order is from the fastest, which may be any."""
    pretended_gpus.pretend(smi, FOUR[:2], models={FOUR[0]: "NVIDIA T400"})
    with pytest.raises(
        UnknownDevices, match="CUDA_VISIBLE_DEVICES=0 counts GPUs of several models.*CUDA_DEVICE_ORDER=PCI_BUS_ID"
    ):
        shown(monkeypatch, "0")
    assert set(shown(monkeypatch, "1,0")) == set(FOUR[:2]), "both, in whatever order"
    assert shown(monkeypatch, FOUR[1]) == [FOUR[1]]
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert shown(monkeypatch, "1") == [FOUR[1]]


SILENT_OR_BROKEN = {
    "echo 'Failed to initialize NVML: Driver/library version mismatch'": "nvidia-smi fails .Failed to initialize NVML",
    "echo 'NVIDIA-SMI has failed. Make sure.'; exit 9": "nvidia-smi fails .NVIDIA-SMI has failed. Make sure",
    f"echo 'GPU 0: NVIDIA T4 (UUID: {FOUR[0]})'; echo 'Unable to determine the device handle'; exit 15": "Unable to determine",
    "exit 3": "nvidia-smi fails .it says nothing, exit code 3",
    "exit 0": "nvidia-smi fails .it says nothing",
    "sleep 1000": "nvidia-smi has not answered for 0.5 seconds",
}


@pytest.mark.parametrize("script", SILENT_OR_BROKEN)
def test_where_nvidia_smi_fails_devices_are_unknown_if_anything_tells_of_gpus(smi, tmp_path, monkeypatch, script):
    monkeypatch.setattr(visible_gpus, "MOST_SECONDS", 0.5)
    pretended_gpus.install(smi, script)
    assert visible() == [], "a machine without GPUs may have the program"
    with pytest.raises(UnknownDevices, match=SILENT_OR_BROKEN[script] + ".*, and CUDA_VISIBLE_DEVICES=0 tells of GPUs: unset it"):
        shown(monkeypatch, "0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    (tmp_path / "dev/nvidia0").touch()
    with pytest.raises(UnknownDevices, match=SILENT_OR_BROKEN[script] + ".*, and .*dev/nvidia0 is there"):
        visible()


def test_a_program_that_is_not_one_is_told_of(smi, monkeypatch):
    (smi / "nvidia-smi").write_text("not a program")
    (smi / "nvidia-smi").chmod(0o755)
    with pytest.raises(UnknownDevices, match="nvidia-smi can't be run .Exec format error., and CUDA_VISIBLE_DEVICES=MIG-1"):
        shown(monkeypatch, "MIG-1")


@pytest.mark.parametrize("ending", ["0", "6"])
def test_a_container_that_has_been_given_no_gpu_has_none(smi, monkeypatch, ending):
    pretended_gpus.install(smi, f"echo 'No devices were found'; exit {ending}")
    assert visible() == shown(monkeypatch, "0") == []


def test_a_container_without_nvidia_smi_has_no_gpu_unless_something_tells_of_one(tmp_path, monkeypatch):
    assert visible() == shown(monkeypatch, "") == shown(monkeypatch, "-1") == []
    for value in ("0", "0,1", FOUR[0], MIG[0]):
        with pytest.raises(UnknownDevices, match=f"there is no nvidia-smi here, and CUDA_VISIBLE_DEVICES={value} tells of GPUs"):
            shown(monkeypatch, value)
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", "void")
    assert visible() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    for name in ("nvidia0", "nvidia7", "dxg"):
        (tmp_path / "dev" / name).touch()
        with pytest.raises(UnknownDevices, match=f"there is no nvidia-smi here, and .*/{name} is there"):
            visible()
        (tmp_path / "dev" / name).unlink()
    for name in ("nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / "dev" / name).touch()
    assert visible() == []


def driver(folder, minor_of, missing=()):
    """The driver's folders of GPUs, whose minor numbers are in the order of their PCI addresses; some have no device file."""
    for number, (uuid, minor) in enumerate(minor_of.items()):
        place = folder / f"nvidia/gpus/0000:{16 * number + 7:02x}:00.0"
        place.mkdir(parents=True)
        (place / "information").write_text(INFORMATION.format(uuid=uuid, minor=minor, bus=f"{16 * number + 7:02x}"))
        if uuid not in missing:
            (folder / f"dev/nvidia{minor}").touch()


def test_a_container_without_nvidia_smi_knows_its_gpus_from_the_driver(tmp_path, monkeypatch):
    driver(tmp_path, {FOUR[0]: 2, FOUR[1]: 0, FOUR[2]: 1}, missing=[FOUR[1]])
    assert visible() == [FOUR[0], FOUR[2]], "one is not the container's"
    assert shown(monkeypatch, "1") == [FOUR[2]]
    assert shown(monkeypatch, FOUR[2][:12]) == [FOUR[2]]


def test_the_driver_names_no_instances_and_no_gpu_that_was_never_used(tmp_path):
    driver(tmp_path, {FOUR[0]: 0})
    (tmp_path / "nvidia/capabilities/gpu0/mig").mkdir(parents=True)
    assert visible() == [FOUR[0]]
    (tmp_path / "nvidia/capabilities/gpu0/mig/gi3").mkdir()
    with pytest.raises(UnknownDevices, match="there is no nvidia-smi here to name the instances into which MIG splits GPU-5d5"):
        visible()
    (tmp_path / "nvidia/capabilities/gpu0/mig/gi3").rmdir()
    (information,) = tmp_path.glob("nvidia/gpus/*/information")
    information.write_text(INFORMATION.format(uuid="GPU-????????-????-????-????-????????????", minor=0, bus="07"))
    with pytest.raises(UnknownDevices, match="there is no nvidia-smi here, and .*/information has no UUID"):
        visible()


def test_nothing_is_asked_where_no_device_is_named(smi, tmp_path, monkeypatch):
    pretended_gpus.install(smi, f"touch {tmp_path}/asked; exit 1")
    assert shown(monkeypatch, "") == [] and not os.path.exists(tmp_path / "asked")
