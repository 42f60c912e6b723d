#include "cli/output.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"

/* ---- tables -------------------------------------------------------------------------------------------------- */

static void cell_text(struct buf *buf, const json_t *value) {
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        for (const char *c = json_string_value(value); *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                buf_printf(buf, "\\x%02x", (unsigned char)*c);
            else if (c[0] == '\xc2' && (unsigned char)c[1] < 0xa0) /* C1 controls, which terminals obey too */
                buf_printf(buf, "\\x%02x", (unsigned char)*++c);
            else
                buf_add_byte(buf, (uint8_t)*c);
        break;
    case JSON_INTEGER:
        buf_printf(buf, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        buf_printf(buf, "%.2f", json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        buf_add_str(buf, json_is_true(value) ? "true" : "false");
        break;
    case JSON_ARRAY: {
        size_t i;
        json_t *item;
        json_array_foreach((json_t *)value, i, item) {
            if (i)
                buf_add_byte(buf, ',');
            cell_text(buf, item);
        }
        if (json_array_size(value) == 0)
            buf_add_byte(buf, '-');
        break;
    }
    case JSON_OBJECT: {
        const char *key;
        json_t *item;
        bool first = true;
        json_object_foreach((json_t *)value, key, item) {
            buf_printf(buf, "%s%s=", first ? "" : ",", key);
            cell_text(buf, item);
            first = false;
        }
        if (first)
            buf_add_byte(buf, '-');
        break;
    }
    case JSON_NULL:
        buf_add_byte(buf, '-');
    }
}

static void column_text(struct buf *buf, const struct output_column *column, const json_t *row) {
    char text[32];
    const json_t *value = json_object_get(row, column->key);
    buf_clear(buf);
    if (json_is_integer(value) && column->style == OUTPUT_SIZE)
        buf_add_str(buf, size_text(json_integer_value(value), text));
    else if (json_is_integer(value) && column->style == OUTPUT_TIME)
        buf_add_str(buf, time_text(json_integer_value(value), text));
    else
        cell_text(buf, value);
}

static int text_width(const char *text) { /* characters of UTF-8 */
    int width = 0;
    for (; *text; text++)
        width += (*text & 0xc0) != 0x80;
    return width;
}

static void put_cell(FILE *out, const char *text, int width, bool right, bool last) {
    int pad = width - text_width(text);
    if (right)
        fprintf(out, "%*s", pad, "");
    fputs(text, out);
    if (!right && !last)
        fprintf(out, "%*s", pad, "");
    fputs(last ? "\n" : "  ", out);
}

void output_rows(FILE *out, const json_t *rows, const struct output_column *columns, int column_count) {
    int *widths = mem_zalloc(sizeof *widths * (size_t)column_count);
    struct buf cell = {0};
    size_t i;
    json_t *row;
    for (int c = 0; c < column_count; c++)
        widths[c] = text_width(columns[c].title);
    json_array_foreach((json_t *)rows, i, row)
        for (int c = 0; c < column_count; c++) {
            column_text(&cell, &columns[c], row);
            int width = text_width(buf_text(&cell));
            if (width > widths[c])
                widths[c] = width;
        }
    for (int c = 0; c < column_count; c++)
        put_cell(out, columns[c].title, widths[c], columns[c].style == OUTPUT_RIGHT || columns[c].style == OUTPUT_SIZE, c == column_count - 1);
    json_array_foreach((json_t *)rows, i, row)
        for (int c = 0; c < column_count; c++) {
            column_text(&cell, &columns[c], row);
            put_cell(out, buf_text(&cell), widths[c], columns[c].style == OUTPUT_RIGHT || columns[c].style == OUTPUT_SIZE, c == column_count - 1);
        }
    buf_deinit(&cell);
    mem_free(widths);
}

void output_fields(FILE *out, const json_t *object, const struct output_column *columns, int column_count) {
    int width = 0;
    struct buf cell = {0};
    for (int c = 0; c < column_count; c++)
        if (text_width(columns[c].title) > width)
            width = text_width(columns[c].title);
    for (int c = 0; c < column_count; c++) {
        column_text(&cell, &columns[c], object);
        fprintf(out, "%s:%*s %s\n", columns[c].title, width - text_width(columns[c].title), "", buf_text(&cell));
    }
    buf_deinit(&cell);
}

void output_json(FILE *out, const json_t *value) {
    json_dumpf(value, out, JSON_INDENT(2) | JSON_ENCODE_ANY);
    fputc('\n', out);
}

void output_json_line(FILE *out, const json_t *value) {
    json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY);
    fputc('\n', out);
}

void output_list(const struct options *options, json_t *rows, const struct output_column *columns, int column_count) {
    if (options_json(options))
        output_json(stdout, rows);
    else
        output_rows(stdout, rows, columns, column_count);
    json_decref(rows);
}

/* ---- bytes and text ------------------------------------------------------------------------------------------ */

json_t *json_bytes(struct slice bytes) {
    if (slice_is_null(bytes))
        return json_null();
    json_t *text = json_stringn((const char *)bytes.ptr, bytes.size);
    if (text)
        return text;
    struct buf buf = {0};
    base64_encode(&buf, bytes);
    text = json_pack("{s:s}", "base64", buf_text(&buf));
    buf_deinit(&buf);
    return text;
}

json_t *json_slice(struct slice text) {
    if (slice_is_null(text))
        return json_null();
    json_t *value = json_stringn((const char *)text.ptr, text.size);
    if (value)
        return value;
    struct buf buf = {0};
    for (size_t i = 0; i < text.size; i++)
        buf_add_byte(&buf, text.ptr[i] < 0x80 ? text.ptr[i] : '?');
    value = json_stringn((const char *)buf.ptr, buf.size);
    buf_deinit(&buf);
    return value;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *buf, struct slice bytes) {
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t x = (uint32_t)bytes.ptr[i] << 16 | (left > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0) | (left > 2 ? bytes.ptr[i + 2] : 0);
        buf_add_byte(buf, (uint8_t)base64_digits[x >> 18]);
        buf_add_byte(buf, (uint8_t)base64_digits[x >> 12 & 63]);
        buf_add_byte(buf, left > 1 ? (uint8_t)base64_digits[x >> 6 & 63] : '=');
        buf_add_byte(buf, left > 2 ? (uint8_t)base64_digits[x & 63] : '=');
    }
}

bool base64_decode(struct buf *buf, struct slice text) {
    if (text.size % 4)
        return false;
    for (size_t i = 0; i < text.size; i += 4) {
        uint32_t x = 0;
        int pad = 0;
        for (size_t j = i; j < i + 4; j++) {
            const char *digit = text.ptr[j] ? strchr(base64_digits, text.ptr[j]) : NULL;
            if (text.ptr[j] == '=' && i + 4 == text.size && j >= i + 2)
                pad++;
            else if (!digit || pad)
                return false;
            x = x << 6 | (digit ? (uint32_t)(digit - base64_digits) : 0);
        }
        const uint8_t bytes[3] = {(uint8_t)(x >> 16), (uint8_t)(x >> 8), (uint8_t)x};
        buf_add(buf, bytes, (size_t)(3 - pad));
    }
    return true;
}

void hex_encode(struct buf *buf, struct slice bytes) {
    for (size_t i = 0; i < bytes.size; i++)
        buf_printf(buf, "%02x", bytes.ptr[i]);
}

static int hex_digit(uint8_t c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hex_decode(struct buf *buf, struct slice text) {
    if (text.size % 2)
        return false;
    for (size_t i = 0; i < text.size; i += 2) {
        int high = hex_digit(text.ptr[i]), low = hex_digit(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            return false;
        buf_add_byte(buf, (uint8_t)(high << 4 | low));
    }
    return true;
}

const char *size_text(int64_t size, char text[32]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double x = (double)size;
    int unit = 0;
    for (; x >= 1024 && unit < COUNT_OF(units) - 1; unit++)
        x /= 1024;
    snprintf(text, 32, unit ? "%.1f %s" : "%.0f %s", x, units[unit]);
    return text;
}

const char *time_text(int64_t time_ms, char text[32]) {
    if (time_ms < 0)
        return strcpy(text, "-");
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm;
    char date[32];
    if (!gmtime_r(&seconds, &tm) || strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm) == 0 || strlen(date) > 24)
        snprintf(text, 32, "%lld", (long long)time_ms);
    else
        snprintf(text, 32, "%.24s.%03dZ", date, (int)(time_ms % 1000));
    return text;
}

/* ---- errors and questions ------------------------------------------------------------------------------------ */

/* One line, whatever a broker put into its messages. */
static void put_message(const char *path, const char *fmt, va_list args) {
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0)
        return;
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    fflush(stdout);
    fprintf(stderr, "myelin%s%s: %s", path ? " " : "", path ? path : "", text);
    if (path)
        fprintf(stderr, "; see `myelin help %s`", path);
    fputc('\n', stderr);
    free(text);
}

int cli_fail(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    put_message(NULL, fmt, args);
    va_end(args);
    return CLI_FAILED;
}

int cli_usage(const struct options *options, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    put_message(options->path, fmt, args);
    va_end(args);
    return CLI_USAGE;
}

void cli_warn(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    put_message(NULL, fmt, args);
    va_end(args);
}

bool cli_confirm(const char *fmt, ...) {
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return true;
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputs(" [y/N] ", stderr);
    char answer[16];
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* ---- progress ------------------------------------------------------------------------------------------------ */

int64_t cli_now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void progress_begin(struct progress *progress) {
    *progress = (struct progress){.terminal = isatty(STDERR_FILENO), .begin_us = cli_now_us()};
    progress->last_us = progress->begin_us;
}

bool progress_due(struct progress *progress) {
    return cli_now_us() - progress->last_us >= (progress->terminal ? 200000 : 5000000);
}

void progress_show(struct progress *progress, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    if (progress->terminal)
        fputs("\r\033[K", stderr);
    vfprintf(stderr, fmt, args);
    fputs(progress->terminal ? "" : "\n", stderr);
    va_end(args);
    progress->last_us = cli_now_us();
    progress->shown = true;
}

void progress_end(struct progress *progress) {
    if (progress->terminal && progress->shown)
        fputs("\r\033[K", stderr);
}
