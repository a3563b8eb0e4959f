"""Format numbers for readers: digits, spreads, energies, durations."""

import math


def is_missing(value: float | None) -> bool:
    """Tell whether a number is missing: None or NaN."""
    return value is None or value != value


def text(pattern: str, value: float | None) -> str:
    """Format a number by a pattern; a missing one gives an empty text."""
    return "" if is_missing(value) else pattern.format(value)


def number(value: float | None, pattern: str = "{:.2f}") -> str:
    """Format a number with a minus sign as wide as a plus; a missing one gives an empty text."""
    return text(pattern, value).replace("-", "−")


def spread(row: dict, key: str, pattern: str = "{:.2f}") -> str:
    """Format mean ± standard deviation of a row, its `<key>_mean` and `<key>_std`; a missing deviation is left out."""
    mean, deviation = number(row[f"{key}_mean"], pattern), number(row[f"{key}_std"], pattern.replace("+", ""))
    return f"{mean} ± {deviation}" if deviation else mean


def energy(value: float, deviation: float | None = None) -> str:
    """Format a positive number with three digits and no exponent, and its deviation with as many places."""
    places = 3 if value < 1 else max(0, 2 - int(math.log10(value)))
    if 0 < value < 0.0005:
        return "< 0.001"
    return f"{value:,.{places}f}" + ("" if is_missing(deviation) else f" ± {deviation:,.{places}f}")


def duration(seconds: float) -> str:
    """Format seconds as at most two units: 12 s, 3 min 20 s, 5 h 12 min, 2 d 3 h."""
    rounded = round(seconds)
    for size, name, part, part_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if rounded >= size:
            rest = rounded % size // part
            return f"{rounded // size} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{rounded} s"


def three_digits(value: float) -> str:
    """Format a number with three significant digits: 0.360, 11.6, 361."""
    return f"{value:#.3g}".rstrip(".")


def energy_unit(largest: float) -> tuple[str, float]:
    """Choose the unit for energies of up to `largest` uJ, and say how many uJ it is."""
    return ("mJ", 1000.0) if largest >= 100 else ("µJ", 1.0)
