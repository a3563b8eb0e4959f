// What models/native/build.py builds and models/native/fused.py calls: the hot loops of a spiking transformer on a processor, each one
// pass over memory. The plain code in models/neuron.py, models/spiking_layers.py and models/merging.py says what they compute.
// Sums and charges are in float for bfloat16 and float, in double for double.
#include "attention.h"
#include "counts.h"
#include "events.h"
#include "matching.h"
#include "neuron.h"
#include "pooling.h"

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
    }                                                                                                                            \
    extern "C" void count_spikes_##name(const S* x, int64_t size, uint8_t* bytes, int64_t* result, int threads) {                \
        count_spikes(x, size, bytes, result, threads);                                                                           \
    }                                                                                                                            \
    extern "C" void event_forward_##name(const S* weight, const uint8_t* x, int64_t frames, int64_t H, int64_t W, int64_t C,     \
                                         int64_t E, int64_t side, int64_t spikes, S* y, int threads) {                           \
        event_forward(weight, x, {frames, H, W, C, E, side, spikes != 0}, y, threads);                                           \
    }                                                                                                                            \
    extern "C" void event_weight_gradient_##name(const S* gradient, const uint8_t* x, int64_t frames, int64_t H, int64_t W,      \
                                                 int64_t C, int64_t E, int64_t side, int64_t spikes, S* result, int threads) {   \
        event_weight_gradient(gradient, x, {frames, H, W, C, E, side, spikes != 0}, result, threads);                            \
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

extern "C" const char* instruction_set() { return INSTRUCTION_SET; }
