#include "base/histogram.h"

#include <math.h>

static double bucket_end(int bucket) {
    return bucket < 2 ? bucket : ldexp(bucket & 1 ? 2.0 : 1.5, bucket / 2);
}

void histogram_merge(struct histogram *sum, const struct histogram *part) {
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        sum->counts[i] += part->counts[i];
    sum->sum += part->sum;
}

void histogram_subtract(struct histogram *now, const struct histogram *before) {
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        now->counts[i] -= before->counts[i];
    now->sum -= before->sum;
}

double histogram_quantile(const struct histogram *histogram, uint64_t total, double share) {
    uint64_t counted = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        counted += histogram->counts[i];
    if (total < counted)
        total = counted;
    uint64_t seen = total - counted; /* the zeros */
    for (int i = 0; i < HISTOGRAM_BUCKETS && total; i++) {
        if ((double)seen >= share * (double)total)
            return i ? bucket_end(i - 1) : 0;
        seen += histogram->counts[i];
    }
    return total ? bucket_end(HISTOGRAM_BUCKETS - 1) : 0;
}
