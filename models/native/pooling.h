// Max-pooling of frames [F, H, W, E]: 3x3, stride 2, padding 1.
#pragma once

#include <cmath>

#include "vectors.h"

namespace {

// place: 3 * row + column of the first maximum in its window.
template <class S>
void pool_forward(const S* x, int64_t frames, int64_t H, int64_t W, int64_t E, S* pooled, uint8_t* place, int threads) {
    const int64_t h = (H + 1) / 2, w = (W + 1) / 2;
    split(frames * h * w, threads, [=](int64_t first, int64_t last, int) {
        for (int64_t n = first; n < last; n++) {
            const int64_t top = n / w % h * 2 - 1, left = n % w * 2 - 1;
            const S* corner = x + ((n / w / h * H + top) * W + left) * E;
            int64_t inside[9], size = 0;
            for (int64_t k = 0; k < 9; k++)
                if (top + k / 3 >= 0 && top + k / 3 < H && left + k % 3 >= 0 && left + k % 3 < W) inside[size++] = k;
            lanes<S>(E, [=](int64_t e, auto count) {
                Vector<S> best = Vector<S>{} - INFINITY;
                Integers<S> from = {};
                for (int64_t i = 0; i < size; i++) {
                    const Vector<S> value = get(corner + (inside[i] / 3 * W + inside[i] % 3) * E + e, count);
                    const auto more = value > best;
                    from = more ? Integers<S>{} + int32_t(inside[i]) : from;
                    best = more ? value : best;
                }
                const auto bytes = __builtin_convertvector(from, typename ByLane<S>::Bytes);
                std::memcpy(place + n * E + e, &bytes, count);
                put<S>(best, pooled + n * E + e, count);
            });
        }
    });
}

template <class S>
void pool_backward(const S* above, const uint8_t* place, int64_t frames, int64_t H, int64_t W, int64_t E, S* gradient, int threads) {
    const int64_t h = (H + 1) / 2, w = (W + 1) / 2;
    split(frames * H * W, threads, [=](int64_t first, int64_t last, int) {
        for (int64_t n = first; n < last; n++) {
            const int64_t row = n / W % H, column = n % W;
            int64_t window[4], inside[4], size = 0;  // the windows over this position, and which of their nine it is
            for (int64_t r = row / 2; r <= (row + 1) / 2 && r < h; r++)
                for (int64_t c = column / 2; c <= (column + 1) / 2 && c < w; c++, size++) {
                    window[size] = ((n / W / H * h + r) * w + c) * E;
                    inside[size] = 3 * (row + 1 - 2 * r) + column + 1 - 2 * c;
                }
            lanes<S>(E, [=](int64_t e, auto count) {
                Vector<S> sum = {};
                for (int64_t i = 0; i < size; i++) {
                    typename ByLane<S>::Bytes from = {};
                    std::memcpy(&from, place + window[i] + e, count);
                    const auto here = __builtin_convertvector(from, Integers<S>) == int32_t(inside[i]);
                    sum += here ? get(above + window[i] + e, count) : Vector<S>{};
                }
                put<S>(sum, gradient + n * E + e, count);
            });
        }
    });
}

}  // namespace
