"""Numbers as readers see them."""

from pipeline.core import number_formats


def test_numbers_for_readers():
    assert [number_formats.energy(x) for x in (0, 1e-9, 0.5188, 5.5, 55.55, 1234.4)] == [
        "0.000",
        "< 0.001",
        "0.519",
        "5.50",
        "55.5",
        "1,234",
    ]
    assert number_formats.energy(12.0, 0.123) == "12.0 ± 0.1" and number_formats.energy(12.0, float("nan")) == "12.0"
    assert [number_formats.duration(s) for s in (0.4, 59.6, 60, 200, 18720, 187200)] == [
        "0 s", "1 min", "1 min", "3 min 20 s", "5 h 12 min", "2 d 4 h",
    ]  # fmt: skip
    assert number_formats.number(float("nan")) == "" and number_formats.number(-1.0, "{:+.1f}") == "−1.0"
    assert number_formats.spread({"x_mean": -1.0, "x_std": 0.5}, "x", "{:+.2f}") == "−1.00 ± 0.50"
