/* The passes of training over memory, each once: nn/compiled_passes.py compiles them where that is asked for, and
 * nn/passes.py says what each computes, and computes it otherwise. Numbers of bfloat16 are the upper halves of floats.
 * Threads share rows, or columns where rows are added up: each sum is of one thread, and their number changes no digit. */

#include <stdint.h>
#include <string.h>

#include "exponential.h"

typedef uint16_t half;

#define BLOCK 64    /* units that are computed together */
#define LINE 32     /* numbers in a line of a cache */
#define AHEAD 8     /* blocks of factors that are on their way while one is computed */
#define AHEAD_OUT 4 /* rows of gradients, likewise */

static inline float from_half(half x) {
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* To the nearest; where two are as near, away from 0. */
static inline half to_half(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (half)((bits + 0x8000u) >> 16);
}

void cell_forward(int64_t n_rows, int64_t dim, const half *z, float *cell, float clip, half *factors, half *hidden,
                  float *out, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t row = 0; row < n_rows; row++) {
        const half *i_in = z + 4 * dim * row, *f_in = i_in + dim, *j_in = f_in + dim, *o_in = j_in + dim;
        float *of_cell = cell + dim * row;
        for (int64_t start = 0; start < dim; start += BLOCK) {
            int64_t end = start + BLOCK < dim ? start + BLOCK : dim, n = end - start;
            half *of_i = factors + 6 * (dim * row + start), *of_f = of_i + n, *of_j = of_f + n, *kept = of_j + n;
            half *of_o = kept + n, *of_c = of_o + n;
            for (int line = 0; line < 6 * BLOCK; line += LINE) __builtin_prefetch(of_i + AHEAD * 6 * BLOCK + line, 1);
            float minus_hidden[BLOCK];
#pragma omp simd
            for (int64_t unit = start; unit < end; unit++) {
                float i = below(from_half(i_in[unit])), f = below(from_half(f_in[unit]));
                float j = below(from_half(j_in[unit])), o = below(from_half(o_in[unit]));
                float first = 1.0f / (i * f), second = 1.0f / (j * o), i_below = i, j_below = j;
                i = first * f, f = first * i_below, j = second * o, o = second * j_below;
                float before = of_cell[unit], minus = i - 2.0f * i * j, c = f * before - 2.0f * minus;
                float passes = (c >= clip) | (c <= -clip) ? 0.0f : 1.0f;
                c = c > clip ? clip : c;
                c = c < -clip ? -clip : c;
                float s = 1.0f / below(c), minus_h = o - 2.0f * o * s;
                of_cell[unit] = c;
                minus_hidden[unit - start] = minus_h;
                of_i[unit - start] = to_half(-2.0f * passes * minus * (1.0f - i));
                of_f[unit - start] = to_half(passes * before * f * (1.0f - f));
                of_j[unit - start] = to_half(passes * i * j * (1.0f - j));
                kept[unit - start] = to_half(passes * f);
                of_o[unit - start] = to_half(minus_h * (1.0f - o));
                of_c[unit - start] = to_half(o * s * (1.0f - s));
            }
            if (hidden)
#pragma omp simd
                for (int64_t unit = start; unit < end; unit++)
                    hidden[dim * row + unit] = to_half(minus_hidden[unit - start]);
            else
#pragma omp simd
                for (int64_t unit = start; unit < end; unit++) out[dim * row + unit] = -minus_hidden[unit - start];
        }
    }
}

void cell_backward(int64_t n_rows, int64_t dim, const half *factors, const half *d_hidden, const float *d_out,
                   float *d_cell, half *d_gates, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t row = 0; row < n_rows; row++) {
        float *of_cell = d_cell + dim * row;
        half *i = d_gates + 4 * dim * row, *f = i + dim, *j = f + dim, *o = j + dim;
        for (int64_t start = 0; start < dim; start += BLOCK) {
            int64_t end = start + BLOCK < dim ? start + BLOCK : dim, n = end - start;
            const half *of_i = factors + 6 * (dim * row + start), *of_f = of_i + n, *of_j = of_f + n;
            const half *kept = of_j + n, *of_o = kept + n, *of_c = of_o + n;
            for (int line = 0; line < 6 * BLOCK; line += LINE) __builtin_prefetch(of_i + AHEAD * 6 * BLOCK + line);
            for (int line = 0; line < BLOCK; line += LINE) {
                __builtin_prefetch(i + AHEAD_OUT * dim + start + line, 1);
                __builtin_prefetch(f + AHEAD_OUT * dim + start + line, 1);
                __builtin_prefetch(j + AHEAD_OUT * dim + start + line, 1);
                __builtin_prefetch(o + AHEAD_OUT * dim + start + line, 1);
            }
            float minus[BLOCK];
            if (d_hidden)
#pragma omp simd
                for (int64_t unit = start; unit < end; unit++) minus[unit - start] = from_half(d_hidden[dim * row + unit]);
            else
#pragma omp simd
                for (int64_t unit = start; unit < end; unit++) minus[unit - start] = -d_out[dim * row + unit];
#pragma omp simd
            for (int64_t unit = start; unit < end; unit++) {
                float d_n = minus[unit - start], d_c = of_cell[unit] - 2.0f * d_n * from_half(of_c[unit - start]);
                i[unit] = to_half(d_c * from_half(of_i[unit - start]));
                f[unit] = to_half(d_c * from_half(of_f[unit - start]));
                j[unit] = to_half(d_c * from_half(of_j[unit - start]));
                o[unit] = to_half(d_n * from_half(of_o[unit - start]));
                of_cell[unit] = d_c * from_half(kept[unit - start]);
            }
        }
    }
}

/* Blocks of columns are shared by threads: each sum adds up row after row. */
void add_rows(int64_t n_rows, int64_t n, const half *x, float *total, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t end = start + BLOCK < n ? start + BLOCK : n;
        float sums[BLOCK] = {0.0f};
        for (int64_t row = 0; row < n_rows; row++)
#pragma omp simd
            for (int64_t column = start; column < end; column++) sums[column - start] += from_half(x[n * row + column]);
        for (int64_t column = start; column < end; column++) total[column] += sums[column - start];
    }
}

static inline float within_87(float x) {
    x = x > 88.0f ? 88.0f : x;
    return x < -87.0f ? -87.0f : x;
}

static inline float exponential_or_0(float x) { return x < -87.0f ? 0.0f : exponential(within_87(x)); }

static inline float precise_exponential_or_0(float x) { return x < -87.0f ? 0.0f : precise_exponential(within_87(x)); }

void exponentials(int64_t n_rows, int64_t n, half *x, float *total, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t row = 0; row < n_rows; row++) {
        half *restrict of_x = x + n * row;
        float lanes[64] = {0.0f};
        int64_t column = 0;
        for (; column + 64 <= n; column += 64)
            for (int lane = 0; lane < 64; lane++) {
                half rounded = to_half(exponential_or_0(from_half(of_x[column + lane])));
                of_x[column + lane] = rounded;
                lanes[lane] += from_half(rounded);
            }
        float sum = 0.0f;
        for (; column < n; column++) {
            of_x[column] = to_half(exponential_or_0(from_half(of_x[column])));
            sum += from_half(of_x[column]);
        }
        for (int lane = 0; lane < 64; lane++) sum += lanes[lane];
        total[row] = sum;
    }
}

/* In float32: gates after activation stay for the way back, with cells and what they are squashed to. */
void gates_forward(int64_t n_rows, int64_t dim, float *z, const float *before, float *cell, float *squashed,
                   float *minus, float clip, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t row = 0; row < n_rows; row++) {
        float *i_of = z + 4 * dim * row, *f_of = i_of + dim, *j_of = f_of + dim, *o_of = j_of + dim;
        float *c_of = cell + dim * row, *s_of = squashed + dim * row, *n_of = minus + dim * row;
        const float *b_of = before ? before + dim * row : c_of; /* not used where there is none */
#pragma omp simd
        for (int64_t unit = 0; unit < dim; unit++) {
            float i = precisely_below(i_of[unit]), f = precisely_below(f_of[unit]), j = precisely_below(j_of[unit]), o = precisely_below(o_of[unit]);
            float first = 1.0f / (i * f), second = 1.0f / (j * o), i_below = i, j_below = j;
            float b = before ? b_of[unit] : 0.0f;
            i = first * f, f = first * i_below, j = second * o, o = second * j_below;
            float c = f * b + 4.0f * i * j - 2.0f * i;
            c = c > clip ? clip : c;
            c = c < -clip ? -clip : c;
            float s = 1.0f / precisely_below(c);
            i_of[unit] = i, f_of[unit] = f, j_of[unit] = j, o_of[unit] = o;
            c_of[unit] = c, s_of[unit] = s, n_of[unit] = o - 2.0f * o * s;
        }
    }
}

void gates_backward(int64_t n_rows, int64_t dim, float *z, const float *before, const float *cell, const float *squashed,
                    const float *d_minus, float *d_cell, float clip, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t row = 0; row < n_rows; row++) {
        float *i_of = z + 4 * dim * row, *f_of = i_of + dim, *j_of = f_of + dim, *o_of = j_of + dim;
        const float *c_of = cell + dim * row, *s_of = squashed + dim * row, *dn_of = d_minus + dim * row;
        const float *b_of = before ? before + dim * row : c_of; /* not used where there is none */
        float *dc_of = d_cell + dim * row;
#pragma omp simd
        for (int64_t unit = 0; unit < dim; unit++) {
            float i = i_of[unit], f = f_of[unit], j = j_of[unit], o = o_of[unit], s = s_of[unit], d_n = dn_of[unit];
            float c = c_of[unit], d_c = dc_of[unit] - 2.0f * d_n * o * s * (1.0f - s), b = before ? b_of[unit] : 0.0f;
            d_c = (c >= clip) | (c <= -clip) ? 0.0f : d_c;
            o_of[unit] = (d_n - 2.0f * d_n * s) * o * (1.0f - o);
            j_of[unit] = d_c * i * j * (1.0f - j);
            i_of[unit] = (d_c - 2.0f * d_c * j) * i * (1.0f - i);
            f_of[unit] = d_c * b * f * (1.0f - f);
            dc_of[unit] = d_c * f;
        }
    }
}

void shifted_exponentials(int64_t n_rows, int64_t n, float *x, float *shift, float *total, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t row = 0; row < n_rows; row++) {
        float *restrict of_x = x + n * row;
        float top[64], lanes[64] = {0.0f}, most = shift[row], sum = 0.0f;
        int64_t whole = n - n % 64, column = 0;
        for (int lane = 0; lane < 64; lane++) top[lane] = most;
        for (; column < whole; column += 64)
            for (int lane = 0; lane < 64; lane++) {
                float value = of_x[column + lane];
                top[lane] = value > top[lane] ? value : top[lane];
            }
        for (; column < n; column++) most = of_x[column] > most ? of_x[column] : most;
        for (int lane = 0; lane < 64; lane++) most = top[lane] > most ? top[lane] : most;
        for (column = 0; column < whole; column += 64)
            for (int lane = 0; lane < 64; lane++) {
                float value = precise_exponential_or_0(of_x[column + lane] - most);
                of_x[column + lane] = value;
                lanes[lane] += value;
            }
        for (; column < n; column++) sum += of_x[column] = precise_exponential_or_0(of_x[column] - most);
        for (int lane = 0; lane < 64; lane++) sum += lanes[lane];
        total[row] = sum;
        shift[row] = most;
    }
}
