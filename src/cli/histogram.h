/* Counts of times by size, exact to 1.6%: 64 buckets for each power of two. Percentiles are a bucket's upper end, never
 * above the largest time seen. */
#ifndef CLI_HISTOGRAM_H
#define CLI_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_SUB = 64, HISTOGRAM_BUCKETS = HISTOGRAM_SUB * 58 };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS], count;
    double sum;
    int64_t max;
};

void histogram_add(struct histogram *histogram, int64_t value); /* below 0 counts as 0 */
/* The value that `share` (0 to 1) of all are not above; 0 when there is none. */
int64_t histogram_percentile(const struct histogram *histogram, double share);

#endif
