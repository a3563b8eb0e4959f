// Products of spikes with weights, and with gradients, that take time only for inputs that are not zero: of linear layers and of
// convolutions, 3x3, stride 1, padding 1, whose inputs are counts of spikes in bytes.
//
// Each is a sum of rows of a matrix over a list: of the weights of those inputs of a position that are not zero or, for the
// gradient of an input's weights, of the gradients at those positions where it is not zero. A row is cut into tiles, as many
// outputs as stay in registers, and a list into blocks whose rows stay in the cache. The order of a sum follows from the layer's
// sizes and inputs alone, so it is the same with any number of threads.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "vectors.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace {

constexpr int64_t TILE = std::min<int64_t>(REGISTERS / 2, 256 / VECTOR);  // vectors of outputs in registers
constexpr int64_t BLOCK = 36864, GRADIENT_BLOCK = 49152;                  // bytes of a tile's rows that are read again and again
constexpr int64_t POSITIONS = 256;                                        // whose lists are made at a time
constexpr int64_t GROUP = 131072;                                         // bytes of a tile's gradients, added up at a time

// A layer and its inputs: frames x H x W positions, 1 x 1 x rows for a linear layer, of C inputs and E outputs each; a kernel of
// side x side. Inputs are x [positions, C], bytes, of which 64 more can be read; weights [E, C, side, side]; outputs
// [positions, E].
struct Layer {
    int64_t frames, H, W, C, E, side;
    bool spikes;  // whether no input is more than 1
    int64_t taps() const { return side * side; }
    int64_t positions() const { return frames * H * W; }
};

// How the outputs are cut: `count` tiles of `vectors` vectors each, the last of them filled up.
template <class S> struct Tiles {
    int64_t outputs, vectors, count, width;
    explicit Tiles(int64_t outputs) : outputs(outputs) {
        const int64_t all = (outputs + LANES<S> - 1) / LANES<S>;
        count = (all + TILE - 1) / TILE;
        vectors = (all + count - 1) / count;
        count = (all + vectors - 1) / vectors;
        width = vectors * LANES<S>;
    }
    int64_t begin(int64_t tile) const { return tile * width; }
    int64_t size(int64_t tile) const { return std::min(width, outputs - tile * width); }
    int64_t rows(int64_t bytes) const { return std::max<int64_t>(1, bytes / (width * sizeof(Wide<S>))); }
};

constexpr int64_t SPARE = 16;  // entries that may be read and written beyond a list's end

// Lists of indices, one after another, and the inputs found there unless all are 1.
template <class W> struct Lists {
    std::vector<uint32_t> start = {0};
    std::vector<uint16_t> index;
    std::vector<W> value;
    void clear() { start.assign(1, 0); }
    void reserve(size_t size, bool spikes) {  // grows by doubling, and keeps what it has
        if (index.size() < size + SPARE) index.resize(2 * (size + SPARE));
        if (!spikes && value.size() < size) value.resize(2 * size);
    }
};

// Which of 64 bytes are not zero
inline uint64_t nonzero(const uint8_t* x) {
    uint64_t bits = 0;
#ifdef __SSE2__
    for (int i = 0; i < 4; i++) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + 16 * i));
        bits |= uint64_t(uint16_t(~_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128())))) << 16 * i;
    }
#else
    for (int i = 0; i < 8; i++) {
        uint64_t bytes;
        std::memcpy(&bytes, x + 8 * i, 8);
        const uint64_t low = ~uint64_t(0) / 255 * 127, high = (((bytes & low) + low) | bytes) & ~low;  // the top bit of each byte
        bits |= (high >> 7) * 0x0102040810204080 >> 56 << 8 * i;
    }
#endif
    return bits;
}

// Writes which of `size` bytes are not zero; returns how many. Four are written at a time, which the processor foresees better.
inline int64_t list_nonzero(const uint8_t* x, int64_t size, uint16_t* index) {
    int64_t count = 0;
    for (int64_t first = 0; first < size; first += 64) {
        uint64_t bits = nonzero(x + first);
        if (size - first < 64) bits &= (uint64_t(1) << (size - first)) - 1;
        const int64_t here = __builtin_popcountll(bits);
        for (int64_t i = 0; i < here; i += 4)
            for (int64_t j = 0; j < 4; j++, bits &= bits - 1)
                index[count + i + j] = first + __builtin_ctzll(bits | uint64_t(1) << 63);
        count += here;
    }
    return count;
}

// Calls body(number of vectors), a constant for the compiler, for a number up to TILE.
template <int64_t V = TILE, class Body> inline void with_vectors(int64_t vectors, Body body) {
    if constexpr (V > 1)
        if (vectors < V) return with_vectors<V - 1>(vectors, body);
    body(std::integral_constant<int64_t, V>());
}

// sum = of the rows of V vectors that a list names, times its values unless all are 1
template <class W, bool SPIKES, int64_t V>
inline void add_rows(const W* row, const uint16_t* index, const W* value, int64_t size, Vector<W> (&sum)[V]) {
    constexpr auto whole = std::integral_constant<int64_t, LANES<W>>();
#pragma GCC unroll 16
    for (int64_t v = 0; v < V; v++) sum[v] = Vector<W>{};
    for (int64_t i = 0; i < size; i++) {
        const W* from = row + index[i] * (V * LANES<W>);
#pragma GCC unroll 16
        for (int64_t v = 0; v < V; v++) {
            if constexpr (SPIKES)
                sum[v] += get(from + v * LANES<W>, whole);
            else
                sum[v] += value[i] * get(from + v * LANES<W>, whole);
        }
    }
}

// Weights by tile: [tile, tap, C, width], the last tile filled up with zeros
template <class S>
std::unique_ptr<Wide<S>[]> pack_weights(const S* weight, const Layer& layer, const Tiles<S>& tiles, int threads) {
    const int64_t C = layer.C, taps = layer.taps();
    std::unique_ptr<Wide<S>[]> packed(new Wide<S>[tiles.count * taps * C * tiles.width]);
    split(tiles.count * C, threads, [&](int64_t first, int64_t last, int) {
        for (int64_t job = first; job < last; job++) {
            const int64_t tile = job / C, c = job % C, outputs = tiles.size(tile);
            const S* from = weight + (tiles.begin(tile) * C + c) * taps;
            for (int64_t tap = 0; tap < taps; tap++) {
                Wide<S>* to = &packed[((tile * taps + tap) * C + c) * tiles.width];
                for (int64_t e = 0; e < outputs; e++) to[e] = widen(from[e * C * taps + tap]);
                std::fill(to + outputs, to + tiles.width, Wide<S>(0));
            }
        }
    });
    return packed;
}

// How a position's inputs are cut into blocks: `taps` whole taps each, or parts of one tap where a tap is more than a block.
struct InputBlocks {
    int64_t C, taps, parts, count;
    InputBlocks(const Layer& layer, int64_t rows)
        : C(layer.C), taps(std::max<int64_t>(1, std::min(layer.taps(), rows / C))), parts((C + rows - 1) / rows),
          count(parts * ((layer.taps() + taps - 1) / taps)) {}
    int64_t tap(int64_t block) const { return block / parts * taps; }
    int64_t begin(int64_t part) const { return C * part / parts; }
};

// For each part, lists for the positions of a range which of their inputs in the part are not zero.
template <class W>
void list_parts(const uint8_t* x, const Layer& layer, const InputBlocks& blocks, int64_t first, int64_t last, Lists<W>& lists) {
    lists.clear();
    size_t size = 0;
    for (int64_t part = 0; part < blocks.parts; part++) {
        const int64_t begin = blocks.begin(part), inputs = blocks.begin(part + 1) - begin;
        for (int64_t p = first; p < last; p++) {
            const uint8_t* from = x + p * layer.C + begin;
            lists.reserve(size + inputs, layer.spikes);
            const int64_t count = list_nonzero(from, inputs, &lists.index[size]);
            if (!layer.spikes)
                for (int64_t i = 0; i < count; i++) lists.value[size + i] = from[lists.index[size + i]];
            lists.start.push_back(size += count);
        }
    }
}

// For each block, lists for the positions of a range which of its rows belong to inputs that are not zero. `around` has the
// parts' lists from position `around_first` on.
template <class W>
void list_blocks(const Lists<W>& around, int64_t around_first, const Layer& layer, const InputBlocks& blocks, int64_t first,
                 int64_t last, Lists<W>& lists) {
    lists.clear();
    size_t size = 0;
    const int64_t reach = layer.side / 2, positions = (around.start.size() - 1) / blocks.parts;
    for (int64_t block = 0; block < blocks.count; block++) {
        const int64_t part = block % blocks.parts, inputs = blocks.begin(part + 1) - blocks.begin(part);
        const int64_t first_tap = blocks.tap(block), last_tap = std::min(layer.taps(), first_tap + blocks.taps);
        for (int64_t p = first; p < last; p++) {
            const int64_t w = p % layer.W, h = p / layer.W % layer.H;
            lists.reserve(size + (last_tap - first_tap) * inputs, layer.spikes);
            for (int64_t tap = first_tap; tap < last_tap; tap++) {
                const int64_t dy = tap / layer.side - reach, dx = tap % layer.side - reach;
                if (h + dy < 0 || h + dy >= layer.H || w + dx < 0 || w + dx >= layer.W) continue;
                const uint32_t* start = &around.start[part * positions + p + dy * layer.W + dx - around_first];
                const uint16_t row = (tap - first_tap) * inputs, *from = &around.index[start[0]];
                const int64_t count = start[1] - start[0];
                for (int64_t i = 0; i < count; i += SPARE)
                    for (int64_t j = 0; j < SPARE; j++) lists.index[size + i + j] = from[i + j] + row;
                if (!layer.spikes) std::copy_n(&around.value[start[0]], count, &lists.value[size]);
                size += count;
            }
            lists.start.push_back(size);
        }
    }
}

// Adds up the lists of a block for the positions of a range. sums [positions, width] has those of the blocks before, and is set,
// but the last block's go to y, at the tile's first output.
template <class S, int64_t V>
void add_block(const Wide<S>* rows, const Lists<Wide<S>>& lists, int64_t block, bool is_last, bool spikes, int64_t positions,
               Wide<S>* sums, S* y, int64_t E, int64_t outputs) {
    using W = Wide<S>;
    constexpr auto whole = std::integral_constant<int64_t, LANES<W>>();
    const uint32_t* start = &lists.start[block * positions];
    for (int64_t p = 0; p < positions; p++, start++, sums += V * LANES<W>, y += E) {
        Vector<W> sum[V];
        const int64_t size = start[1] - start[0];
        if (spikes)
            add_rows<W, true, V>(rows, lists.index.data() + *start, nullptr, size, sum);
        else
            add_rows<W, false, V>(rows, lists.index.data() + *start, lists.value.data() + *start, size, sum);
        if (block > 0)
            for (int64_t v = 0; v < V; v++) sum[v] += get(sums + v * LANES<W>, whole);
        for (int64_t v = 0; v < V; v++) {
            const int64_t left = outputs - v * LANES<W>;
            if (!is_last)
                put<W>(sum[v], sums + v * LANES<W>, whole);
            else if (left >= LANES<W>)
                put<S>(sum[v], y + v * LANES<W>, whole);
            else if (left > 0)
                put<S>(sum[v], y + v * LANES<W>, left);
        }
    }
}

template <class S> void event_forward(const S* weight, const uint8_t* x, Layer layer, S* y, int threads) {
    using W = Wide<S>;
    const Tiles<S> tiles(layer.E);
    const std::unique_ptr<W[]> packed = pack_weights(weight, layer, tiles, threads);
    const InputBlocks blocks(layer, tiles.rows(BLOCK));
    const int64_t positions = layer.positions(), halo = layer.side / 2 * (layer.W + 1);
    const int64_t size = std::clamp<int64_t>((positions + threads - 1) / threads, 1, POSITIONS);
    split((positions + size - 1) / size, threads, [&](int64_t first_chunk, int64_t last_chunk, int) {
        Lists<W> lists, around;
        std::vector<W> sums(size * tiles.width);
        for (int64_t chunk = first_chunk; chunk < last_chunk; chunk++) {
            const int64_t begin = chunk * size, end = std::min(begin + size, positions);
            if (layer.side == 1) {
                list_parts(x, layer, blocks, begin, end, lists);
            } else {
                const int64_t first = std::max<int64_t>(0, begin - halo);
                list_parts(x, layer, blocks, first, std::min(positions, end + halo), around);
                list_blocks(around, first, layer, blocks, begin, end, lists);
            }
            for (int64_t tile = 0; tile < tiles.count; tile++)
                for (int64_t block = 0; block < blocks.count; block++) {
                    const int64_t row = (tile * layer.taps() + blocks.tap(block)) * layer.C + blocks.begin(block % blocks.parts);
                    with_vectors(tiles.vectors, [&](auto vectors) {
                        add_block<S, vectors>(&packed[row * tiles.width], lists, block, block == blocks.count - 1, layer.spikes,
                                              end - begin, sums.data(), y + begin * layer.E + tiles.begin(tile), layer.E,
                                              tiles.size(tile));
                    });
                }
        }
    });
}

// Positions as they lie in a plane with a column of zeros after each line and a line of zeros after each frame, so that a
// kernel's taps are at fixed distances, also beyond an edge. A linear layer's rows need none.
struct Plane {
    int64_t line, size;
    std::vector<int64_t> position;  // at each place, -1 where there is none
    explicit Plane(const Layer& layer)
        : line(layer.W + layer.side / 2), size(layer.frames * (layer.H + layer.side / 2) * line), position(size, -1) {
        for (int64_t p = 0; p < layer.positions(); p++) {
            const int64_t row = p / layer.W, frame = row / layer.H;
            position[(row + frame * (layer.side / 2)) * line + p % layer.W] = p;
        }
    }
};

// Lists for each input at which places it is not zero, counted from `halo` before the first.
template <class W>
void list_places(const uint8_t* x, const Layer& layer, const Plane& plane, int64_t first, int64_t last, int64_t halo,
                 Lists<W>& lists) {
    std::vector<uint32_t> next(layer.C + 1);
    for (int64_t place = first; place < last; place++)
        if (const int64_t p = plane.position[place]; p >= 0)
            for (int64_t c = 0; c < layer.C; c++) next[c + 1] += x[p * layer.C + c] != 0;
    for (int64_t c = 0; c < layer.C; c++) next[c + 1] += next[c];
    lists.start = next;
    lists.reserve(next[layer.C], layer.spikes);
    std::vector<uint16_t> inputs(layer.C + SPARE);
    for (int64_t place = first; place < last; place++) {
        const int64_t p = plane.position[place];
        if (p < 0) continue;
        const int64_t count = list_nonzero(x + p * layer.C, layer.C, inputs.data());
        for (int64_t i = 0; i < count; i++) {
            const int64_t c = inputs[i];
            if (!layer.spikes) lists.value[next[c]] = x[p * layer.C + c];
            lists.index[next[c]++] = place - first + halo;
        }
    }
}

// Writes a tile's gradients at the places of a range, some of which may lie beyond the plane; 0 where there is no position.
template <class S>
void fill_rows(const S* gradient, const Plane& plane, const Tiles<S>& tiles, int64_t tile, int64_t first, int64_t last,
               Wide<S>* rows) {
    for (int64_t place = first; place < last; place++, rows += tiles.width) {
        const int64_t p = place < 0 || place >= plane.size ? -1 : plane.position[place];
        if (p < 0)
            std::fill(rows, rows + tiles.width, Wide<S>(0));
        else
            load(gradient + p * tiles.outputs + tiles.begin(tile), 0, 1, tiles.size(tile), rows);
    }
}

// Adds to sums [C, taps, width], for each input of a range and each tap, a tile's gradients at the places where it is not zero.
template <class W, int64_t V>
void add_places(const W* rows, const Lists<W>& lists, const Layer& layer, const Plane& plane, int64_t first, int64_t last,
                W* sums) {
    constexpr auto whole = std::integral_constant<int64_t, LANES<W>>();
    const int64_t reach = layer.side / 2;
    for (int64_t c = first; c < last; c++)
        for (int64_t tap = 0; tap < layer.taps(); tap++, sums += V * LANES<W>) {
            const int64_t start = lists.start[c], count = lists.start[c + 1] - start;
            const int64_t away = (tap / layer.side - reach) * plane.line + tap % layer.side - reach;
            const W* from = rows - away * V * LANES<W>;
            Vector<W> sum[V];
            if (layer.spikes)
                add_rows<W, true, V>(from, lists.index.data() + start, nullptr, count, sum);
            else
                add_rows<W, false, V>(from, lists.index.data() + start, lists.value.data() + start, count, sum);
            for (int64_t v = 0; v < V; v++) put<W>(get(sums + v * LANES<W>, whole) + sum[v], sums + v * LANES<W>, whole);
        }
}

// result [E, C, side, side]: the gradient of the weights, from that of the outputs
template <class S> void event_weight_gradient(const S* gradient, const uint8_t* x, Layer layer, S* result, int threads) {
    using W = Wide<S>;
    const Tiles<S> tiles(layer.E);
    const Plane plane(layer);
    const int64_t taps = layer.taps(), halo = layer.side / 2 * (plane.line + 1);
    const int64_t size = tiles.rows(GRADIENT_BLOCK), B = (plane.size + size - 1) / size;
    const auto end = [&](int64_t b) { return std::min(plane.size, (b + 1) * size); };
    std::vector<Lists<W>> lists(B);
    split(B, threads, [&](int64_t first, int64_t last, int) {
        for (int64_t b = first; b < last; b++) list_places(x, layer, plane, b * size, end(b), halo, lists[b]);
    });
    const int64_t most = std::max<int64_t>(1, GROUP / (taps * tiles.width * int64_t(sizeof(W))));
    const int64_t enough = std::min(layer.C, (2 * threads + tiles.count - 1) / tiles.count);  // for all threads
    const int64_t groups = std::max((layer.C + most - 1) / most, enough);
    split(tiles.count * groups, threads, [&](int64_t first_job, int64_t last_job, int) {
        std::vector<W> rows((size + 2 * halo) * tiles.width), sums;
        for (int64_t job = first_job; job < last_job; job++) {
            const int64_t tile = job / groups, group = job % groups;
            const int64_t first = layer.C * group / groups, last = layer.C * (group + 1) / groups;
            sums.assign((last - first) * taps * tiles.width, W(0));
            for (int64_t b = 0; b < B; b++) {
                fill_rows(gradient, plane, tiles, tile, b * size - halo, end(b) + halo, rows.data());
                with_vectors(tiles.vectors, [&](auto vectors) {
                    add_places<W, vectors>(rows.data(), lists[b], layer, plane, first, last, sums.data());
                });
            }
            for (int64_t e = 0; e < tiles.size(tile); e++)
                for (int64_t i = 0; i < (last - first) * taps; i++)
                    narrow(sums[i * tiles.width + e], result + ((tiles.begin(tile) + e) * layer.C + first) * taps + i);
        }
    });
}

}  // namespace
