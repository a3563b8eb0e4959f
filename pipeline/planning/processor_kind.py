"""Name a kind of processor, so that speed is recorded once for each: results/<scale>/bench/<kind>/."""

import re

# Instruction sets that decide how fast a network runs, the best first: a name, and the flags of /proc/cpuinfo that mean it
INSTRUCTION_SETS = {
    "amx": {"amx_tile", "amx_bf16"},
    "avx512bf16": {"avx512f", "avx512_bf16"},
    "avx512": {"avx512f", "avx512bw", "avx512vl"},
    "avx2": {"avx2"},
    "sve": {"sve"},
    "neon": {"asimd"},
}
WITHOUT_MEANING = re.compile(r"\((R|TM|C)\)|@.*|\b\d+-Core\b|\bCPU\b|\bProcessor\b", re.IGNORECASE)


def kind_of(run: dict) -> str:
    """Name the kind that a run was measured on, from pytest-benchmark's JSON: its GPU or processor, and the threads.

    A GPU goes by its name alone, `nvidia-h200`. A processor has its best instruction set and the threads too, as some virtual
    machines tell a family only: `amd-epyc-avx512bf16-2-threads`. Raises KeyError where nothing of the run tells the device.
    """
    info = next((b["extra_info"] for b in run["benchmarks"] if "device" in b["extra_info"]), None)
    if info is None:
        raise KeyError("no measurement of the run tells its device")
    if info.get("device_type") == "cuda":
        return slug(info["device"])
    return processor_kind(info["device"], set(run["machine_info"]["cpu"].get("flags", ())), info["threads"])


def processor_kind(model: str, flags: set[str], threads: int) -> str:
    """Name a kind of processor from its model's name, its flags, and the threads that compute on it."""
    known = (name for name, needed in INSTRUCTION_SETS.items() if needed <= flags)
    return "-".join(
        [slug(model), *([best] if (best := next(known, "")) else []), f"{threads}-thread{'s' if threads > 1 else ''}"]
    )


def slug(name: str) -> str:
    """Write a device's name with lower-case letters, digits and hyphens only; `unknown` where nothing of it is left."""
    return re.sub(r"[^a-z0-9]+", "-", WITHOUT_MEANING.sub(" ", name).lower()).strip("-") or "unknown"
