"""List the devices that CUDA shows to this process, by UUID: GPUs, and the instances of GPUs that MIG splits. Imports no torch.

Which there are is asked of nvidia-smi or, where a container has none, read from the driver's /proc. What CUDA_VISIBLE_DEVICES
makes of them are CUDA's rules:
https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html#cuda-visible-devices
https://docs.nvidia.com/datacenter/tesla/mig-user-guide/mig-device-names.html#cuda-device-enumeration
and, of what these leave open (entries that are repeated, of another kind than the first, or not only digits), what
torch.cuda._parse_visible_devices has found CUDA to do.
"""

import os
import re
import signal
import subprocess
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"
MOST_SECONDS = 60.0  # for an answer of nvidia-smi, which takes seconds a GPU where nothing keeps the driver loaded
DRIVER = Path("/proc/driver/nvidia")
DEVICE_FILES = Path("/dev")
GPU_LINE = re.compile(r"(?:GPU )?(\d+)[:,]\s*(.*?)\s*(?:\(UUID: )?\b(GPU-[^\s)]+)")
INSTANCE_LINE = re.compile(r"\s*MIG .*\(UUID: (MIG-[^\s)]+)\)")


class UnknownDevices(Exception):
    """There may be GPUs, and they can't be told apart; says why, and what would help."""


@dataclass(frozen=True)
class Gpu:
    """A GPU, and the UUIDs of its MIG instances: none where it isn't split."""

    uuid: str
    model: str
    instances: tuple[str, ...] = ()


def visible() -> list[str]:
    """List UUIDs of the devices that CUDA shows, in the order of CUDA_VISIBLE_DEVICES; where that isn't set, all devices.

    A process sees one instance of a GPU, and jobs have one each, so all instances count. Raises UnknownDevices.
    """
    value = os.environ.get(VISIBLE)
    if value is None:
        return [uuid for gpu in present() for uuid in gpu.instances or [gpu.uuid]]
    names = names_in(value)
    if not names:
        return []
    gpus = present()
    if value.startswith("MIG-"):
        return found(names, instances_by_name(names, gpus))
    # A GPU that is split stands for the first of its instances, as it does for CUDA
    device_of = {gpu.uuid: gpu.instances[0] if gpu.instances else gpu.uuid for gpu in gpus}
    if value.startswith("GPU-"):
        return found(names, device_of)
    devices = found(names, {str(index): device for index, device in enumerate(device_of.values())}, whole_names=True)
    if 0 < len(devices) < len(gpus):
        check_order(value, gpus)
    return devices


def names_in(value: str) -> list[str]:
    """Split a value of CUDA_VISIBLE_DEVICES into the names that count: those before the first of another kind than the first.

    None count where one is repeated. Of an index, its leading digits count.
    """
    words = value.split(",")
    prefix = value[:4]
    if prefix in ("GPU-", "MIG-"):
        names = list(takewhile(lambda word: word.startswith(prefix), words))
    else:
        numbers = takewhile(bool, (re.match(r"\s*\+?0*([0-9]+)", word) for word in words))
        names = [number[1] for number in numbers]
    return names if len(set(names)) == len(names) else []


def found(names: list[str], device_of: dict[str, str], whole_names: bool = False) -> list[str]:
    """Look up the devices of names, which may be shortened as long as one device has them, up to the first that has none.

    None where two names are one device's.
    """
    devices: list[str] = []
    for name in names:
        matching = [name] if name in device_of else [known for known in device_of if known.startswith(name) and not whole_names]
        if len(matching) != 1:
            break
        devices.append(device_of[matching[0]])
    return devices if len(set(devices)) == len(devices) else []


def instances_by_name(names: list[str], gpus: list[Gpu]) -> dict[str, str]:
    """Name all MIG instances as nvidia-smi does. Raises UnknownDevices where only drivers before R470 would know a name."""
    instances = [uuid for gpu in gpus for uuid in gpu.instances]
    for name in names:
        if name.startswith("MIG-GPU-") and name not in instances and any(name[4:].startswith(gpu.uuid) for gpu in gpus):
            raise UnknownDevices(f"{VISIBLE} has {name}, which has another name here: take it from nvidia-smi -L")
    return {uuid: uuid for uuid in instances}


def check_order(value: str, gpus: list[Gpu]) -> None:
    """Raise UnknownDevices where CUDA may number GPUs otherwise than nvidia-smi does: by speed, or those that MIG splits last."""
    if any(gpu.instances for gpu in gpus):
        raise UnknownDevices(f"{VISIBLE}={value} counts GPUs, and MIG splits some of them: name UUIDs of nvidia-smi -L")
    if len({gpu.model for gpu in gpus}) > 1 and os.environ.get(ORDER) != "PCI_BUS_ID":
        hint = f"name UUIDs of nvidia-smi -L, or set {ORDER}=PCI_BUS_ID"
        raise UnknownDevices(f"{VISIBLE}={value} counts GPUs of several models, the fastest first: {hint}")


def present() -> list[Gpu]:
    """List the GPUs of this machine or container, in nvidia-smi's order. Raises UnknownDevices."""
    try:
        return listed_by_nvidia_smi()
    except FileNotFoundError:
        if gpus := listed_by_driver():
            return gpus
        reason = "there is no nvidia-smi here"
    except OSError as error:
        reason = f"nvidia-smi can't be run ({error.strerror})"
    except UnknownDevices as error:
        reason = str(error)
    if hint := sign_of_gpus():
        raise UnknownDevices(f"{reason}, and {hint}")
    return []


def sign_of_gpus() -> str:
    """Name what tells of GPUs where they can't be listed, a device file or CUDA_VISIBLE_DEVICES; empty where nothing does."""
    for pattern in ("nvidia[0-9]*", "dxg", "nvhost-gpu"):  # of a PC or server, Windows' Linux, a Jetson
        for file in sorted(DEVICE_FILES.glob(pattern)):
            return f"{file} is there"
    if os.environ.get(VISIBLE) and os.environ.get("NVIDIA_VISIBLE_DEVICES") not in ("none", "void"):  # of a container without any
        return f"{VISIBLE}={os.environ[VISIBLE]} tells of GPUs: unset it where there are none"
    return ""


def listed_by_nvidia_smi() -> list[Gpu]:
    """List the GPUs and their instances from `nvidia-smi -L`. Raises UnknownDevices where it fails, hangs or lists nothing."""
    process = subprocess.Popen(
        ["nvidia-smi", "-L"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        answer, _ = process.communicate(timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)  # not waited for: where the driver hangs, it doesn't end
        raise UnknownDevices(f"nvidia-smi has not answered for {MOST_SECONDS:g} seconds") from error
    if "No devices were found" in answer:
        return []
    gpus: list[Gpu] = []
    for line in answer.splitlines():
        if gpu := GPU_LINE.match(line):
            gpus.append(Gpu(uuid=gpu[3], model=gpu[2]))
        elif gpus and (instance := INSTANCE_LINE.match(line)):
            gpus[-1] = Gpu(gpus[-1].uuid, gpus[-1].model, (*gpus[-1].instances, instance[1]))
    if process.returncode or not gpus:
        lines = [line.strip() for line in answer.splitlines() if line.strip() and not GPU_LINE.match(line)]
        raise UnknownDevices(
            f"nvidia-smi fails ({lines[0].rstrip('.') if lines else f'it says nothing, exit code {process.returncode}'})"
        )
    return gpus


def listed_by_driver() -> list[Gpu]:
    """List the GPUs of the driver's /proc whose device files are here, by PCI address, which is nvidia-smi's order.

    Raises UnknownDevices for one that MIG splits, since instances have no names there, and for one that has no UUID yet.
    """
    gpus = []
    for file in sorted(DRIVER.glob("gpus/*/information")):
        fields = dict(re.findall(r"^([^:\n]+):\s*(.*?)\s*$", file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE))
        minor, uuid = fields.get("Device Minor", ""), fields.get("GPU UUID", "")
        if not (DEVICE_FILES / f"nvidia{minor}").exists():
            continue
        if any(DRIVER.glob(f"capabilities/gpu{minor}/mig/gi*")):
            raise UnknownDevices(f"there is no nvidia-smi here to name the instances into which MIG splits {uuid}")
        if not re.fullmatch(r"GPU-[0-9a-f-]+", uuid):
            raise UnknownDevices(f"there is no nvidia-smi here, and {file} has no UUID")
        gpus.append(Gpu(uuid=uuid, model=fields.get("Model", "")))
    return gpus
