// The similarity of tokens by which Algorithm 1 merges them.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t EVEN = REGISTERS / 8, ODD = 4;  // tokens whose products stay in registers

template <class W, class Count>
inline void add_products(const W* const (&a)[EVEN], const W* const (&b)[ODD], int64_t e, Count count, Vector<W> (&sum)[EVEN][ODD]) {
    Vector<W> x[EVEN];
#pragma GCC unroll 4
    for (int64_t n = 0; n < EVEN; n++) x[n] = get(a[n] + e, count);
#pragma GCC unroll 4
    for (int64_t m = 0; m < ODD; m++) {
        const Vector<W> y = get(b[m] + e, count);
#pragma GCC unroll 4
        for (int64_t n = 0; n < EVEN; n++) sum[n][m] += x[n] * y;
    }
}

// dot[i, j] of the rows a[i] and b[j], a few of each at a time in registers
template <class W> void dots(const std::vector<const W*>& a, const std::vector<const W*>& b, int64_t D, W* dot) {
    const int64_t I = a.size(), J = b.size();
    for (int64_t i = 0; i < I; i += EVEN)
        for (int64_t j = 0; j < J; j += ODD) {
            Vector<W> sum[EVEN][ODD] = {};
            const W *from[EVEN], *to[ODD];
            for (int64_t n = 0; n < EVEN; n++) from[n] = a[std::min(i + n, I - 1)];
            for (int64_t m = 0; m < ODD; m++) to[m] = b[std::min(j + m, J - 1)];
            lanes<W>(D, [&](int64_t e, auto count) { add_products(from, to, e, count, sum); });
#pragma GCC unroll 4
            for (int64_t n = 0; n < EVEN; n++)
#pragma GCC unroll 4
                for (int64_t m = 0; m < ODD; m++)
                    if (i + n < I && j + m < J) dot[(i + n) * J + j + m] = total<W>(sum[n][m]);
        }
}

template <class W> W squared_norm(const W* row, int64_t D) {
    Vector<W> squares = {};
    lanes<W>(D, [=, &squares](int64_t e, auto count) {
        const Vector<W> x = get(row + e, count);
        squares += x * x;
    });
    return total<W>(squares);
}

// Signed squares of the cosines of K tokens of D channels, the even ones with the odd ones: 0 for a token that is 0, as all
// that have halted are, so that those cost nothing.
template <class W> void signed_squares(const W* token, int64_t K, int64_t D, double floor, double* like) {
    std::vector<const W*> row[2];
    std::vector<int64_t> place[2];
    std::vector<double> norm[2];
    for (int64_t k = 0; k < K; k++) {
        const W square = squared_norm(token + k * D, D);
        if (square == 0) continue;
        row[k % 2].push_back(token + k * D), place[k % 2].push_back(k / 2), norm[k % 2].push_back(square);
    }
    const int64_t I = row[0].size(), J = row[1].size();
    std::vector<W> dot(I * J);
    dots(row[0], row[1], D, dot.data());
    std::fill(like, like + (K + 1) / 2 * (K / 2), 0.0);
    for (int64_t i = 0; i < I; i++)
        for (int64_t j = 0; j < J; j++) {
            const double d = dot[i * J + j];
            like[place[0][i] * (K / 2) + place[1][j]] = d * std::abs(d) / std::max(norm[0][i] * norm[1][j], floor);
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
    return total<W>(good) == LANES<W>;
}

// In float where the tokens are counts and all their products add up to less than 2^24, which float holds exactly.
template <class S> void similarity(const S* token, int64_t segments, int64_t K, int64_t D, double floor, double* like, int threads) {
    split(segments, threads, [=](int64_t first, int64_t last, int) {
        for (int64_t n = first; n < last; n++) {
            const S *begin = token + n * K * D, *end = begin + K * D;
            double* to = like + n * ((K + 1) / 2) * (K / 2);
            if (are_small_counts(begin, K * D, std::sqrt((1 << 24) / double(D))))
                signed_squares(begin, K, D, floor, to);
            else
                signed_squares(std::vector<double>(begin, end).data(), K, D, floor, to);
        }
    });
}

}  // namespace
