/* The steps of an LSTM with products in 8-bit integers: nn/compiled_int8.py compiles them where that is asked for.
 *
 * Numbers of a row are divided by the row's scale and rounded to -127 ... 127, and stand as bytes with 128 added, which
 * is what the instructions multiply with signed weights; what the 128 adds to a sum is in `starts`, where sums begin.
 * Weights lie in tiles of 64 outputs, and in a tile four inputs of each output stand together. A tile of gates has 16
 * units, gate by gate: input, forget, candidate, output. So cells are computed while their gates are in the core's own
 * cache. Sums are whole numbers, and what comes after is computed row by row: a row is the same to the bit in any company.
 */

#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "exponential.h"

#define TILE 64
#define UNITS 16 /* of a tile of gates */
#define APART __attribute__((noinline)) /* one code for all calls, and so the same digits */

#if defined(__AVX512VNNI__) && defined(__AVX512F__)
#define LANES 16 /* sums of a register */
#define ROWS 6   /* that meet a tile at once: with PARTS, as many as there are registers for */
typedef __m512i sums_of;
#define READ(from) _mm512_loadu_si512(from)
#define WRITE(to, sums) _mm512_storeu_si512(to, sums)
#define ALL(four) _mm512_set1_epi32(four)
#define ADD_PRODUCTS(sums, numbers, weights) _mm512_dpbusd_epi32(sums, numbers, weights)
#elif defined(__AVXVNNI__)
#define LANES 8
#define ROWS 3
typedef __m256i sums_of;
#define READ(from) _mm256_loadu_si256((const __m256i *)(from))
#define WRITE(to, sums) _mm256_storeu_si256((__m256i *)(to), sums)
#define ALL(four) _mm256_set1_epi32(four)
#define ADD_PRODUCTS(sums, numbers, weights) _mm256_dpbusd_avx_epi32(sums, numbers, weights)
#endif

#ifdef LANES
#define PARTS 4 /* registers of a row */

/* The sums of some rows and of PARTS registers of outputs; `rows` is known where this is compiled. */
static inline __attribute__((always_inline)) void add_products(const int rows, const uint8_t *numbers, int64_t n,
                                                               const int8_t *weights, const int32_t *starts,
                                                               int32_t *sums) {
    sums_of sum[ROWS][PARTS];
    for (int row = 0; row < rows; row++)
        for (int part = 0; part < PARTS; part++) sum[row][part] = READ(starts + LANES * part);
    for (int64_t k = 0; k < n; k += 4, weights += 4 * TILE) {
        sums_of of[PARTS];
        for (int part = 0; part < PARTS; part++) of[part] = READ(weights + 4 * LANES * part);
        for (int row = 0; row < rows; row++) {
            int32_t four;
            memcpy(&four, numbers + n * row + k, sizeof four);
            sums_of all = ALL(four);
            for (int part = 0; part < PARTS; part++) sum[row][part] = ADD_PRODUCTS(sum[row][part], all, of[part]);
        }
    }
    for (int row = 0; row < rows; row++)
        for (int part = 0; part < PARTS; part++) WRITE(sums + TILE * row + LANES * part, sum[row][part]);
}

/* The sums (rows, TILE) of up to ROWS rows of n numbers. */
static void meet_tile(int rows, const uint8_t *numbers, int64_t n, const int8_t *weights, const int32_t *starts,
                      int32_t *sums) {
    for (int first = 0; first < TILE; first += PARTS * LANES) {
        const int8_t *w = weights + 4 * first;
        switch (rows) {
        case 1: add_products(1, numbers, n, w, starts + first, sums + first); break;
        case 2: add_products(2, numbers, n, w, starts + first, sums + first); break;
#if ROWS > 3
        case 3: add_products(3, numbers, n, w, starts + first, sums + first); break;
        case 4: add_products(4, numbers, n, w, starts + first, sums + first); break;
        case 5: add_products(5, numbers, n, w, starts + first, sums + first); break;
#endif
        default: add_products(ROWS, numbers, n, w, starts + first, sums + first);
        }
    }
}
#else /* so that it can be compiled anywhere; nobody computes with it (int8_lanes) */
#define LANES 0
#define ROWS 1
static void meet_tile(int rows, const uint8_t *numbers, int64_t n, const int8_t *weights, const int32_t *starts,
                      int32_t *sums) {
    for (int row = 0; row < rows; row++)
        for (int output = 0; output < TILE; output++) {
            int32_t sum = starts[output];
            for (int64_t k = 0; k < n; k++) sum += numbers[n * row + k] * weights[TILE * (k & ~3) + 4 * output + (k & 3)];
            sums[TILE * row + output] = sum;
        }
}
#endif

/* Sums that a register of this processor has in one instruction; 0 if it has no such instruction. */
int int8_lanes(void) { return LANES; }

static inline int64_t padded(int64_t n) { return (n + 3) & ~(int64_t)3; }

static inline int fewer(int64_t rows) { return rows < ROWS ? (int)rows : ROWS; }

static APART float largest(const float *x, int64_t n, float most) {
#pragma omp simd reduction(max : most)
    for (int64_t k = 0; k < n; k++) {
        float size = __builtin_fabsf(x[k]);
        most = size > most ? size : most;
    }
    return most;
}

/* x times `factor`, which makes its greatest magnitude 127 or less, to the nearest whole number, and 128. */
static APART void to_bytes(const float *x, int64_t n, float factor, uint8_t *bytes) {
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        float shifted = x[k] * factor + 12583040.0f; /* 1.5 * 2^23 + 128: the lowest bits are the whole number */
        int32_t bits;
        memcpy(&bits, &shifted, sizeof bits);
        bytes[k] = (uint8_t)bits;
    }
}

/* Two pieces of a row, one after the other, as bytes with one scale, which is returned. */
static float row_to_bytes(const float *x, int64_t n, const float *more, int64_t n_more, uint8_t *bytes) {
    float most = largest(more, n_more, largest(x, n, 1e-30f));
    to_bytes(x, n, 127.0f / most, bytes);
    to_bytes(more, n_more, 127.0f / most, bytes + n);
    return most / 127.0f;
}

static APART void scaled(const int32_t *sums, float scale, const float *scales, const float *bias, float *z) {
#pragma omp simd
    for (int k = 0; k < TILE; k++) z[k] = bias[k] + (float)sums[k] * (scale * scales[k]);
}

static APART void scaled_and_clipped(const int32_t *sums, float scale, const float *scales, float clip, float *y,
                                     int64_t n) {
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        float value = (float)sums[k] * (scale * scales[k]);
        value = value > clip ? clip : value;
        y[k] = value < -clip ? -clip : value;
    }
}

/* A step of a tile's units: nn/cell.py, update_cell. `z` is what bias, or bias and inputs, give the gates. */
static APART void next_cells(const int32_t *sums, float scale, const float *scales, const float *z, const float *factors,
                             float clip, float *cells_twice, float *hidden) {
    float gates[TILE];
#pragma omp simd
    for (int k = 0; k < TILE; k++) gates[k] = below(z[k] + (float)sums[k] * (scale * scales[k]));
#pragma omp simd
    for (int u = 0; u < UNITS; u++) {
        float i = gates[u], f = gates[UNITS + u], j = gates[2 * UNITS + u], o = gates[3 * UNITS + u];
        float first = 1.0f / (i * f), second = 1.0f / (j * o), i_below = i, j_below = j;
        i = first * f, f = first * i_below, j = second * o, o = second * j_below;
        float c = f * cells_twice[u] + 4.0f * i * j - 2.0f * i;
        c = c > clip ? clip : c;
        c = c < -clip ? -clip : c;
        cells_twice[u] = c;
        hidden[u] = (1.0f / below(c) - 0.5f) * o * factors[u];
    }
}

/* What inputs and bias give the gates, (rows, 4 dim) in tiles. A row is x (n_x) and, behind it, `typed` (n_typed) at the
 * place that `which` has for it. `bytes` is room for all rows, `row_scales` likewise. */
void int8_gates(int64_t n_rows, int64_t n_x, const float *x, int64_t n_typed, const float *typed, const int64_t *which,
                int64_t dim, const int8_t *kernel, const int32_t *starts, const float *scales, const float *bias, float *z,
                uint8_t *bytes, float *row_scales) {
    int64_t n = padded(n_x + n_typed);
    for (int64_t row = 0; row < n_rows; row++) {
        const float *more = n_typed ? typed + n_typed * which[row] : x;
        row_scales[row] = row_to_bytes(x + n_x * row, n_x, more, n_typed, bytes + n * row);
    }
    for (int64_t tile = 0; tile < 4 * dim / TILE; tile++)
        for (int64_t row = 0; row < n_rows; row += ROWS) {
            int32_t sums[ROWS * TILE];
            int rows = fewer(n_rows - row);
            meet_tile(rows, bytes + n * row, n, kernel + TILE * n * tile, starts + TILE * tile, sums);
            for (int of = 0; of < rows; of++)
                scaled(sums + TILE * of, row_scales[row + of], scales + TILE * tile, bias + TILE * tile,
                       z + 4 * dim * (row + of) + TILE * tile);
        }
}

/* Steps of `sizes` rows. Where there is a bias, inputs (n_x) and state (width) meet the kernel together; otherwise `x` is
 * what int8_gates has made of the inputs, and the state alone, whose numbers are at most 1, meets it. Without a
 * projection outputs are twice the first `width` units. h and cells_twice are those before the first step; the cells
 * become those after a row's last. `bytes` is room for what meets kernel and projection, `hidden` (rows, dim) for units,
 * `row_scales` for a number a row. */
void int8_steps(int64_t n_steps, const int64_t *sizes, int64_t n_x, const float *x, int64_t width, const float *h,
                int64_t dim, float *cells_twice, float *y, const int8_t *kernel, const int32_t *starts,
                const float *scales, const float *bias, const int8_t *projection, const int32_t *projection_starts,
                const float *projection_scales, const float *factors, float cell_clip, float projection_clip,
                uint8_t *bytes, float *hidden, float *row_scales) {
    int64_t n = padded(bias ? n_x + width : width), n_hidden = padded(dim);
    for (int64_t step = 0; step < n_steps; step++) {
        int64_t n_rows = sizes[step];
        for (int64_t row = 0; row < n_rows; row++) {
            if (bias)
                row_scales[row] = row_to_bytes(x + n_x * row, n_x, h + width * row, width, bytes + n * row);
            else {
                row_scales[row] = 1.0f / 127.0f;
                to_bytes(h + width * row, width, 127.0f, bytes + n * row);
            }
        }
        for (int64_t tile = 0; tile < dim / UNITS; tile++)
            for (int64_t row = 0; row < n_rows; row += ROWS) {
                int32_t sums[ROWS * TILE];
                int rows = fewer(n_rows - row);
                meet_tile(rows, bytes + n * row, n, kernel + TILE * n * tile, starts + TILE * tile, sums);
                for (int of = 0; of < rows; of++) {
                    int64_t unit = dim * (row + of) + UNITS * tile;
                    next_cells(sums + TILE * of, row_scales[row + of], scales + TILE * tile,
                               (bias ? bias : x + n_x * (row + of)) + TILE * tile, factors + UNITS * tile, cell_clip,
                               cells_twice + unit, hidden + unit);
                }
            }
        if (projection) {
            for (int64_t row = 0; row < n_rows; row++)
                row_scales[row] = row_to_bytes(hidden + dim * row, dim, hidden, 0, bytes + n_hidden * row);
            for (int64_t first = 0; first < width; first += TILE)
                for (int64_t row = 0; row < n_rows; row += ROWS) {
                    int32_t sums[ROWS * TILE];
                    int rows = fewer(n_rows - row);
                    meet_tile(rows, bytes + n_hidden * row, n_hidden, projection + n_hidden * first,
                              projection_starts + first, sums);
                    for (int of = 0; of < rows; of++)
                        scaled_and_clipped(sums + TILE * of, row_scales[row + of], projection_scales + first,
                                           projection_clip, y + width * (row + of) + first,
                                           width - first < TILE ? width - first : TILE);
                }
        } else
            for (int64_t row = 0; row < n_rows; row++)
                for (int64_t unit = 0; unit < width; unit++)
                    y[width * row + unit] = 2.0f * hidden[dim * row + unit];
        h = y, x += n_x * n_rows, y += width * n_rows;
    }
}
