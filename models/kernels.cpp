// The hot loops of a spiking transformer on a processor, each one pass over memory: moments of channels, LIF with the
// scale and shift of batch norm, its gradient, max-pooling of spikes, attention without softmax. models/kernels.py builds
// them, models/fused.py calls them, and the plain code in models/neuron.py and models/spikformer.py says what they compute.
//
// Dimensions: T timesteps, N neurons' rows, E channels, contiguous. A row of timestep t and neuron n is t * N + n, or n
// where all timesteps share a current, or index[t * N + n] where an index is given, which is negative for a row that is not
// live: it has no current. Sums are taken per thread in a fixed order, so their bits depend on the number
// of threads only. Charges and sums are in float for bfloat16 and float, in double for double. Vectors are those that GCC
// and Clang have for every processor.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

namespace {

constexpr int64_t CHUNK = 32;  // rows summed in the narrow type before double takes over

struct bf16 {
    uint16_t bits;
};

template <class S> using Wide = std::conditional_t<std::is_same_v<S, double>, double, float>;
template <class S> constexpr int64_t LANES = 64 / sizeof(Wide<S>);

typedef float Floats __attribute__((vector_size(64)));
typedef double Doubles __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Bits __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));
template <class S> struct ByLane { typedef uint8_t Bytes __attribute__((vector_size(LANES<S>))); };
typedef int64_t Longs __attribute__((vector_size(64)));
template <class S> using Integers = std::conditional_t<std::is_same_v<S, double>, Longs, Ints>;
template <class S> using Vector = std::conditional_t<std::is_same_v<S, double>, Doubles, Floats>;

// The first `count` lanes of a vector, from and to memory
template <class S, class Count> inline Vector<S> get(const S* from, Count count) {
    Vector<S> x = {};
    if constexpr (std::is_same_v<S, bf16>) {
        Halves halves = {};
        std::memcpy(&halves, from, count * sizeof(bf16));
        x = (Floats)(__builtin_convertvector(halves, Bits) << 16);
    } else {
        std::memcpy(&x, from, count * sizeof(S));
    }
    return x;
}

template <class S, class Count> inline void put(Vector<S> x, S* to, Count count) {
    if constexpr (std::is_same_v<S, bf16>) {  // to the nearest, ties to even; a NaN stays one
        const Bits bits = (Bits)x, rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16, nan = (bits >> 16) | 0x40;
        const Halves halves = __builtin_convertvector((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded, Halves);
        std::memcpy(to, &halves, count * sizeof(bf16));
    } else {
        std::memcpy(to, &x, count * sizeof(S));
    }
}

// exp(x) for x <= 0, in float to 2 units in the last place
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
    for (int i = 0; i < 8; i++) x[i] = std::exp(x[i]);
    return x;
}

// Derivative of sigmoid(alpha x)
template <class V, class W> inline V slope(V x, W alpha) {
    const V z = alpha * x, e = exp_negative(z < 0 ? z : -z), one = 1 + e;
    return alpha * e / (one * one);
}

// Calls body(first, count) for the channels, a vector at a time, whose count the compiler knows but for the last.
template <class S, class Body> inline void lanes(int64_t channels, Body body) {
    int64_t e = 0;
    for (; e + LANES<S> <= channels; e += LANES<S>) body(e, std::integral_constant<int64_t, LANES<S>>());
    if (e < channels) body(e, channels - e);
}

// Calls body(first, last, part) for equal parts of a range, one thread each.
template <class Body> void split(int64_t count, int threads, Body body) {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int part = 0; part < threads; part++) body(count * part / threads, count * (part + 1) / threads, part);
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
    static void add(const std::vector<Sums>& parts, double* result) {
        for (int64_t i = 0; i < 2 * parts[0].channels; i++) {
            result[i] = 0;
            for (const Sums& part : parts) result[i] += part.total[i];
        }
    }
};

template <class S> void moments(const S* y, int64_t rows, int64_t channels, double* result, int threads) {
    using W = Wide<S>;
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
    Sums<W>::add(sums, result);
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
    Sums<W>::add(sums, result);
}

// gradient -= constant + factor * y, by channel: what reaches y through the mean and the variance.
template <class S>
void norm_backward(const S* y, int64_t rows, int64_t E, const Wide<S>* constant, const Wide<S>* factor, S* gradient, int threads) {
    split(rows, threads, [=](int64_t first, int64_t last, int) {
        for (int64_t row = first; row < last; row++)
            lanes<S>(E, [=](int64_t e, auto count) {
                const Vector<S> through = get(constant + e, count) + get(factor + e, count) * get(y + row * E + e, count);
                S* to = gradient + row * E + e;
                put<S>(get(to, count) - through, to, count);
            });
    });
}

// 3x3, stride 2, padding 1; place: 3 * row + column of the first maximum in its window.
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

// to[i, :] = sum over k of a[i * row + k * step] * b[k, :], for d columns in V vectors: four rows at a time stay in registers.
template <class W, int V> inline void product(const W* a, int64_t row, int64_t step, int64_t rows, int64_t inner, const W* b, W* to) {
    constexpr int64_t d = V * LANES<W>;
    constexpr auto whole = std::integral_constant<int64_t, LANES<W>>();
    for (int64_t i = 0; i < rows; i += 4) {
        const int64_t at[4] = {i, std::min(i + 1, rows - 1), std::min(i + 2, rows - 1), std::min(i + 3, rows - 1)};
        Vector<W> sum[4][V] = {};
        for (int64_t k = 0; k < inner; k++) {
            Vector<W> line[V];
#pragma GCC unroll 8
            for (int n = 0; n < V; n++) line[n] = get(b + k * d + n * LANES<W>, whole);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++)
#pragma GCC unroll 8
                for (int n = 0; n < V; n++) sum[j][n] += a[at[j] * row + k * step] * line[n];
        }
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
#pragma GCC unroll 8
            for (int n = 0; n < V; n++) put<W>(sum[j][n], to + at[j] * d + n * LANES<W>, whole);
    }
}

// The same for any number of columns
template <class W>
inline void product(const W* a, int64_t row, int64_t step, int64_t rows, int64_t inner, const W* b, int64_t d, W* to) {
    if (d == LANES<W>) return product<W, 1>(a, row, step, rows, inner, b, to);
    if (d == 2 * LANES<W>) return product<W, 2>(a, row, step, rows, inner, b, to);
    if (d == 4 * LANES<W>) return product<W, 4>(a, row, step, rows, inner, b, to);
    std::fill(to, to + rows * d, W(0));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < inner; k++)
            for (int64_t n = 0; n < d; n++) to[i * d + n] += a[i * row + k * step] * b[k * d + n];
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

template <class S> inline void load(const S* from, int64_t stride, int64_t rows, int64_t d, Wide<S>* to) {
    for (int64_t r = 0; r < rows; r++)
        lanes<S>(d, [=](int64_t i, auto count) { put<Wide<S>>(get(from + r * stride + i, count), to + r * d + i, count); });
}

template <class S> inline void save(const Wide<S>* from, int64_t stride, int64_t rows, int64_t d, S* to) {
    for (int64_t r = 0; r < rows; r++)
        lanes<S>(d, [=](int64_t i, auto count) { put<S>(get(from + r * d + i, count), to + r * stride + i, count); });
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

// The sum of a vector's lanes, by halves
template <class W> inline W total(W* lane) {
    for (int64_t half = LANES<W> / 2; half; half /= 2)
        for (int64_t i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

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

#define EXPORT(S, name)                                                                                                          \
    extern "C" void moments_##name(const S* y, int64_t rows, int64_t channels, double* result, int threads) {                    \
        moments(y, rows, channels, result, threads);                                                                             \
    }                                                                                                                            \
    extern "C" void lif_forward_##name(const S* y, const int64_t* index, const Wide<S>* scale, const Wide<S>* shift,             \
                                       double threshold, int64_t T, int64_t N, int64_t E, int64_t shared, Wide<S>* membrane,         \
                                       S* spikes, int threads) {                                                                 \
        lif_forward<S>(y, {index, N, shared != 0}, scale, shift, threshold, T, E, membrane, spikes, threads);                    \
    }                                                                                                                            \
    extern "C" void lif_backward_##name(const S* y, const int64_t* index, const Wide<S>* scale, const Wide<S>* shift,            \
                                        const Wide<S>* mean, const Wide<S>* rstd, const S* above, double threshold,              \
                                        double alpha, int64_t T, int64_t N, int64_t E, int64_t shared, S* gradient, double* sums,    \
                                        int threads) {                                                                           \
        lif_backward<S>(y, {index, N, shared != 0}, scale, shift, mean, rstd, above, threshold, alpha, T, E, gradient, sums,     \
                        threads);                                                                                                \
    }                                                                                                                            \
    extern "C" void norm_backward_##name(const S* y, int64_t rows, int64_t E, const Wide<S>* constant, const Wide<S>* factor,    \
                                         S* gradient, int threads) {                                                             \
        norm_backward(y, rows, E, constant, factor, gradient, threads);                                                          \
    }                                                                                                                            \
    extern "C" void pool_forward_##name(const S* x, int64_t frames, int64_t H, int64_t W, int64_t E, S* pooled, uint8_t* place,  \
                                        int threads) {                                                                           \
        pool_forward(x, frames, H, W, E, pooled, place, threads);                                                                \
    }                                                                                                                            \
    extern "C" void pool_backward_##name(const S* above, const uint8_t* place, int64_t frames, int64_t H, int64_t W, int64_t E,  \
                                         S* gradient, int threads) {                                                             \
        pool_backward(above, place, frames, H, W, E, gradient, threads);                                                         \
    }                                                                                                                            \
    extern "C" void attention_forward_##name(const S* qkv, const int64_t* start, int64_t segments, int64_t heads, int64_t d,     \
                                             S* attended, int threads) {                                                         \
        attention_forward(qkv, start, segments, heads, d, attended, threads);                                                    \
    }                                                                                                                            \
    extern "C" void attention_backward_##name(const S* qkv, const S* above, const int64_t* start, int64_t segments,              \
                                              int64_t heads, int64_t d, S* gradient, int threads) {                              \
        attention_backward(qkv, above, start, segments, heads, d, gradient, threads);                                            \
    }

#define EXPORT_SIMILARITY(S, name)                                                                                               \
    extern "C" void similarity_##name(const S* token, int64_t segments, int64_t K, int64_t D, double floor, double* like,        \
                                      int threads) {                                                                             \
        similarity(token, segments, K, D, floor, like, threads);                                                                 \
    }

EXPORT(bf16, bfloat16)
EXPORT(float, float32)
EXPORT(double, float64)
EXPORT_SIMILARITY(float, float32)
EXPORT_SIMILARITY(double, float64)
