#include "http/exposition.h"

#include <math.h>
#include <stdio.h>

void expose_family(struct exposition *e, const char *name, const char *type, const char *help) {
    e->name = name;
    buf_printf(&e->text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void expose_begin(struct exposition *e) {
    buf_add_str(&e->text, e->name);
    e->labels = 0;
    e->series++;
}

static size_t utf8_size(const uint8_t *ptr, size_t size) {
    uint8_t c = ptr[0];
    size_t count = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (!count || count > size)
        return 0;
    for (size_t i = 1; i < count; i++)
        if ((ptr[i] & 0xc0) != 0x80)
            return 0;
    return count;
}

static void begin_label(struct exposition *e, const char *key) {
    buf_add_byte(&e->text, e->labels++ ? ',' : '{');
    buf_add_str(&e->text, key);
    buf_add_str(&e->text, "=\"");
}

void expose_label(struct exposition *e, const char *key, struct slice value) {
    begin_label(e, key);
    for (size_t i = 0; i < value.size;) {
        uint8_t c = value.ptr[i];
        size_t size = utf8_size(value.ptr + i, value.size - i);
        if (c == '"' || c == '\\')
            buf_printf(&e->text, "\\%c", c);
        else if (c == '\n')
            buf_add_str(&e->text, "\\n");
        else if (!size)
            buf_add_str(&e->text, "\xef\xbf\xbd");
        else
            buf_add(&e->text, value.ptr + i, size);
        i += size ? size : 1;
    }
    buf_add_byte(&e->text, '"');
}

void expose_label_str(struct exposition *e, const char *key, const char *value) {
    expose_label(e, key, slice_str(value));
}

void expose_label_int(struct exposition *e, const char *key, int64_t value) {
    begin_label(e, key);
    buf_printf(&e->text, "%lld\"", (long long)value);
}

void expose_int(struct exposition *e, int64_t value) {
    buf_printf(&e->text, e->labels ? "} %lld\n" : " %lld\n", (long long)value);
}

void expose_double(struct exposition *e, double value) {
    if (e->labels)
        buf_add_byte(&e->text, '}');
    if (isnan(value))
        buf_add_str(&e->text, " NaN\n");
    else if (isinf(value))
        buf_add_str(&e->text, value > 0 ? " +Inf\n" : " -Inf\n");
    else
        buf_printf(&e->text, " %.15g\n", value);
}

void expose_gauge(struct exposition *e, const char *name, const char *help, double value) {
    expose_family(e, name, "gauge", help);
    expose_begin(e);
    expose_double(e, value);
}

void expose_counter(struct exposition *e, const char *name, const char *help, uint64_t value) {
    expose_family(e, name, "counter", help);
    expose_begin(e);
    expose_int(e, (int64_t)value);
}
