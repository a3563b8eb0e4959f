"""Format numbers for readers: digits, spreads, energies, durations."""

import math


def is_missing(value: float | None) -> bool:
    """Whether there is no number: None or NaN."""
    return value is None or value != value


def text(pattern: str, value: float | None) -> str:
    """Format a number by a pattern, or give nothing where there is none."""
    return "" if is_missing(value) else pattern.format(value)


def number(value: float | None, pattern: str = "{:.2f}") -> str:
    """A number, or nothing where there is none; with a minus that is as wide as a plus."""
    return text(pattern, value).replace("-", "−")


def spread(row: dict, key: str, pattern: str = "{:.2f}") -> str:
    """Mean and standard deviation of a row's `key`, as far as it has them."""
    mean, deviation = number(row[f"{key}_mean"], pattern), number(row[f"{key}_std"], pattern.replace("+", ""))
    return f"{mean} ± {deviation}" if deviation else mean


def energy(value: float, deviation: float | None = None) -> str:
    """Three digits of a positive number, without an exponent, and its deviation as precisely."""
    places = 3 if value < 1 else max(0, 2 - int(math.log10(value)))
    if 0 < value < 0.0005:
        return "< 0.001"
    return f"{value:,.{places}f}" + ("" if is_missing(deviation) else f" ± {deviation:,.{places}f}")


def duration(seconds: float) -> str:
    """12 s, 3 min 20 s, 5 h 12 min, 2 d 3 h."""
    rounded = round(seconds)
    for size, name, part, part_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if rounded >= size:
            rest = rounded % size // part
            return f"{rounded // size} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{rounded} s"


def three_digits(value: float) -> str:
    """0.360, 11.6, 361."""
    return f"{value:#.3g}".rstrip(".")


def energy_unit(most: float) -> tuple[str, float]:
    """The unit in which up to `most` uJ are written, and how many uJ it is."""
    return ("mJ", 1000.0) if most >= 100 else ("µJ", 1.0)
