#include "cli/histogram.h"

#include <math.h>

/* Values below 64 have a bucket each; above, the 6 bits behind the highest one choose among 64. */
static int bucket_of(uint64_t value) {
    if (value < HISTOGRAM_SUB)
        return (int)value;
    int shift = 63 - __builtin_clzll(value) - 6;
    return (shift + 1) * HISTOGRAM_SUB + (int)(value >> shift) - HISTOGRAM_SUB;
}

static int64_t bucket_end(int bucket) { /* its largest value */
    if (bucket < HISTOGRAM_SUB)
        return bucket;
    int shift = bucket / HISTOGRAM_SUB - 1;
    return (int64_t)(((uint64_t)(bucket % HISTOGRAM_SUB + HISTOGRAM_SUB + 1) << shift) - 1);
}

void histogram_add(struct histogram *histogram, int64_t value) {
    if (value < 0)
        value = 0;
    histogram->counts[bucket_of((uint64_t)value)]++;
    histogram->count++;
    histogram->sum += (double)value;
    if (value > histogram->max)
        histogram->max = value;
}

int64_t histogram_percentile(const struct histogram *histogram, double share) {
    uint64_t wanted = (uint64_t)ceil(share * (double)histogram->count), seen = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS && histogram->count; i++) {
        seen += histogram->counts[i];
        if (histogram->counts[i] && seen >= wanted)
            return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
    }
    return histogram->max;
}
