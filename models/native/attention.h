// Attention without softmax, q (k^T v), over segments of rows of any length, and its gradient.
#pragma once

#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t ROWS = 4, COLUMNS = REGISTERS / 8;  // of the tile of sums that stays in registers, columns in vectors

// to[i, :] = sum over k of a[i * row + k * step] * b[k, :], for V vectors of the d columns, of which the last has `count` lanes
template <class W, int64_t V, class Count>
inline void columns(const W* a, int64_t row, int64_t step, int64_t rows, int64_t inner, const W* b, int64_t d, W* to, Count count) {
    constexpr auto whole = std::integral_constant<int64_t, LANES<W>>();
    for (int64_t i = 0; i < rows; i += ROWS) {
        int64_t at[ROWS];
        for (int64_t j = 0; j < ROWS; j++) at[j] = std::min(i + j, rows - 1);
        Vector<W> sum[ROWS][V] = {};
        for (int64_t k = 0; k < inner; k++) {
            Vector<W> line[V];
#pragma GCC unroll 8
            for (int64_t n = 0; n < V - 1; n++) line[n] = get(b + k * d + n * LANES<W>, whole);
            line[V - 1] = get(b + k * d + (V - 1) * LANES<W>, count);
#pragma GCC unroll 4
            for (int64_t j = 0; j < ROWS; j++)
#pragma GCC unroll 8
                for (int64_t n = 0; n < V; n++) sum[j][n] += a[at[j] * row + k * step] * line[n];
        }
#pragma GCC unroll 4
        for (int64_t j = 0; j < ROWS; j++) {
#pragma GCC unroll 8
            for (int64_t n = 0; n < V - 1; n++) put<W>(sum[j][n], to + at[j] * d + n * LANES<W>, whole);
            put<W>(sum[j][V - 1], to + at[j] * d + (V - 1) * LANES<W>, count);
        }
    }
}

// The same for all d columns
template <class W>
inline void product(const W* a, int64_t row, int64_t step, int64_t rows, int64_t inner, const W* b, int64_t d, W* to) {
    int64_t n = 0;
    for (; n + COLUMNS * LANES<W> <= d; n += COLUMNS * LANES<W>)
        columns<W, COLUMNS>(a, row, step, rows, inner, b + n, d, to + n, std::integral_constant<int64_t, LANES<W>>());
    lanes<W>(d - n, [=](int64_t e, auto count) { columns<W, 1>(a, row, step, rows, inner, b + n + e, d, to + n + e, count); });
}

template <class W> inline void transpose(const W* from, int64_t size, W* to) {
    for (int64_t r = 0; r < size; r++)
        for (int64_t c = 0; c < size; c++) to[c * size + r] = from[r * size + c];
}

// Calls body(rows, where the head's channels of the first row lie in qkv, and in what is attended) for each of them.
template <class Body> void for_heads(const int64_t* start, int64_t segments, int64_t heads, int64_t d, int threads, Body body) {
    split(segments * heads, threads, [=](int64_t first, int64_t last, int) {
        for (int64_t job = first; job < last; job++) {
            const int64_t begin = start[job / heads], rows = start[job / heads + 1] - begin, head = job % heads;
            if (rows) body(rows, (begin * 3 * heads + head) * d, (begin * heads + head) * d);
        }
    });
}

// q k^T v = q (k^T v) of each segment of rows and each head; qkv has q, k and v side by side.
template <class S>
void attention_forward(const S* qkv, const int64_t* start, int64_t segments, int64_t heads, int64_t d, S* attended, int threads) {
    using W = Wide<S>;
    const int64_t D = heads * d;
    for_heads(start, segments, heads, d, threads, [&](int64_t rows, int64_t in, int64_t out) {
        std::vector<W> space(4 * rows * d + d * d);
        W *q = space.data(), *k = q + rows * d, *v = k + rows * d, *y = v + rows * d, *kv = y + rows * d;
        for (int64_t part = 0; part < 3; part++) load(qkv + in + part * D, 3 * D, rows, d, q + part * rows * d);
        product(k, 1, d, d, rows, v, d, kv);
        product(q, d, 1, rows, d, kv, d, y);
        save(y, D, rows, d, attended + out);
    });
}

template <class S>
void attention_backward(const S* qkv, const S* above, const int64_t* start, int64_t segments, int64_t heads, int64_t d,
                        S* gradient, int threads) {
    using W = Wide<S>;
    const int64_t D = heads * d;
    for_heads(start, segments, heads, d, threads, [&](int64_t rows, int64_t in, int64_t out) {
        std::vector<W> space(5 * rows * d + 4 * d * d);
        W *q = space.data(), *k = q + rows * d, *v = k + rows * d, *g = v + rows * d, *y = g + rows * d;
        W *kv = y + rows * d, *of_kv = kv + d * d, *kv_t = of_kv + d * d, *of_kv_t = kv_t + d * d;
        for (int64_t part = 0; part < 3; part++) load(qkv + in + part * D, 3 * D, rows, d, q + part * rows * d);
        load(above + out, D, rows, d, g);
        product(k, 1, d, d, rows, v, d, kv);
        product(q, 1, d, d, rows, g, d, of_kv);
        transpose(kv, d, kv_t);
        transpose(of_kv, d, of_kv_t);
        const W* factor[3][2] = {{g, kv_t}, {v, of_kv_t}, {k, of_kv}};  // of q, k and v
        for (int64_t part = 0; part < 3; part++) {
            product(factor[part][0], d, 1, rows, d, factor[part][1], d, y);
            save(y, 3 * D, rows, d, gradient + in + part * D);
        }
    });
}

}  // namespace
