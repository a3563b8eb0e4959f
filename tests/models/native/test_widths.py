"""The kernels of every instruction set, each beside the plain code: those of x86 that this processor has, and NEON in an emulator.

Another kernel needs a test in test_fused.py or test_event_driven.py, as all do, and a line in CASES with a few of its shapes: whole vectors of every
width, parts of one, and less than one.
"""

import shutil
from pathlib import Path

import emulated
import pytest
import test_event_driven as events
import test_fused as beside_plain
import torch

from models import native
from models.native import build

BASELINE = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}  # of x86-64-v3, as Linux names them
X86 = {  # -march, and what the processor needs for it
    "SSE": ("x86-64", {"sse2"}),
    "AVX2": ("x86-64-v3", BASELINE),
    "AVX-512": ("x86-64-v4", BASELINE | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
}
CASES = {
    beside_plain.test_norm_and_neuron_equal_plain_pytorch: [
        (channels, shape, training, masked, shared)
        for channels, shape in ((3, (2, 8, 8)), (19, (3, 7)), (48, (3, 7)))
        for training, masked, shared in ((True, False, False), (True, True, True), (False, True, False), (False, False, True))
    ],
    beside_plain.test_neuron_equals_plain_pytorch: [((4, 3, 5, 19), 0.5, 0.125), ((3, 64), 1.0, 1.0)],
    beside_plain.test_two_calls_with_membranes_equal_one_call_and_leave_the_plain_membranes: [(3, False), (48, True), (100, True)],
    beside_plain.test_neurons_without_norm_keep_membranes_too: [()],
    beside_plain.test_any_number_of_threads_gives_the_same_spikes_and_each_the_same_bits_twice: [(100, True, True)],
    beside_plain.test_bfloat16_is_rounded_as_torch_rounds_it: [()],
    beside_plain.test_what_is_not_a_number_gives_gradients_that_are_none: [(torch.bfloat16, True), (torch.float32, False)],
    beside_plain.test_narrow_dtypes_are_as_near_to_float64_as_they_can_be: [
        (dtype, channels, shared, masked)
        for dtype in (torch.bfloat16, torch.float32)
        for channels, shared, masked in ((7, False, True), (48, True, False), (48, False, True))
    ],
    beside_plain.test_pooling_equals_plain_pytorch_and_ties_go_to_the_first_maximum: [
        (size, channels, levels) for size, channels in (((7, 5), 3), ((2, 3), 19), ((8, 8), 48)) for levels in (2, None)
    ],
    beside_plain.test_attention_equals_plain_pytorch_whatever_the_lengths_of_segments: [
        ((0, 5, 5, 12, 13, 13, 30), 2, d) for d in (3, 16, 19, 40, 64, 72)
    ],
    beside_plain.test_similarity_of_counts_has_the_bits_of_the_plain_one: [
        (7, 5, 9, 1.0), (39, 48, 500, 0.5), (9, 100, 60000, -1.0), (39, 48, 2**21, 1.0)
    ],
    events.test_both_paths_give_what_pytorch_gives_in_float64: [
        (sizes, kind, "events")
        for sizes in ((301, 70, 100), (40, 400, 24), (2, 5, 4, 3, 9), (2, 16, 16, 100, 8), (3, 8, 8, 24, 48))
        for kind in ("spikes", "counts")
    ],
    events.test_networks_dtypes_are_right_up_to_their_rounding: [
        (sizes, dtype, tolerance)
        for sizes in ((64, 96, 70), (2, 8, 8, 48, 40))
        for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 2e-2))
    ],
    events.test_counts_are_bytes_with_their_share_and_largest: [
        (kind, size, dtype)
        for kind in ("counts", "large")
        for size in (15, 4100)
        for dtype in (torch.bfloat16, torch.float32, torch.float64)
    ],
    events.test_inputs_that_are_no_counts_are_computed_dense_and_kept: [
        (place, value) for place in (0, 5006) for value in (-1.0, 256.0, torch.nan)
    ],
}  # fmt: skip


@pytest.fixture(scope="module", params=(*X86, "NEON"))
def instruction_set(request, tmp_path_factory):
    """Every call of a kernel goes to those of one instruction set; what can't be tested here is named in red at the end."""
    name = request.param
    with pytest.MonkeyPatch.context() as patch:
        if name == "NEON":
            library = in_emulator(patch, tmp_path_factory.mktemp("kernels"))
        else:
            library = compiled_for(patch, name, *X86[name])
        patch.setattr(build, "library", lambda: library)
        yield name


def compiled_for(patch, name, architecture, needs):
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    if lacking := needs - set(next((line for line in lines if line.startswith("flags")), "").split()):
        pytest.skip(f"NOT TESTED: kernels for {name}. This processor has no {', '.join(sorted(lacking))}")
    flags = [f"-march={architecture}" if flag == "-march=native" else flag for flag in build.FLAGS]
    patch.setattr(build, "FLAGS", flags)
    kernels, description = build.library.__wrapped__()
    if description.endswith(("no C++ compiler", "ATSNN_KERNELS is off")):
        pytest.skip(f"NOT TESTED: kernels for {name}. {description}")
    assert kernels is not None, description
    return kernels, description


def in_emulator(patch, folder):
    if reason := emulated.unusable():
        pytest.skip(f"NOT TESTED: kernels for NEON. {reason}")
    kernels = emulated.Kernels(folder, patch)
    patch.setattr(build, "as_c", lambda value: value)
    return kernels, f"compiled kernels: {kernels.instruction_set().decode()}, for an emulator"


@pytest.mark.skipif(build.library()[0] is None, reason=native.describe())
def test_every_kernel_of_every_dtype_is_among_the_cases(monkeypatch):
    kernels, called = build.library()[0], set()

    class Listed:
        def __getattr__(self, name):
            called.add(name)
            return getattr(kernels, name)

    monkeypatch.setattr(build, "library", lambda: (Listed(), "listed"))
    for test, choices in CASES.items():
        for arguments in choices:
            test(*arguments)
    compiler = next(filter(shutil.which, filter(None, build.COMPILERS)))
    assert called == set(emulated.exported(emulated.expand(compiler)))


def test_a_record_names_the_instruction_set_that_the_kernels_were_compiled_for(instruction_set):
    assert native.describe().startswith(f"compiled kernels: {instruction_set}, ")


@pytest.mark.parametrize(
    "test, arguments",
    [(test, arguments) for test, choices in CASES.items() for arguments in choices],
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
def test_whatever_the_instruction_set_kernels_agree_with_plain_pytorch(instruction_set, test, arguments):
    test(*arguments)
