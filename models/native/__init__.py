"""Compute on a CPU with compiled kernels: C++ (`kernels.cpp` and its headers), built by `build` and called by `fused`."""

from models.native.build import describe, supports

__all__ = ["describe", "supports"]
