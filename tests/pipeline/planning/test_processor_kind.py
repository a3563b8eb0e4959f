"""A kind of processor has one short name, the same whenever it is measured, and safe as the name of a folder."""

import json
import re

import pytest

from pipeline.core.paths import ROOT
from pipeline.planning.processor_kind import kind_of, processor_kind, slug

AVX512 = {"avx2", "avx512f", "avx512bw", "avx512vl"}


@pytest.mark.parametrize("model, flags, threads, kind", [
    ("AMD EPYC", AVX512 | {"avx512_bf16"}, 2, "amd-epyc-avx512bf16-2-threads"),
    ("AMD EPYC 9R14 96-Core Processor", AVX512 | {"avx512_bf16"}, 96, "amd-epyc-9r14-avx512bf16-96-threads"),
    ("Intel(R) Xeon(R) Processor", AVX512 | {"avx512_bf16", "amx_tile", "amx_bf16"}, 2, "intel-xeon-amx-2-threads"),
    ("Intel(R) Xeon(R) Platinum 8275CL CPU @ 3.00GHz", AVX512, 4, "intel-xeon-platinum-8275cl-avx512-4-threads"),
    ("12th Gen Intel(R) Core(TM) i5-1240P", {"avx2"}, 1, "12th-gen-intel-core-i5-1240p-avx2-1-thread"),
    ("aarch64", {"asimd", "fp"}, 2, "aarch64-neon-2-threads"),
    ("../%", set(), 2, "unknown-2-threads"),
])  # fmt: skip
def test_a_processor_goes_by_model_instructions_and_threads(model, flags, threads, kind):
    assert processor_kind(model, flags, threads) == kind and re.fullmatch("[a-z0-9-]+", kind)


def run_on(**info):
    return {"machine_info": {"cpu": {"flags": ["avx2"]}}, "benchmarks": [{"extra_info": {}}, {"extra_info": info}]}


def test_a_gpu_goes_by_its_name_whatever_processor_is_beside_it():
    assert kind_of(run_on(device="NVIDIA H200", device_type="cuda", threads=16)) == "nvidia-h200" == slug("NVIDIA H200")
    assert kind_of(run_on(device="AMD EPYC", device_type="cpu", threads=16)) == "amd-epyc-avx2-16-threads"
    with pytest.raises(KeyError, match="no measurement"):
        kind_of({"benchmarks": [{"extra_info": {}}]})


@pytest.mark.parametrize("path", sorted(ROOT.glob("results/*/bench/*/benchmark.json")), ids=lambda path: path.parent.name)
def test_every_record_lies_in_the_folder_of_its_kind(path):
    assert kind_of(json.loads(path.read_text(encoding="utf-8"))) == path.parent.name
