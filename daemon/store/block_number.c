#include "store/block_number.h"

#include <math.h>
#include <string.h>

static const double POWERS_OF_TEN[SCALE_DECIMAL_MAX + 1] = {1e0, 1e1, 1e2, 1e3, 1e4,
                                                            1e5, 1e6, 1e7, 1e8, 1e9};

static const double DECIMAL_LARGEST = 0x1p53;
static const uint64_t UNIT_WEIGHT = 65536;
static const double WEIGHT_SCALE = 1.0 / 65536.0;

enum { MANTISSA_BITS = 52, EXPONENT_OF_LOWEST = -1074 };

static uint64_t bits_of(double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint64_t turn_negative(uint64_t bits)
{
    return bits ^ ((0 - (bits >> 63)) >> 1);
}

uint64_t number_ordered_bits(double value)
{
    return turn_negative(bits_of(value));
}

double number_of_ordered_bits(uint64_t ordered)
{
    uint64_t bits = turn_negative(ordered);
    double value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool number_near_decimal(double value, unsigned scale, int64_t *out)
{
    double scaled = value * POWERS_OF_TEN[scale];

    if (!(fabs(scaled) < DECIMAL_LARGEST))
        return false;
    *out = (int64_t)(scaled + copysign(0.5, scaled));
    return true;
}

bool number_to_decimal(double value, unsigned scale, int64_t *out)
{
    return number_near_decimal(value, scale, out) &&
           number_same_bits(number_of_decimal(*out, scale), value);
}

/* Both are exact, so the quotient is the double nearest to the decimal: the one that parsing its
 * text gives. */
double number_of_decimal(int64_t integer, unsigned scale)
{
    return (double)integer / POWERS_OF_TEN[scale];
}

bool number_is_decimal_range(int64_t integer)
{
    const int64_t largest = INT64_C(1) << 53;
    return integer >= -largest && integer <= largest;
}

uint64_t number_to_scale(double value, unsigned scale)
{
    int64_t integer = 0;

    if (scale == SCALE_ORDERED)
        return number_ordered_bits(value);
    (void)number_to_decimal(value, scale, &integer);
    return (uint64_t)integer;
}

double number_of_scale(uint64_t integer, unsigned scale)
{
    return scale == SCALE_ORDERED ? number_of_ordered_bits(integer)
                                  : number_of_decimal((int64_t)integer, scale);
}

int number_lowest_exponent(double value)
{
    uint64_t bits = bits_of(value);
    int exponent = (int)(bits >> MANTISSA_BITS & 0x7ff);
    uint64_t mantissa = bits & ((UINT64_C(1) << MANTISSA_BITS) - 1);

    if (exponent == 0)
        exponent = 1; /* subnormal */
    else
        mantissa |= UINT64_C(1) << MANTISSA_BITS;
    return exponent - 1 + EXPONENT_OF_LOWEST + __builtin_ctzll(mantissa);
}

bool number_to_binary(double value, int exponent, int64_t *out)
{
    double k = ldexp(value, -exponent);

    if (!(fabs(k) < 0x1p62))
        return false;
    *out = (int64_t)k;
    return number_same_bits(number_of_binary(*out, exponent), value);
}

double number_of_binary(int64_t k, int exponent)
{
    return ldexp((double)k, exponent);
}

bool number_same_bits(double a, double b)
{
    return bits_of(a) == bits_of(b);
}

bool number_same_pair(struct number_pair a, struct number_pair b)
{
    return number_same_bits(a.high, b.high) && number_same_bits(a.low, b.low);
}

struct number_pair number_sum(double a, double b)
{
    double sum = a + b;
    double b_part = sum - a;
    double a_part = sum - b_part;
    return (struct number_pair){sum, (a - a_part) + (b - b_part)};
}

struct number_pair number_product(double value, uint64_t weight)
{
    if (weight == UNIT_WEIGHT)
        return (struct number_pair){value, 0};
    double factor = (double)weight * WEIGHT_SCALE;
    double product = value * factor;
    return (struct number_pair){product, fma(value, factor, -product)};
}
