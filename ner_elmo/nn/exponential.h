/* What the functions of an LSTM are made of, for compilers that compute many numbers at once: no call, no branch. */

#ifndef NER_ELMO_EXPONENTIAL
#define NER_ELMO_EXPONENTIAL

#include <stdint.h>
#include <string.h>

/* x log2(e) in two parts: the nearest whole number, in the lowest bits of `power`, and the rest. */
static inline float rest_of(float x, float *power) {
    *power = x * 1.44269504f + 12582912.0f;
    return x * 1.44269504f - (*power - 12582912.0f);
}

/* value times 2 to that whole number */
static inline float times_power(float value, float power) {
    int32_t exponent, bits;
    memcpy(&exponent, &power, sizeof exponent);
    memcpy(&bits, &value, sizeof bits);
    bits += (int32_t)((uint32_t)exponent << 23);
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* e^x to a relative error of 3e-6, for x from -87 to 88; nan stays. */
static inline float exponential(float x) {
    float power, rest = rest_of(x, &power), value = 0.0095701017f;
    value = value * rest + 0.0559178603f;
    value = value * rest + 0.240247448f;
    value = value * rest + 0.693121815f;
    value = value * rest + 0.999999261f;
    return times_power(value, power);
}

/* The same to 1e-7 beside what the digits of x allow. */
static inline float precise_exponential(float x) {
    float power, rest = rest_of(x, &power), value = 0.000153458124f;
    value = value * rest + 0.00133999309f;
    value = value * rest + 0.00961848907f;
    value = value * rest + 0.0555032864f;
    value = value * rest + 0.240226462f;
    value = value * rest + 0.693147182f;
    value = value * rest + 1.0f;
    return times_power(value, power);
}

/* Beyond 40, sigma is 0 or 1 to any digit that is kept. */
static inline float within_40(float x) {
    x = x > 40.0f ? 40.0f : x;
    return x < -40.0f ? -40.0f : x;
}

/* 1 + e^-x, of which two can be multiplied. */
static inline float below(float x) { return 1.0f + exponential(-within_40(x)); }

static inline float precisely_below(float x) { return 1.0f + precise_exponential(-within_40(x)); }

#endif
