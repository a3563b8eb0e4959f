"""Numbers out of an untrusted pickle: arrays are put together here, so that nothing is called that the pickle names.

Not even numpy's own: a made-up dtype lets it take bytes for addresses. Older pickles of arrays are read as well as
today's, up to protocol 4.
"""

import io
import pickle
import pickletools
import re

import numpy as np

OPERATIONS = 2**20  # of a pickle; the largest batch file has a quarter of that, and each can take some 100 bytes


class Kind:
    """In the place of numpy.dtype: plain numbers."""

    def __init__(self, name: str, *_):
        if not isinstance(name, str) or not re.fullmatch(r"[iuf]\d", name):
            raise pickle.UnpicklingError(f"it holds an array of {name!r}, not of numbers")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple):
        if state[1] == ">":
            self.dtype = self.dtype.newbyteorder(">")


class Array:
    """In the place of numpy.ndarray and of the function that makes one; `value` is the array."""

    def __init__(self, *_):
        self.value = None

    def __setstate__(self, state: tuple):
        _, shape, kind, columns_first, content = state
        content = content.encode("latin1") if isinstance(content, str) else content
        self.value = np.frombuffer(content, kind.dtype).reshape(shape, order="F" if columns_first else "C")


def encoded(text: str, encoding: str) -> bytes:
    """In the place of _codecs.encode, by which newer versions of Python write bytes for older ones."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it calls _codecs.encode for {encoding!r}")
    return text.encode("latin1")


class Unpickler(pickle.Unpickler):
    KNOWN = {("numpy", "ndarray"): Array, ("numpy", "dtype"): Kind, ("_codecs", "encode"): encoded}
    KNOWN |= {(f"numpy.{core}.multiarray", "_reconstruct"): Array for core in ("core", "_core")}

    def find_class(self, module: str, name: str):
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError(f"it calls {module}.{name}")
        return self.KNOWN[module, name]


def load(content: bytes) -> object:
    """What a pickle holds, arrays in a dictionary as numpy's. A damaged or hostile one can raise anything."""
    for count, (operation, value, _) in enumerate(pickletools.genops(content)):
        place = value if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") else 0
        if max(count, place) > OPERATIONS:
            raise pickle.UnpicklingError(f"it has more than {OPERATIONS} parts")
    found = Unpickler(io.BytesIO(content), encoding="latin1").load()
    if not isinstance(found, dict):
        return found
    return {key: value.value if isinstance(value, Array) else value for key, value in found.items()}
