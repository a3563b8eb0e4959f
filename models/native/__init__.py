"""Compiled kernels for processors: C++ (`kernels.cpp` and its headers), what builds it (`build`), what calls it (`fused`)."""

from models.native.build import describe, supports

__all__ = ["describe", "supports"]
