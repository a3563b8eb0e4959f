// The similarity of tokens by which Algorithm 1 merges them.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "vectors.h"

namespace {

// dot[i, j] of a[i * row, :] and b[j * row, :], four by four of them in registers
template <class W> void dots(const W* a, const W* b, int64_t row, int64_t I, int64_t J, int64_t D, W* dot) {
    for (int64_t i = 0; i < I; i += 4)
        for (int64_t j = 0; j < J; j += 4) {
            Vector<W> sum[4][4] = {};
            const W *from[4], *to[4];
            for (int n = 0; n < 4; n++) from[n] = a + std::min(i + n, I - 1) * row, to[n] = b + std::min(j + n, J - 1) * row;
            lanes<W>(D, [=, &sum](int64_t e, auto count) {
                Vector<W> x[4];
#pragma GCC unroll 4
                for (int n = 0; n < 4; n++) x[n] = get(from[n] + e, count);
#pragma GCC unroll 4
                for (int m = 0; m < 4; m++) {
                    const Vector<W> y = get(to[m] + e, count);
#pragma GCC unroll 4
                    for (int n = 0; n < 4; n++) sum[n][m] += x[n] * y;
                }
            });
            W part[4][4][LANES<W>];
#pragma GCC unroll 4
            for (int n = 0; n < 4; n++)
#pragma GCC unroll 4
                for (int m = 0; m < 4; m++) put<W>(sum[n][m], part[n][m], std::integral_constant<int64_t, LANES<W>>());
            for (int64_t n = 0; n < std::min<int64_t>(4, I - i); n++)
                for (int64_t m = 0; m < std::min<int64_t>(4, J - j); m++)
                    dot[(i + n) * J + j + m] = total(part[n][m]);
        }
}

// Signed squares of the cosines of K tokens of D channels, the even ones with the odd ones
template <class W> void signed_squares(const W* token, int64_t K, int64_t D, double floor, double* like) {
    const int64_t I = (K + 1) / 2, J = K / 2;
    std::vector<W> dot(I * J), norm(K);
    dots(token, token + D, 2 * D, I, J, D, dot.data());
    for (int64_t k = 0; k < K; k++) {
        Vector<W> squares = {};
        lanes<W>(D, [=, &squares](int64_t e, auto count) {
            const Vector<W> x = get(token + k * D + e, count);
            squares += x * x;
        });
        W part[LANES<W>];
        put<W>(squares, part, std::integral_constant<int64_t, LANES<W>>());
        norm[k] = total(part);
    }
    for (int64_t i = 0; i < I; i++)
        for (int64_t j = 0; j < J; j++) {
            const double d = dot[i * J + j], norms = double(norm[2 * i]) * double(norm[2 * j + 1]);
            like[i * J + j] = d * std::abs(d) / std::max(norms, floor);
        }
}

// Whether all are integers of absolute value below the bound
template <class W> bool are_small_counts(const W* x, int64_t size, double bound) {
    constexpr W rounding = W(1.5) * (W(1) / std::numeric_limits<W>::epsilon());  // added and taken off again, it rounds
    Vector<W> good = Vector<W>{} + 1;
    lanes<W>(size, [=, &good](int64_t e, auto count) {
        const Vector<W> value = get(x + e, count), rounded = (value + rounding) - rounding;
        good = value == rounded ? good : Vector<W>{};
        good = (value < W(bound)) & (value > -W(bound)) ? good : Vector<W>{};
    });
    W part[LANES<W>];
    put<W>(good, part, std::integral_constant<int64_t, LANES<W>>());
    return total(part) == LANES<W>;
}

// In float where the tokens are counts and all their products add up to less than 2^24, which float holds exactly.
template <class S> void similarity(const S* token, int64_t segments, int64_t K, int64_t D, double floor, double* like, int threads) {
    split(segments, threads, [=](int64_t first, int64_t last, int) {
        std::vector<Wide<S>> tokens(K * D);
        for (int64_t n = first; n < last; n++) {
            load(token + n * K * D, D, K, D, tokens.data());
            double* to = like + n * ((K + 1) / 2) * (K / 2);
            if (are_small_counts(tokens.data(), K * D, std::sqrt((1 << 24) / double(D))))
                signed_squares(tokens.data(), K, D, floor, to);
            else
                signed_squares(std::vector<double>(tokens.begin(), tokens.end()).data(), K, D, floor, to);
        }
    });
}

}  // namespace
