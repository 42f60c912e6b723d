#include "base/trace.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "base/buf.h"

#define WINDOW_MS 1000
#define LINES_PER_WINDOW 10 /* of one place in the source */
#define VALUE_MAX 512       /* bytes of a value that are shown */

/* Set before threads start and only read after. */
static struct trace_options trace_options = {.level = TRACE_INFO};
static uint32_t setups;

void trace_setup(const struct trace_options *options) {
    trace_options = *options;
    setups++; /* rate limits start anew: what is printed depends on nothing before */
}

void trace_set_format(enum trace_level level, bool json) {
    trace_options.level = level;
    trace_options.json = json;
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

/* Bytes of the UTF-8 character at ptr, 0 when it is none: overlong forms, surrogates and what lies beyond Unicode are not. */
static size_t utf8_size(const uint8_t *ptr, size_t size, uint32_t *ret_char) {
    uint8_t c = ptr[0];
    size_t count = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (!count || count > size)
        return 0;
    uint32_t value = count == 1 ? c : c & (0x7fu >> count);
    for (size_t i = 1; i < count; i++) {
        if ((ptr[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (ptr[i] & 0x3f);
    }
    if ((count == 3 && (value < 0x800 || (value >= 0xd800 && value < 0xe000))) || (count == 4 && (value < 0x10000 || value > 0x10ffff)))
        return 0;
    *ret_char = value;
    return count;
}

/* Characters that end lines, move the cursor or turn the writing direction. */
static bool is_harmful(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static void add_quoted(struct buf *line, struct slice s) {
    buf_add_byte(line, '"');
    size_t shown = s.size < VALUE_MAX ? s.size : VALUE_MAX;
    for (size_t i = 0; i < shown;) {
        uint32_t c = s.ptr[i];
        size_t size = utf8_size(s.ptr + i, s.size - i, &c);
        if (c == '"' || c == '\\')
            buf_printf(line, "\\%c", (char)c);
        else if (!size || is_harmful(c))
            buf_printf(line, "\\u%04x", (unsigned)c);
        else
            buf_add(line, s.ptr + i, size);
        i += size ? size : 1;
    }
    buf_add_str(line, shown < s.size ? "...\"" : "\"");
}

static void add_value(struct buf *line, const struct trace_field *field) {
    if (field->type == TRACE_FIELD_INT) {
        buf_printf(line, "%lld", (long long)field->number);
        return;
    }
    bool plain = field->text.size > 0 && field->text.size <= VALUE_MAX && !trace_options.json;
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
    if (site->setup != setups)
        *site = (struct trace_site){.setup = setups};
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
