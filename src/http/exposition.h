/* Prometheus' text format, 0.0.4: a family's HELP and TYPE, then its series.
 *
 *     expose_family(e, "kafka_log_log_size", "gauge", "Bytes of a partition's log.");
 *     expose_begin(e); expose_label(e, "topic", name); expose_int(e, size);
 *
 * The caller sees to it that a family comes once and a series once in it. */
#ifndef HTTP_EXPOSITION_H
#define HTTP_EXPOSITION_H

#include "base/buf.h"

struct exposition {
    struct buf text;
    const char *name; /* of the family; kept */
    int labels;       /* of the series that is being written */
    int64_t series;
};
void expose_family(struct exposition *e, const char *name, const char *type, const char *help);
void expose_begin(struct exposition *e);
void expose_label(struct exposition *e, const char *key, struct slice value); /* bytes that are not UTF-8 become U+FFFD */
void expose_label_str(struct exposition *e, const char *key, const char *value);
void expose_label_int(struct exposition *e, const char *key, int64_t value);
void expose_int(struct exposition *e, int64_t value); /* ends the series, as does: */
void expose_double(struct exposition *e, double value);
/* A family of one series without labels. */
void expose_gauge(struct exposition *e, const char *name, const char *help, double value);
void expose_counter(struct exposition *e, const char *name, const char *help, uint64_t value);

#endif
