#include "cli/record.h"

#include <inttypes.h>
#include <stdlib.h>
#include "base/endian.h"
#include "base/mem.h"

const char *const bytes_format_names[] = {"text", "hex", "base64", "int", "json", NULL};

enum bytes_format bytes_format_of(const char *name) {
    for (int i = 0; bytes_format_names[i]; i++)
        if (strcmp(bytes_format_names[i], name) == 0)
            return (enum bytes_format)i;
    return BYTES_TEXT;
}

/* ---- bytes --------------------------------------------------------------------------------------------------- */

static bool bytes_int(struct slice bytes, int64_t *ret_value) {
    switch (bytes.size) {
    case 1: *ret_value = (int8_t)bytes.ptr[0]; return true;
    case 2: *ret_value = (int16_t)load_be16(bytes.ptr); return true;
    case 4: *ret_value = (int32_t)load_be32(bytes.ptr); return true;
    case 8: *ret_value = (int64_t)load_be64(bytes.ptr); return true;
    default: return false;
    }
}

void bytes_show(struct buf *buf, struct slice bytes, enum bytes_format format) {
    int64_t number;
    if (slice_is_null(bytes))
        return;
    if (format == BYTES_INT && bytes_int(bytes, &number))
        buf_printf(buf, "%" PRId64, number);
    else if (format == BYTES_HEX || format == BYTES_INT)
        hex_encode(buf, bytes);
    else if (format == BYTES_BASE64)
        base64_encode(buf, bytes);
    else
        buf_add_slice(buf, bytes);
}

static bool read_int(struct buf *buf, struct slice text) {
    struct buf digits = {0};
    int64_t number;
    buf_add_slice(&digits, text);
    bool ok = parse_int(buf_text(&digits), &number);
    buf_deinit(&digits);
    if (ok)
        store_be64(buf_extend(buf, 8), (uint64_t)number);
    return ok;
}

bool bytes_read(struct buf *buf, struct slice text, enum bytes_format format) {
    json_t *value;
    switch (format) {
    case BYTES_HEX:
        return hex_decode(buf, text);
    case BYTES_BASE64:
        return base64_decode(buf, text);
    case BYTES_INT:
        return read_int(buf, text);
    case BYTES_JSON:
        value = json_loadb((const char *)text.ptr, text.size, JSON_DECODE_ANY, NULL);
        json_decref(value);
        if (!value)
            return false;
        break;
    case BYTES_TEXT:
        break;
    }
    buf_add_slice(buf, text);
    return true;
}

/* ---- format strings ------------------------------------------------------------------------------------------ */

static bool parse_escape(const char **at, struct buf *text) {
    static const char letters[] = "nrt0\\%", bytes[] = "\n\r\t\0\\%";
    const char *letter = **at ? strchr(letters, **at) : NULL;
    uint8_t byte;
    if (letter) {
        byte = (uint8_t)bytes[letter - letters];
    } else if (**at == 'x' && strspn(*at + 1, "0123456789abcdefABCDEF") >= 2) {
        char digits[3] = {(*at)[1], (*at)[2], 0};
        byte = (uint8_t)strtol(digits, NULL, 16);
        *at += 2;
    } else {
        return false;
    }
    if (byte == 0)
        buf_add_byte(text, 0);
    buf_add_byte(text, byte);
    return true;
}

enum err record_format_parse(struct record_format *format, const char *text, struct buf *error) {
    *format = (struct record_format){{0}};
    for (const char *at = text; *at; at++) {
        if (*at == '\\') {
            at++;
            if (!parse_escape(&at, &format->text)) {
                buf_printf(error, "'\\%s' in --format is no escape; there are \\n \\r \\t \\0 \\\\ \\xNN", at);
                return ERR_INVALID;
            }
        } else if (*at != '%') {
            buf_add_byte(&format->text, (uint8_t)*at);
        } else if (*++at == '%') {
            buf_add_byte(&format->text, '%');
        } else if (*at && strchr("tpokvsKSVhT", *at)) {
            buf_add_byte(&format->text, 0);
            buf_add_byte(&format->text, (uint8_t)*at);
        } else {
            buf_printf(error, "'%%%s' in --format is nothing; there are %%t %%p %%o %%k %%v %%s %%K %%S %%h %%T %%%%", at);
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

void record_format_deinit(struct record_format *format) {
    buf_deinit(&format->text);
}

static void show_headers(const struct cli_record *record, enum bytes_format format, struct buf *buf) {
    for (int i = 0; i < record->header_count; i++) {
        buf_printf(buf, "%s%.*s=", i ? "," : "", SLICE_FMT(record->headers[i].key));
        bytes_show(buf, record->headers[i].value, format);
    }
}

static void show_verb(char verb, const struct cli_record *record, const struct record_style *style, struct buf *buf) {
    switch (verb) {
    case 't': buf_add_str(buf, record->topic); break;
    case 'p': buf_printf(buf, "%d", record->partition); break;
    case 'o': buf_printf(buf, "%" PRId64, record->offset); break;
    case 'T': buf_printf(buf, "%" PRId64, record->timestamp); break;
    case 'k': bytes_show(buf, record->key, style->key); break;
    case 'v':
    case 's': bytes_show(buf, record->value, style->value); break;
    case 'K': buf_printf(buf, "%" PRId64, slice_is_null(record->key) ? -1 : (int64_t)record->key.size); break;
    case 'S':
    case 'V': buf_printf(buf, "%" PRId64, slice_is_null(record->value) ? -1 : (int64_t)record->value.size); break;
    case 'h': show_headers(record, style->header, buf); break;
    default: buf_add_byte(buf, (uint8_t)verb); /* a zero byte */
    }
}

void record_format_show(const struct record_format *format, const struct cli_record *record, const struct record_style *style, struct buf *buf) {
    for (size_t i = 0; i < format->text.size; i++)
        if (format->text.ptr[i])
            buf_add_byte(buf, format->text.ptr[i]);
        else
            show_verb((char)format->text.ptr[++i], record, style, buf);
}

/* ---- JSON ---------------------------------------------------------------------------------------------------- */

static json_t *formatted_json(struct slice bytes, enum bytes_format format) {
    int64_t number;
    if (slice_is_null(bytes) || format == BYTES_TEXT)
        return json_bytes(bytes);
    if (format == BYTES_INT && bytes_int(bytes, &number))
        return json_integer(number);
    if (format == BYTES_JSON) {
        json_t *value = json_loadb((const char *)bytes.ptr, bytes.size, JSON_DECODE_ANY, NULL);
        return value ? value : json_bytes(bytes);
    }
    struct buf text = {0};
    bytes_show(&text, bytes, format);
    json_t *value = json_string(buf_text(&text));
    buf_deinit(&text);
    return value;
}

json_t *record_to_json(const struct cli_record *record, const struct record_style *style) {
    json_t *headers = json_array();
    for (int i = 0; i < record->header_count; i++)
        json_array_append_new(headers, json_pack("{s:o, s:o}", "key", json_slice(record->headers[i].key), "value",
                                                 formatted_json(record->headers[i].value, style->header)));
    return json_pack("{s:s, s:i, s:I, s:o, s:s?, s:o, s:o, s:o}", "topic", record->topic, "partition", record->partition, "offset",
                     (json_int_t)record->offset, "timestamp", record->timestamp < 0 ? json_null() : json_integer(record->timestamp),
                     "timestamp_type", record->timestamp_type, "key", formatted_json(record->key, style->key), "value",
                     formatted_json(record->value, style->value), "headers", headers);
}

static enum err read_bytes(const json_t *value, const char *what, struct arena *arena, struct slice *ret_bytes, struct buf *error) {
    struct buf buf = {0};
    enum err err = ERR_OK;
    const json_t *base64 = json_is_object(value) && json_object_size(value) == 1 ? json_object_get(value, "base64") : NULL;
    if (!value || json_is_null(value)) {
        *ret_bytes = SLICE_NULL;
        return ERR_OK;
    }
    if (json_is_string(value)) {
        buf_add(&buf, json_string_value(value), json_string_length(value));
    } else if (json_is_string(base64)) {
        if (!base64_decode(&buf, slice_of(json_string_value(base64), json_string_length(base64)))) {
            buf_printf(error, "\"%s\" is not base64", what);
            err = ERR_INVALID;
        }
    } else {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        buf_add_str(&buf, text);
        free(text);
    }
    if (!err)
        *ret_bytes = arena_slice(arena, buf_slice(&buf));
    buf_deinit(&buf);
    return err;
}

/* [{"key": k, "value": v}, ...] or {k: v, ...} */
static enum err read_headers(json_t *headers, struct arena *arena, struct cli_record *record, struct buf *error) {
    size_t i;
    json_t *item;
    const char *key;
    enum err err = ERR_OK;
    record->headers = arena_array(arena, struct cli_header, json_is_array(headers) ? json_array_size(headers) : json_object_size(headers));
    if (json_is_object(headers)) {
        json_object_foreach(headers, key, item) {
            struct cli_header *header = &record->headers[record->header_count++];
            header->key = arena_slice(arena, slice_str(key));
            err = err ? err : read_bytes(item, "headers", arena, &header->value, error);
        }
        return err;
    }
    json_array_foreach(headers, i, item) {
        struct cli_header *header = &record->headers[record->header_count++];
        if (!json_is_string(json_object_get(item, "key"))) {
            buf_add_str(error, "a header is {\"key\": ..., \"value\": ...}");
            return ERR_INVALID;
        }
        err = read_bytes(json_object_get(item, "key"), "headers", arena, &header->key, error);
        if (!err)
            err = read_bytes(json_object_get(item, "value"), "headers", arena, &header->value, error);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err read_number(const json_t *object, const char *name, int64_t max, int64_t *number, struct buf *error) {
    const json_t *value = json_object_get(object, name);
    if (!value || json_is_null(value))
        return ERR_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > max) {
        buf_printf(error, "\"%s\" is not a number from 0", name);
        return ERR_INVALID;
    }
    *number = json_integer_value(value);
    return ERR_OK;
}

enum err record_from_json(const json_t *object, struct arena *arena, struct cli_record *ret_record, struct buf *error) {
    struct cli_record record = {.partition = -1, .offset = -1, .timestamp = -1};
    int64_t partition = -1;
    json_t *headers = json_object_get(object, "headers");
    if (!json_is_object(object)) {
        buf_add_str(error, "a record is a JSON object, like {\"key\": \"k\", \"value\": \"v\"}");
        return ERR_INVALID;
    }
    enum err err = read_number(object, "partition", INT32_MAX, &partition, error);
    if (!err)
        err = read_number(object, "timestamp", INT64_MAX, &record.timestamp, error);
    if (!err)
        err = read_bytes(json_object_get(object, "key"), "key", arena, &record.key, error);
    if (!err)
        err = read_bytes(json_object_get(object, "value"), "value", arena, &record.value, error);
    if (!err && headers && !json_is_null(headers))
        err = read_headers(headers, arena, &record, error);
    record.partition = (int32_t)partition;
    if (!err)
        *ret_record = record;
    return err;
}
