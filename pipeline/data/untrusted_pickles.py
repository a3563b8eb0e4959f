"""Load arrays of numbers from an untrusted pickle without calling any function that the pickle names.

Arrays are built here, not by numpy's own functions: with a forged dtype, those take bytes for addresses. Pickles of arrays by
older and newer versions of numpy can be read, up to protocol 4.
"""
# Tested in tests/faults/test_untrusted_batches.py

import io
import pickle
import pickletools
import re

import numpy as np

OPERATIONS = 2**20  # of a pickle, at most; the largest batch file has a quarter of that, and each can take some 100 bytes


class Kind:
    """A stand-in for numpy.dtype that takes plain numbers only."""

    def __init__(self, name: str, *_):
        if not isinstance(name, str) or not re.fullmatch(r"[iuf]\d", name):
            raise pickle.UnpicklingError(f"it holds an array of {name!r}, not of numbers")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple):
        if state[1] == ">":
            self.dtype = self.dtype.newbyteorder(">")


class Array:
    """A stand-in for numpy.ndarray and for the function that creates one; `value` is the array."""

    def __init__(self, *_):
        self.value = None

    def __setstate__(self, state: tuple):
        _, shape, kind, columns_first, content = state
        content = content.encode("latin1") if isinstance(content, str) else content
        self.value = np.frombuffer(content, kind.dtype).reshape(shape, order="F" if columns_first else "C")


def encoded(text: str, encoding: str) -> bytes:
    """Encode text in latin1: a stand-in for _codecs.encode, with which Python 3 pickles bytes for protocols below 3."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it calls _codecs.encode for {encoding!r}")
    return text.encode("latin1")


class Unpickler(pickle.Unpickler):
    """An unpickler that knows the stand-ins alone."""

    KNOWN = {("numpy", "ndarray"): Array, ("numpy", "dtype"): Kind, ("_codecs", "encode"): encoded}
    KNOWN |= {(f"numpy.{core}.multiarray", "_reconstruct"): Array for core in ("core", "_core")}

    def find_class(self, module: str, name: str):
        """Find the stand-in for a name in a pickle. Raises UnpicklingError where there is none."""
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError(f"it calls {module}.{name}")
        return self.KNOWN[module, name]


def load(content: bytes) -> object:
    """Load a pickle; arrays in a dictionary become numpy's. A damaged or hostile pickle can raise anything."""
    for count, (operation, value, _) in enumerate(pickletools.genops(content)):
        memo_index = value if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") else 0
        if max(count, memo_index) > OPERATIONS:
            raise pickle.UnpicklingError(f"it has more than {OPERATIONS} parts")
    loaded = Unpickler(io.BytesIO(content), encoding="latin1").load()
    if not isinstance(loaded, dict):
        return loaded
    return {key: value.value if isinstance(value, Array) else value for key, value in loaded.items()}
