// Counts of spikes in bytes: a quarter of float, and what event-driven layers read.
#pragma once

#include <algorithm>
#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t STRETCH = 4096;  // elements between two looks at whether all are counts so far

// Writes bytes, and to result: how many of them are not 0, and the largest; -1 instead of it where not all x are integers from 0 to 255.
template <class S> void count_spikes(const S* x, int64_t size, uint8_t* bytes, int64_t* result, int threads) {
    using W = Wide<S>;
    std::vector<int64_t> nonzero(threads), largest(threads);
    split((size + STRETCH - 1) / STRETCH, threads, [&](int64_t first, int64_t last, int part) {
        for (int64_t stretch = first; stretch < last; stretch++) {
            const int64_t begin = stretch * STRETCH;
            Integers<S> more = {}, most = {}, wrong = {};
            lanes<S>(std::min(STRETCH, size - begin), [&, begin](int64_t e, auto count) {
                const Vector<S> value = get(x + begin + e, count);
                const auto inside = (value >= 0) & (value <= W(255));
                const auto whole = __builtin_convertvector(inside ? value : Vector<S>{}, Integers<S>);
                wrong |= ~inside | (__builtin_convertvector(whole, Vector<S>) != value);
                more -= whole != 0;
                most = whole > most ? whole : most;
                const auto narrow = __builtin_convertvector(whole, typename ByLane<S>::Bytes);
                std::memcpy(bytes + begin + e, &narrow, count);
            });
            for (int64_t i = 0; i < LANES<S>; i++) {
                nonzero[part] += more[i];
                largest[part] = wrong[i] ? -1 : std::max<int64_t>(largest[part], most[i]);
                if (wrong[i]) return;
            }
        }
    });
    result[0] = result[1] = 0;
    for (int part = 0; part < threads; part++) {
        result[0] += nonzero[part];
        result[1] = result[1] < 0 || largest[part] < 0 ? -1 : std::max(result[1], largest[part]);
    }
}

}  // namespace
