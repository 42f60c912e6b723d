/* Diagnostics: one line an event, text or JSON, to stderr. Rate-limited at each place in the source: past
 * the limit, lines are counted and the count is said with the next one let through. Never payloads, never
 * secrets. (`log_` belongs to the commit log; this is `trace_`.)
 *
 *     trace_warn("journal", "write failed", TRACE_STR("file", path), TRACE_ERR(err));
 *
 * prints   2026-01-02T03:04:05.678Z WARN journal: write failed file=/d/x error="input/output error"
 * or       {"time":"2026-01-02T03:04:05.678Z","level":"WARN","part":"journal","event":"write failed","file":...}
 *
 * Values may come from anyone: quotes, backslashes, control characters, line ends of any alphabet and bytes that are not
 * UTF-8 are escaped as JSON escapes them (a stray byte xy as \u00xy), and long values are cut, so that one event stays one
 * line and a terminal is not written to. */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include "base/err.h"
#include "base/slice.h"

enum trace_level { TRACE_DEBUG, TRACE_INFO, TRACE_WARN, TRACE_ERROR };

struct trace_field {
    const char *key;
    enum { TRACE_FIELD_INT, TRACE_FIELD_SLICE } type;
    int64_t number;
    struct slice text;
};
struct trace_site { /* one a call in the source; the rate limit's state */
    int64_t window_start_ms;
    uint32_t count, suppressed;
    uint32_t setup; /* which trace_setup() the rest belongs to */
};

#define TRACE_INT(k, v) ((struct trace_field){.key = (k), .type = TRACE_FIELD_INT, .number = (int64_t)(v)})
#define TRACE_STR(k, v) ((struct trace_field){.key = (k), .type = TRACE_FIELD_SLICE, .text = slice_str(v)})
#define TRACE_SLICE(k, v) ((struct trace_field){.key = (k), .type = TRACE_FIELD_SLICE, .text = (v)})
#define TRACE_ERR(e) TRACE_STR("error", err_text(e))

/* Set once at start, before threads: level, JSON or text, and the clock (NULL: the system's; the simulator
 * gives its own) and sink (NULL: stderr). */
struct trace_options {
    enum trace_level level;
    bool json;
    int64_t (*now_ms)(void *arg);
    void (*write)(void *arg, const char *line, size_t size);
    void *arg;
};
void trace_setup(const struct trace_options *options);
void trace_set_format(enum trace_level level, bool json); /* of those options, these two */
bool trace_enabled(enum trace_level level);
void trace_write(struct trace_site *site, enum trace_level level, const char *part, const char *event,
                 const struct trace_field *fields, int field_count);

#define TRACE_AT(level, part, event, ...)                                                  \
    do {                                                                                   \
        static _Thread_local struct trace_site trace_site_;                                \
        if (trace_enabled(level)) {                                                        \
            const struct trace_field trace_fields_[] = {{0}, ##__VA_ARGS__};               \
            trace_write(&trace_site_, level, part, event, trace_fields_ + 1,               \
                        (int)(sizeof trace_fields_ / sizeof trace_fields_[0]) - 1);        \
        }                                                                                  \
    } while (0)
#define trace_debug(part, event, ...) TRACE_AT(TRACE_DEBUG, part, event, ##__VA_ARGS__)
#define trace_info(part, event, ...) TRACE_AT(TRACE_INFO, part, event, ##__VA_ARGS__)
#define trace_warn(part, event, ...) TRACE_AT(TRACE_WARN, part, event, ##__VA_ARGS__)
#define trace_error(part, event, ...) TRACE_AT(TRACE_ERROR, part, event, ##__VA_ARGS__)

#endif
