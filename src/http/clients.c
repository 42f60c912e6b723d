/* What clients have pushed (broker/telemetry.h), one family a name. */
#include "http/numbers.h"

#include <stdlib.h>

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct telemetry_series *)a)->name, ((const struct telemetry_series *)b)->name);
}

/* Clients may disagree on what a name is. */
static const char *type_of(const struct telemetry_series *series, int count) {
    for (int i = 1; i < count; i++)
        if (series[i].counter != series[0].counter)
            return "untyped";
    return series[0].counter ? "counter" : "gauge";
}

void expose_clients(struct exposition *e, const struct numbers *numbers) {
    struct telemetry_series *series = numbers->parts[0].telemetry.series;
    int count = numbers->parts[0].telemetry.count;
    if (count)
        qsort(series, (size_t)count, sizeof *series, by_name);
    for (int i = 0, same; i < count; i += same) {
        for (same = 1; i + same < count && strcmp(series[i].name, series[i + same].name) == 0; same++) {}
        expose_family(e, series[i].name, type_of(series + i, same), "Pushed by clients.");
        for (int k = i; k < i + same; k++) {
            expose_begin(e);
            for (const char *label = series[k].labels; *label;) {
                const char *value = label + strlen(label) + 1;
                expose_label_str(e, label, value);
                label = value + strlen(value) + 1;
            }
            expose_double(e, series[k].value);
        }
    }
}
