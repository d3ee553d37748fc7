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
#define ROWS 6   /* that meet a tile at once: as many as there are registers for */
typedef __m512i sums_of;
#define READ(from) _mm512_loadu_si512(from)
#define WRITE(to, sums) _mm512_storeu_si512(to, sums)
#define ALL(four) _mm512_set1_epi32(four)
#define INSTRUCTION "vpdpbusd"
#elif defined(__AVXVNNI__)
#define LANES 8
#define ROWS 3
typedef __m256i sums_of;
#define READ(from) _mm256_loadu_si256((const __m256i *)(from))
#define WRITE(to, sums) _mm256_storeu_si256((__m256i *)(to), sums)
#define ALL(four) _mm256_set1_epi32(four)
#define INSTRUCTION "%{vex%} vpdpbusd"
#endif

#ifdef LANES
/* The sums of some rows and of four registers of outputs. Each has a name, and the instruction is said outright: what
 * stands in an array, or comes from the compiler's own function, may be written to memory at each step, which takes twice
 * the time (seen with GCC 12). */
#define ADD(sums, weights) __asm__(INSTRUCTION " %2, %1, %0" : "+v"(sums) : "v"(all), "v"(weights));
#define ROW_BEGINS(r) \
    sums_of a##r = READ(starts), b##r = READ(starts + LANES); \
    sums_of c##r = READ(starts + 2 * LANES), d##r = READ(starts + 3 * LANES);
#define ROW_ADDS(r) \
    memcpy(&four, numbers + n * r + k, sizeof four); \
    all = ALL(four); \
    ADD(a##r, a) ADD(b##r, b) ADD(c##r, c) ADD(d##r, d)
#define ROW_ENDS(r) \
    WRITE(sums + TILE * r, a##r), WRITE(sums + TILE * r + LANES, b##r); \
    WRITE(sums + TILE * r + 2 * LANES, c##r), WRITE(sums + TILE * r + 3 * LANES, d##r);
#define ROWS_1(each) each(0)
#define ROWS_2(each) ROWS_1(each) each(1)
#define ROWS_3(each) ROWS_2(each) each(2)
#define ROWS_4(each) ROWS_3(each) each(3)
#define ROWS_5(each) ROWS_4(each) each(4)
#define ROWS_6(each) ROWS_5(each) each(5)
#define ADD_PRODUCTS_OF(rows) \
    static void add_products_of_##rows(const uint8_t *numbers, int64_t n, const int8_t *weights, \
                                       const int32_t *starts, int32_t *sums) { \
        ROWS_##rows(ROW_BEGINS) \
        for (int64_t k = 0; k < n; k += 4, weights += 4 * TILE) { \
            sums_of a = READ(weights), b = READ(weights + 4 * LANES), all; \
            sums_of c = READ(weights + 8 * LANES), d = READ(weights + 12 * LANES); \
            int32_t four; \
            ROWS_##rows(ROW_ADDS) \
        } \
        ROWS_##rows(ROW_ENDS) \
    }
ADD_PRODUCTS_OF(1)
ADD_PRODUCTS_OF(2)
ADD_PRODUCTS_OF(3)
#if ROWS > 3
ADD_PRODUCTS_OF(4)
ADD_PRODUCTS_OF(5)
ADD_PRODUCTS_OF(6)
#endif

/* The sums (rows, TILE) of up to ROWS rows of n numbers. */
static void meet_tile(int rows, const uint8_t *numbers, int64_t n, const int8_t *weights, const int32_t *starts,
                      int32_t *sums) {
    for (int first = 0; first < TILE; first += 4 * LANES) {
        const int8_t *w = weights + 4 * first;
        switch (rows) {
        case 1: add_products_of_1(numbers, n, w, starts + first, sums + first); break;
        case 2: add_products_of_2(numbers, n, w, starts + first, sums + first); break;
        case 3: add_products_of_3(numbers, n, w, starts + first, sums + first); break;
#if ROWS > 3
        case 4: add_products_of_4(numbers, n, w, starts + first, sums + first); break;
        case 5: add_products_of_5(numbers, n, w, starts + first, sums + first); break;
        case 6: add_products_of_6(numbers, n, w, starts + first, sums + first); break;
#endif
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

/* The greatest magnitude, at least 1e-30; nan where a number is not finite, so that what comes of it is nan as well. */
static APART float largest(const float *x, int64_t n) {
    float most = 1e-30f, zero = 0.0f;
#pragma omp simd reduction(max : most) reduction(+ : zero)
    for (int64_t k = 0; k < n; k++) {
        float size = __builtin_fabsf(x[k]);
        most = size > most ? size : most;
        zero += 0.0f * size;
    }
    return most + zero;
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
    float first = largest(x, n), second = largest(more, n_more);
    float most = (first > second ? first : second) + 0.0f * (first + second);
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

/* The product of some rows and a matrix, and a bias: (rows, 64 tiles). A row is x (n_x) and, behind it, `typed` (n_typed)
 * at the place that `which` has for it. `bytes` is room for all rows, `row_scales` likewise. */
void int8_product(int64_t n_rows, int64_t n_x, const float *x, int64_t n_typed, const float *typed, const int64_t *which,
                  int64_t n_tiles, const int8_t *kernel, const int32_t *starts, const float *scales, const float *bias,
                  float *z, uint8_t *bytes, float *row_scales) {
    int64_t n = padded(n_x + n_typed);
    for (int64_t row = 0; row < n_rows; row++) {
        const float *more = n_typed ? typed + n_typed * which[row] : x;
        row_scales[row] = row_to_bytes(x + n_x * row, n_x, more, n_typed, bytes + n * row);
    }
    for (int64_t tile = 0; tile < n_tiles; tile++)
        for (int64_t row = 0; row < n_rows; row += ROWS) {
            int32_t sums[ROWS * TILE];
            int rows = fewer(n_rows - row);
            meet_tile(rows, bytes + n * row, n, kernel + TILE * n * tile, starts + TILE * tile, sums);
            for (int of = 0; of < rows; of++)
                scaled(sums + TILE * of, row_scales[row + of], scales + TILE * tile, bias + TILE * tile,
                       z + TILE * n_tiles * (row + of) + TILE * tile);
        }
}

/* Steps of `sizes` rows. Where there is a bias, inputs (n_x) and state (width) meet the kernel together; otherwise `x` is
 * what int8_product has made of the inputs, and the state alone, whose numbers are at most 1, meets it. Without a
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
