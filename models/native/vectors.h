// Vectors as GCC and Clang have them for every processor, as wide as its registers: loaded from bfloat16, float or double and
// stored again, and loops over channels and threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace {

struct bf16 {
    uint16_t bits;
};

template <class S> using Wide = std::conditional_t<std::is_same_v<S, double>, double, float>;

#if defined(__AVX512F__)
#if defined(__AMX_BF16__)
constexpr char INSTRUCTION_SET[] = "AMX";
#elif defined(__AVX512BF16__)
constexpr char INSTRUCTION_SET[] = "AVX-512 BF16";
#else
constexpr char INSTRUCTION_SET[] = "AVX-512";
#endif
constexpr int64_t VECTOR = 64, REGISTERS = 32;  // bytes of a vector, and how many vectors stay in registers
#elif defined(__AVX2__)
constexpr char INSTRUCTION_SET[] = "AVX2";
constexpr int64_t VECTOR = 32, REGISTERS = 16;
#elif defined(__SSE2__)
constexpr char INSTRUCTION_SET[] = "SSE";
constexpr int64_t VECTOR = 16, REGISTERS = 16;
#elif defined(__ARM_NEON)
constexpr char INSTRUCTION_SET[] = "NEON";
constexpr int64_t VECTOR = 16, REGISTERS = 32;
#else
constexpr char INSTRUCTION_SET[] = "no vector instructions";
constexpr int64_t VECTOR = 16, REGISTERS = 16;
#endif
template <class S> constexpr int64_t LANES = VECTOR / sizeof(Wide<S>);

typedef float Floats __attribute__((vector_size(VECTOR)));
typedef double Doubles __attribute__((vector_size(VECTOR)));
typedef int32_t Ints __attribute__((vector_size(VECTOR)));
typedef uint32_t Bits __attribute__((vector_size(VECTOR)));
typedef uint16_t Halves __attribute__((vector_size(VECTOR / 2)));
template <class S> struct ByLane { typedef uint8_t Bytes __attribute__((vector_size(LANES<S>))); };
typedef int64_t Longs __attribute__((vector_size(VECTOR)));
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

// A single element, from and to memory
template <class W> inline W widen(W x) { return x; }
inline float widen(bf16 x) {
    const uint32_t bits = uint32_t(x.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}
template <class S> inline void narrow(Wide<S> x, S* to) { put<S>(Vector<S>{} + x, to, std::integral_constant<int64_t, 1>()); }

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

template <class S> inline void load(const S* from, int64_t stride, int64_t rows, int64_t d, Wide<S>* to) {
    for (int64_t r = 0; r < rows; r++)
        lanes<S>(d, [=](int64_t i, auto count) { put<Wide<S>>(get(from + r * stride + i, count), to + r * d + i, count); });
}

template <class S> inline void save(const Wide<S>* from, int64_t stride, int64_t rows, int64_t d, S* to) {
    for (int64_t r = 0; r < rows; r++)
        lanes<S>(d, [=](int64_t i, auto count) { put<S>(get(from + r * d + i, count), to + r * stride + i, count); });
}

// The sum of a vector's lanes, by halves down to 16 bytes
template <class W, int64_t BYTES = VECTOR, class V> inline W total(V x) {
    typedef W Half __attribute__((vector_size(BYTES > 16 ? BYTES / 2 : 16)));
    if constexpr (BYTES > 16) {
        Half halves[2];
        std::memcpy(halves, &x, sizeof x);
        return total<W, BYTES / 2>(Half(halves[0] + halves[1]));
    } else {
        W sum = 0;
        for (size_t i = 0; i < sizeof(x) / sizeof(W); i++) sum += x[i];
        return sum;
    }
}

}  // namespace
