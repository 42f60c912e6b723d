/* Reads the metrics that a client pushes: OpenTelemetry's MetricsData (protobuf, metrics/v1) as far as KIP-714 clients use
 * it: gauges, sums and the count and sum of histograms, with their attributes.
 *
 *   MetricsData 1: ResourceMetrics { 1: Resource {1: KeyValue}  2: ScopeMetrics { 2: Metric { 1: name
 *       5: Gauge {1: NumberDataPoint}  7: Sum {1: NumberDataPoint 2: temporality 3: monotonic}
 *       9: Histogram {1: HistogramDataPoint 2: temporality} } } }
 *   NumberDataPoint    4: double  6: sfixed64  7: KeyValue      HistogramDataPoint  4: fixed64 count  5: double sum  9: KeyValue
 *   KeyValue           1: key  2: AnyValue {1: string 2: bool 3: int64 4: double}
 *
 * Bytes of anyone: sizes are checked against what is left, depth is that of the messages above, counts are bounded. */
#ifndef BROKER_OTLP_H
#define BROKER_OTLP_H

#include "base/arena.h"
#include "base/err.h"

enum { OTLP_ATTRIBUTES_MAX = 16 };

struct otlp_attribute {
    struct slice key, value; /* numbers as text */
};
struct otlp_sample {
    struct slice name;
    const char *suffix; /* "", "_count", "_sum": of a histogram */
    bool counter;       /* a monotonic sum; else a gauge */
    bool delta;         /* what came since the last push */
    double value;
    struct otlp_attribute attributes[OTLP_ATTRIBUTES_MAX]; /* the resource's, then its own; more are dropped */
    int attribute_count;
};
/* Calls back for each sample; the strings are of `bytes` or of the arena, which takes little. ERR_CORRUPT: it is no such
 * message. What lies beyond samples_max is read but not told. */
enum err otlp_read(struct slice bytes, struct arena *arena, int samples_max, void (*fn)(void *arg, const struct otlp_sample *sample),
                   void *arg) MUST_USE;

#endif
