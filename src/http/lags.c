/* Groups and how far they are behind, which Kafka leaves to other programs. */
#include "http/numbers.h"

enum measure { RECORDS, SECONDS, STABLE_RECORDS, STABLE_SECONDS };

static void expose_family_of(struct exposition *e, const struct numbers *numbers, const char *name, const char *help, enum measure measure) {
    bool stable = measure == STABLE_RECORDS || measure == STABLE_SECONDS;
    expose_family(e, name, "gauge", help);
    for (int64_t i = 0; i < numbers->lags->count; i++) {
        const struct group_lag *lag = &numbers->lags->lags[i];
        int64_t end = stable ? lag->last_stable : lag->end;
        double value = measure == RECORDS || measure == STABLE_RECORDS ? (double)lag_records(lag, end) : lag_seconds(lag, end, numbers->wall_ms);
        if (end < 0 || value < 0)
            continue;
        expose_begin(e);
        expose_label(e, "group", lag->group);
        expose_label(e, "topic", lag->topic);
        expose_label_int(e, "partition", lag->partition);
        expose_double(e, value);
    }
}

void expose_lags(struct exposition *e, const struct numbers *numbers) {
    const struct collect_lags *lags = numbers->lags;
    expose_gauge(e, "myelin_groups", "Groups of all kinds whose coordinators are here.", (double)lags->groups);
    expose_gauge(e, "myelin_group_offsets", "Committed offsets of all groups.", (double)lags->offsets);
    expose_gauge(e, "myelin_metrics_lags_hidden", "Committed offsets beyond myelin.metrics.lags.max.", (double)(lags->offsets - lags->count));
    expose_family_of(e, numbers, "myelin_group_lag_records", "Records behind a committed offset, up to the log's end.", RECORDS);
    expose_family_of(e, numbers, "myelin_group_lag_seconds", "Age of the first record behind a committed offset; 0: there is none.", SECONDS);
    expose_family_of(e, numbers, "myelin_group_stable_lag_records", "Records behind a committed offset, up to the last stable offset.", STABLE_RECORDS);
    expose_family_of(e, numbers, "myelin_group_stable_lag_seconds", "Age of the first record behind a committed offset and below the last stable offset; 0: there is none.",
                     STABLE_SECONDS);
}
