#include "base/trace.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "base/buf.h"

#define WINDOW_MS 1000
#define LINES_PER_WINDOW 10 /* of one place in the source */

/* Set before threads start and only read after. */
static struct trace_options trace_options = {.level = TRACE_INFO};

void trace_setup(const struct trace_options *options) {
    trace_options = *options;
}

bool trace_enabled(enum trace_level level) {
    return level >= trace_options.level;
}

static int64_t now_ms(void) {
    if (trace_options.now_ms)
        return trace_options.now_ms(trace_options.arg);
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void add_quoted(struct buf *line, struct slice s) {
    buf_add_byte(line, '"');
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.ptr[i];
        if (c == '"' || c == '\\')
            buf_printf(line, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_printf(line, "\\u%04x", c);
        else
            buf_add_byte(line, c);
    }
    buf_add_byte(line, '"');
}

static void add_value(struct buf *line, const struct trace_field *field) {
    if (field->type == TRACE_FIELD_INT) {
        buf_printf(line, "%lld", (long long)field->number);
        return;
    }
    bool plain = field->text.size > 0 && !trace_options.json;
    for (size_t i = 0; plain && i < field->text.size; i++)
        plain = field->text.ptr[i] > ' ' && field->text.ptr[i] < 0x7f && !strchr("\"\\=", field->text.ptr[i]);
    if (plain)
        buf_add_slice(line, field->text);
    else
        add_quoted(line, field->text);
}

static void add_field(struct buf *line, const struct trace_field *field) {
    buf_printf(line, trace_options.json ? ",\"%s\":" : " %s=", field->key);
    add_value(line, field);
}

void trace_write(struct trace_site *site, enum trace_level level, const char *part, const char *event,
                 const struct trace_field *fields, int field_count) {
    static const char *const levels[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    int64_t now = now_ms();
    if (now - site->window_start_ms >= WINDOW_MS || now < site->window_start_ms) {
        site->window_start_ms = now;
        site->count = 0;
    }
    if (++site->count > LINES_PER_WINDOW) {
        site->suppressed++;
        return;
    }
    time_t seconds = (time_t)(now / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char when[32];
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    struct buf line = {0};
    if (trace_options.json) {
        buf_printf(&line, "{\"time\":\"%s.%03dZ\",\"level\":\"%s\",\"part\":\"%s\",\"event\":", when, (int)(now % 1000),
                   levels[level], part);
        add_quoted(&line, slice_str(event));
    } else {
        buf_printf(&line, "%s.%03dZ %s %s: %s", when, (int)(now % 1000), levels[level], part, event);
    }
    for (int i = 0; i < field_count; i++)
        add_field(&line, &fields[i]);
    if (site->suppressed) {
        add_field(&line, &TRACE_INT("suppressed", site->suppressed));
        site->suppressed = 0;
    }
    buf_add_str(&line, trace_options.json ? "}\n" : "\n");
    if (trace_options.write) {
        trace_options.write(trace_options.arg, (const char *)line.ptr, line.size);
    } else {
        ssize_t ignored = write(STDERR_FILENO, line.ptr, line.size); /* one call a line: lines never mix */
        (void)ignored;
    }
    buf_deinit(&line);
}
