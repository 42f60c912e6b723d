/* Counts of values in buckets a factor of the square root of two wide: cheap to add to, exact enough for quantiles.
 * Zeros are not counted: whoever adds knows how many values there were, and most times of a fast broker are 0. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 64 }; /* up to 2^32 */

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t sum;
};

static inline int histogram_bucket(uint64_t value) {
    if (value < 2)
        return (int)value;
    int bits = 63 - __builtin_clzll(value);
    int bucket = 2 * bits + (int)((value >> (bits - 1)) & 1);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}
static inline void histogram_add(struct histogram *histogram, uint64_t value) {
    if (!value)
        return;
    histogram->counts[histogram_bucket(value)]++;
    histogram->sum += value;
}
void histogram_merge(struct histogram *sum, const struct histogram *part);
/* What came to `now` since `before`. */
void histogram_subtract(struct histogram *now, const struct histogram *before);
/* The value that a share (0.99) of `total` values, zeros included, does not exceed; the upper end of its bucket. */
double histogram_quantile(const struct histogram *histogram, uint64_t total, double share);

#endif
