import copy
import json
from types import SimpleNamespace

import pytest

from pipeline.campaign.shown_files import speed_files
from pipeline.core.paths import ROOT
from pipeline.planning import benchmark, benchmark_page, roofline


def one(group, name, seconds, reference=None, iqr=0.0, **info):
    stats = {"median": seconds, "iqr": iqr * seconds, "rounds": 5}
    facts = {"name": name, "images": 1, "reference": reference, "threads": 2, "device": "a processor", "kernels": "none"}
    return {"group": group, "stats": stats, "extra_info": facts | info}


def step(group, name, seconds, macs=10**9, **info):
    network = {"depth": 4, "width": 384, "heads": 12, "timesteps": 4}
    facts = {"images": 32, "batch": 32, "dtype": "bf16", "passes": 3 if group == "train" else 1, "network": network}
    return one(group, name, seconds, "SpikingJelly", **facts | {"memory_gb": 2.0, "macs": macs} | info)


def made_up():
    """A run on a machine whose products do 100, 200 and 300 GFLOP/s."""
    run = [one("rates", f"p{gflops}", 1.0, dtype="bf16", operation=f"p{gflops}", work=gflops * 1e9) for gflops in (100, 200, 300)]
    run += [one("rates", "copy", 1.0, dtype="bf16", operation="copy", work=50e9)]
    run += [step("train", "SpikingJelly", 8.0, memory_gb=6.0, dtype="float32"), step("train", "STATIC", 2.0)]
    run += [one("packed, encoder", "STATIC", 1.0, "STATIC", share=1.0), one("packed, encoder", "half", 0.6, "STATIC", share=0.5)]
    run += [one("packed, network", "STATIC", 2.0, "STATIC", share=1.0), one("packed, network", "half", 1.6, "STATIC", share=0.5)]
    run += [one("data", "the paper's recipe", 3.0, images=128)]
    for job in ("infer", "train"):
        for kind in ("static", "at_snn"):
            for batch in (8, 64):
                facts = {"kind": kind, "batch": batch, "images": batch, "network": {"timesteps": 4, "width": 384}}
                run.append(one(f"cost, {job}", f"{kind} {batch}", batch / 10, "static 8", **facts))
    return run


def test_multiply_accumulates_are_those_counted_by_hand():
    from models.spikformer import Spikformer

    embed, encoder = roofline.macs(Spikformer(depth=2, width=16, heads=2, classes=10, timesteps=3))
    first, later = 32 * 32 * 9 * 3 * 2, 32 * 32 * 9 * (2 * 4 + 4 * 8)  # 3 -> 2 once, then 2 -> 4 -> 8 at every timestep
    pooled = 16 * 16 * 9 * 8 * 16 + 8 * 8 * 9 * 16 * 16
    assert embed == first + 3 * (later + pooled)
    linear = 64 * (16 * 48 + 16 * 16 + 2 * 16 * 64)
    attention = 2 * (2 * 64 * 8 * 8)  # two heads: k^T v, then q times it
    assert encoder == 3 * (2 * (linear + attention) + 16 * 10)


def test_the_limit_is_the_median_rate_over_the_work_of_an_image():
    assert roofline.rates(made_up()) == {"bf16": {"p100": 100, "p200": 200, "p300": 300, "copy": 50}}
    assert roofline.peak(roofline.rates(made_up())["bf16"]) == 200
    assert roofline.limit(10**9, 3, 200) == pytest.approx(200 / 6)  # 2 operations per multiply-accumulate


def test_ratios_are_above_one_where_faster_and_where_more_is_held():
    told = benchmark.summarise(made_up())
    assert told["speed"]["train"] == {"SpikingJelly": 1, "STATIC": 4}
    assert told["memory"]["train"]["STATIC"] == pytest.approx(1 / 3)
    assert told["share_of_limit"]["train"] == {"STATIC": pytest.approx(16 / (200 / 6))}  # no rate of float32 was measured
    assert told["over_share"] == {"STATIC": 1, "half": pytest.approx(1.2)}
    prepared, computed = 3 / 128, 2 / 32
    assert told["waiting"] == {"the paper's recipe": pytest.approx(prepared / (prepared + computed))}
    assert told["images_per_second"] == {"train": {"SpikingJelly": 4, "STATIC": 16}}
    assert benchmark.rounded({"a": {"b": 1.23456}}) == {"a": {"b": 1.23}}


@pytest.mark.parametrize("slower,iqr,lines", [(1.1, 0.0, 0), (1.3, 0.0, 1), (1.3, 0.1, 0), (2.0, 0.1, 1)])
def test_what_got_slower_than_noise_explains_is_one_line(slower, iqr, lines):
    before, now = made_up(), made_up()
    index = next(i for i, x in enumerate(now) if x["extra_info"]["name"] == "STATIC" and x["group"] == "train")
    now[index]["stats"] |= {"median": 2.0 * slower, "iqr": iqr * 2.0 * slower}
    found = benchmark.compare(now, before)
    assert len(found) == lines and all("train: STATIC" in line for line in found)
    assert not benchmark.compare(before, now)  # faster is fine


@pytest.mark.parametrize("key", ["device", "dtype"])
def test_another_device_or_arithmetic_or_no_run_before_is_not_compared(key):
    now, other = made_up(), copy.deepcopy(made_up())
    for x in other:
        x["extra_info"][key] = "another"
        x["stats"]["median"] /= 10 if x["extra_info"]["name"] == "STATIC" else 1
    assert benchmark.compare(now, other) == [] and benchmark.compare(now, []) == []


def test_a_last_run_of_another_form_is_none(tmp_path):
    file = tmp_path / "benchmark.json"
    assert benchmark.read_benchmarks(file) == []
    file.write_text('{"benchmarks": [{"group": "training", "stats": {"median": 1}, "extra_info": {}}]}')
    assert benchmark.read_benchmarks(file) == []


def test_the_page_holds_the_numbers_and_the_figure(tmp_path):
    run = made_up()
    page = benchmark_page.write(tmp_path, "smoke", benchmark.summarise(run), run, ["slower: train: STATIC"]).read_text()
    for told in (
        "a processor",
        '<td class="number">200</td>',
        "slower: train: STATIC",
        "SpikingJelly",
        "1.200",
        "data:image/png",
    ):
        assert told in page
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_not_measured_again_stands_as_it_was_and_the_page_says_when(tmp_path):
    before = {"datetime": "2026-01-02T03:04", "benchmarks": made_up()}
    now = {"datetime": "2026-02-03T04:05", "benchmarks": [step("train", "SpikingJelly", 6.0), step("train", "STATIC", 1.0)]}
    both = benchmark.joined(now, benchmark.joined(before, []))
    summary = benchmark.summarise(both)
    assert summary["speed"]["train"]["STATIC"] == 6 and summary["over_share"]["half"] == pytest.approx(1.2)
    assert "2026-01-02, 2026-02-03" in benchmark_page.write(tmp_path, "smoke", summary, both, []).read_text()
    page = benchmark_page.write(tmp_path, "smoke", benchmark.summarise(now["benchmarks"]), now["benchmarks"], []).read_text()
    assert "data:image/png" not in page and f"<b>{tmp_path.name}</b>" in page


def test_a_run_lies_in_the_folder_of_its_kind_and_is_compared_with_that_kind_only(tmp_path, monkeypatch, capsys):
    made, seconds = {"machine_info": {"cpu": {"flags": ["avx2"]}}, "datetime": "2026-01-02T03:04"}, {"a": 2.0, "b": 8.0}
    campaign = SimpleNamespace(experiment=SimpleNamespace(scale="smoke"), folder=tmp_path)

    def measure(device):
        def write(campaign, target, only):
            run = [x for x in made_up() if x["group"] != "train"]
            run += [step("train", "SpikingJelly", 8.0), step("train", "STATIC", seconds[device])]
            for x in run:
                x["extra_info"] |= {"device": device, "threads": 1}
            target.write_text(json.dumps(made | {"benchmarks": run}))

        monkeypatch.setattr(benchmark, "measure", write)
        return benchmark.bench(campaign)

    assert measure("a") == tmp_path / "bench/a-avx2-1-thread/index.html" and measure("b").parent.name == "b-avx2-1-thread"
    assert "slower" not in capsys.readouterr().out, "b is slower than a, but of another kind"
    seconds["b"] = 16.0
    measure("b")
    assert "slower: train: STATIC is 0.5 times its reference, was 1" in capsys.readouterr().out
    kinds = ["a-avx2-1-thread", "b-avx2-1-thread"]
    assert [path.parent.name for path in speed_files(tmp_path, "ratios.json")] == kinds
    assert sorted(path.name for path in (tmp_path / "bench").iterdir()) == kinds


@pytest.mark.parametrize("path", speed_files(ROOT / "results/laptop", "benchmark.json"), ids=lambda path: path.parent.name)
def test_no_kernel_that_a_network_chooses_loses_to_its_plain_code(path):
    """By more than noise; products: the path that thresholds choose at the layer's rate."""
    benchmarks = benchmark.read_benchmarks(path)
    found = {}
    for x in benchmarks:
        info, kind = x["extra_info"], x["group"].partition(",")[0]
        if (kind in ("merge", "lif") and info["name"] == "kernels") or (kind == "product" and info["path"] == info["chosen"]):
            plain = benchmark.reference_of(x, benchmarks)
            found[x["group"], info["name"]] = plain["stats"]["min"] / x["stats"]["min"]
    assert len(found) >= 3 and {name: ratio for name, ratio in found.items() if ratio < 1 - benchmark.TOLERANCE} == {}
