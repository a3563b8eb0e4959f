// Batch norm's moments, LIF with the norm's scale and shift, and its gradient.
//
// Dimensions: T timesteps, N neurons' rows, E channels, contiguous. A row of timestep t and neuron n is t * N + n, or n
// where all timesteps share a current, or index[t * N + n] where an index is given, which is negative for a row that is not
// live: it has no current. Sums are taken per thread in a fixed order, so their bits depend on the number of threads only.
#pragma once

#include <cmath>
#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t CHUNK = 32;  // rows summed in the narrow type before double takes over
constexpr int64_t WIDTH = 64;  // channels that make a loop long enough

// How many rows of few channels are taken as one row of many.
inline int64_t grouping(int64_t rows, int64_t channels) {
    const int64_t group = std::max<int64_t>(1, WIDTH / channels);
    return rows % group ? 1 : group;
}

// A vector over channels as a row of `group` rows needs it
template <class W> std::vector<W> repeated(const W* x, int64_t channels, int64_t group) {
    std::vector<W> all(channels * group);
    for (int64_t i = 0; i < group; i++) std::copy_n(x, channels, all.data() + i * channels);
    return all;
}

// exp(x) for x <= 0; in float by the polynomial of expf in Cephes (S. L. Moshier)
inline Floats exp_negative(Floats x) {
    x = x < -87.0f ? Floats{} - 87.0f : x;
    const Floats n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;  // the nearest integer to x / ln 2
    const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Floats p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = ((p * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r + 1.6666665459e-1f;
    p = (p * r + 5.0000001201e-1f) * r * r + r + 1.0f;
    return (Floats)((Ints)p + (__builtin_convertvector(n, Ints) << 23));
}
inline Doubles exp_negative(Doubles x) {
    for (int64_t i = 0; i < LANES<double>; i++) x[i] = std::exp(x[i]);
    return x;
}

// Derivative of sigmoid(alpha x)
template <class V, class W> inline V slope(V x, W alpha) {
    const V z = alpha * x, e = exp_negative(z < 0 ? z : -z), one = 1 + e;
    return alpha * e / (one * one);
}

// Sums by channel of two quantities: narrow for CHUNK rows, then double; threads added in their order.
template <class W> struct Sums {
    int64_t channels;
    std::vector<W> narrow;
    std::vector<double> total;
    explicit Sums(int64_t channels) : channels(channels), narrow(2 * channels), total(2 * channels) {}
    void flush() {
        for (int64_t i = 0; i < 2 * channels; i++) total[i] += narrow[i], narrow[i] = 0;
    }
    // Of all threads, and of all rows in a row: result [2, channels / group]
    static void add(const std::vector<Sums>& parts, int64_t group, double* result) {
        const int64_t row = parts[0].channels, channels = row / group;
        for (int64_t i = 0; i < 2 * channels; i++) {
            result[i] = 0;
            for (int64_t g = 0; g < group; g++)
                for (const Sums& part : parts) result[i] += part.total[i / channels * row + g * channels + i % channels];
        }
    }
};

template <class S> void moments(const S* y, int64_t rows, int64_t channels, double* result, int threads) {
    using W = Wide<S>;
    const int64_t group = grouping(rows, channels);
    rows /= group, channels *= group;
    std::vector<Sums<W>> sums(threads, Sums<W>(channels));
    split((rows + CHUNK - 1) / CHUNK, threads, [&](int64_t first, int64_t last, int part) {
        Sums<W>& sum = sums[part];
        for (int64_t chunk = first; chunk < last; chunk++) {
            const int64_t end = std::min(rows, (chunk + 1) * CHUNK);
            lanes<S>(channels, [=, &sum](int64_t e, auto count) {
                Vector<S> total = {}, squares = {};
                for (int64_t row = chunk * CHUNK; row < end; row++) {
                    const Vector<S> x = get(y + row * channels + e, count);
                    total += x, squares += x * x;
                }
                put<W>(total, sum.narrow.data() + e, count);
                put<W>(squares, sum.narrow.data() + channels + e, count);
            });
            sum.flush();
        }
    });
    Sums<W>::add(sums, group, result);
}

// Where the rows of a neuron lie, by timestep: in y, and in what is written; negative where it is not live.
struct Rows {
    const int64_t* index;
    int64_t neurons;
    bool shared;
    void find(int64_t n, int64_t T, int64_t* read, int64_t* written) const {
        for (int64_t t = 0; t < T; t++) {
            written[t] = index ? index[t * neurons + n] : t * neurons + n;
            read[t] = shared ? n : written[t];
        }
    }
};

template <class S>
void lif_forward(const S* y, Rows rows, const Wide<S>* scale, const Wide<S>* shift, Wide<S> threshold, int64_t T, int64_t E,
                 Wide<S>* membrane, S* spikes, int threads) {
    using V = Vector<S>;
    const int64_t group = rows.index ? 1 : grouping(rows.neurons, E);
    const auto scales = repeated(scale, E, group), shifts = repeated(shift, E, group);
    scale = scales.data(), shift = shifts.data();
    rows.neurons /= group, E *= group;
    split(rows.neurons, threads, [=](int64_t first, int64_t last, int) {
        std::vector<int64_t> places(2 * T);
        int64_t *read = places.data(), *written = read + T;
        for (int64_t n = first; n < last; n++) {
            rows.find(n, T, read, written);
            lanes<S>(E, [=](int64_t e, auto count) {
                const V a = get(scale + e, count), b = get(shift + e, count), none = {}, one = none + 1;
                V v = none;
                if (membrane) v = get(membrane + n * E + e, count);
                for (int64_t t = 0; t < T; t++) {
                    if (written[t] < 0) {
                        v *= Wide<S>(0.5);
                        continue;
                    }
                    v += (get(y + read[t] * E + e, count) * a + b - v) * Wide<S>(0.5);
                    const auto spike = v >= threshold;
                    put<S>(spike ? one : none, spikes + written[t] * E + e, count);
                    v = spike ? none : v;
                }
                if (membrane) put<Wide<S>>(v, membrane + n * E + e, count);
            });
        }
    });
}

// result: sums by channel of the current's gradient, and of it times (y - mean) / deviation.
// gradient: of y as far as scale and shift are constants. A row that is not live lies in `above` at ~index: its silent spike
// has a slope too, which leads to the currents before it.
template <class S>
void lif_backward(const S* y, Rows rows, const Wide<S>* scale, const Wide<S>* shift, const Wide<S>* mean, const Wide<S>* rstd,
                  const S* above, Wide<S> threshold, Wide<S> alpha, int64_t T, int64_t E, S* gradient, double* result,
                  int threads) {
    using V = Vector<S>;
    using W = Wide<S>;
    const int64_t group = rows.index ? 1 : grouping(rows.neurons, E);
    const std::vector<W> vectors[4] = {repeated(scale, E, group), repeated(shift, E, group), repeated(mean, E, group), repeated(rstd, E, group)};
    scale = vectors[0].data(), shift = vectors[1].data(), mean = vectors[2].data(), rstd = vectors[3].data();
    rows.neurons /= group, E *= group;
    std::vector<Sums<W>> sums(threads, Sums<W>(E));
    split((rows.neurons + CHUNK - 1) / CHUNK, threads, [=, &sums](int64_t first, int64_t last, int part) {
        W *totals = sums[part].narrow.data(), *products = totals + E;
        std::vector<int64_t> places(2 * T);
        int64_t *read = places.data(), *written = read + T;
        std::vector<V> space(2 * T);
        V *current = space.data(), *charged = current + T;
        for (int64_t chunk = first; chunk < last; chunk++) {
            for (int64_t n = chunk * CHUNK; n < std::min(rows.neurons, (chunk + 1) * CHUNK); n++) {
                rows.find(n, T, read, written);
                lanes<S>(E, [=](int64_t e, auto count) {
                    const V a = get(scale + e, count), b = get(shift + e, count), m = get(mean + e, count), none = {};
                    V v = none, later = none, total = none, product = none;
                    for (int64_t t = 0; t < T; t++) {
                        if (written[t] < 0) {
                            charged[t] = v *= W(0.5);
                            continue;
                        }
                        current[t] = get(y + read[t] * E + e, count);
                        v += (current[t] * a + b - v) * W(0.5);
                        charged[t] = v;
                        v = v >= threshold ? none : v;
                    }
                    for (int64_t t = T - 1; t >= 0; t--) {
                        const bool live = written[t] >= 0;
                        const V over = charged[t] - threshold, g = get(above + (live ? written[t] : ~written[t]) * E + e, count);
                        const V here = g * slope(over, alpha) + (over >= 0 ? none : later);
                        later = here * W(0.5);  // of the current, and of the membrane one step before
                        if (!live) continue;
                        total += later;
                        product += later * (current[t] - m);
                        if (!rows.shared) put<S>(later * a, gradient + written[t] * E + e, count);
                    }
                    if (rows.shared) put<S>(total * a, gradient + n * E + e, count);
                    put<W>(get(totals + e, count) + total, totals + e, count);
                    put<W>(get(products + e, count) + product * get(rstd + e, count), products + e, count);
                });
            }
            sums[part].flush();
        }
    });
    Sums<W>::add(sums, group, result);
}

// gradient -= constant + factor * y, by channel: what reaches y through the mean and the variance.
template <class S>
void norm_backward(const S* y, int64_t rows, int64_t E, const Wide<S>* constant, const Wide<S>* factor, S* gradient, int threads) {
    const int64_t group = grouping(rows, E);
    const auto constants = repeated(constant, E, group), factors = repeated(factor, E, group);
    constant = constants.data(), factor = factors.data();
    rows /= group, E *= group;
    split(rows, threads, [=](int64_t first, int64_t last, int) {
        for (int64_t row = first; row < last; row++)
            lanes<S>(E, [=](int64_t e, auto count) {
                const Vector<S> through = get(constant + e, count) + get(factor + e, count) * get(y + row * E + e, count);
                S* to = gradient + row * E + e;
                put<S>(get(to, count) - through, to, count);
            });
    });
}

}  // namespace
