#include "base/properties.h"

#include "base/buf.h"

struct reader {
    const uint8_t *ptr, *end;
    int line;
};

static bool is_blank(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\f';
}

static bool is_newline(uint8_t c) {
    return c == '\n' || c == '\r';
}

static void skip_newline(struct reader *r) {
    if (r->ptr + 1 < r->end && r->ptr[0] == '\r' && r->ptr[1] == '\n')
        r->ptr++;
    r->ptr++;
    r->line++;
}

static void skip_blanks(struct reader *r) {
    while (r->ptr < r->end && is_blank(*r->ptr))
        r->ptr++;
}

static void add_utf8(struct buf *out, unsigned code) {
    if (code < 0x80) {
        buf_add_byte(out, (uint8_t)code);
    } else if (code < 0x800) {
        buf_add_byte(out, (uint8_t)(0xc0 | code >> 6));
        buf_add_byte(out, (uint8_t)(0x80 | (code & 63)));
    } else {
        buf_add_byte(out, (uint8_t)(0xe0 | code >> 12));
        buf_add_byte(out, (uint8_t)(0x80 | (code >> 6 & 63)));
        buf_add_byte(out, (uint8_t)(0x80 | (code & 63)));
    }
}

/* After the backslash. A line's end there joins the next line, without its leading blanks. */
static bool read_escape(struct reader *r, struct buf *out) {
    if (r->ptr == r->end)
        return true;
    uint8_t c = *r->ptr;
    if (is_newline(c)) {
        skip_newline(r);
        skip_blanks(r);
        return true;
    }
    r->ptr++;
    if (c == 'u') {
        unsigned code = 0;
        for (int i = 0; i < 4; i++, r->ptr++) {
            if (r->ptr == r->end)
                return false;
            uint8_t d = *r->ptr | 0x20;
            if (d >= '0' && d <= '9')
                code = code * 16 + (d - '0');
            else if (d >= 'a' && d <= 'f')
                code = code * 16 + (d - 'a' + 10);
            else
                return false;
        }
        add_utf8(out, code);
        return true;
    }
    buf_add_byte(out, c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'f' ? '\f' : c);
    return true;
}

/* Up to the end of the line or, for a key, the first '=', ':' or blank. */
static bool read_token(struct reader *r, bool is_key, struct buf *out) {
    while (r->ptr < r->end && !is_newline(*r->ptr)) {
        uint8_t c = *r->ptr;
        if (is_key && (is_blank(c) || c == '=' || c == ':'))
            break;
        r->ptr++;
        if (c != '\\')
            buf_add_byte(out, c);
        else if (!read_escape(r, out))
            return false;
    }
    return true;
}

static void skip_comment_or_empty(struct reader *r) {
    for (;;) {
        skip_blanks(r);
        if (r->ptr == r->end)
            return;
        if (*r->ptr == '#' || *r->ptr == '!')
            while (r->ptr < r->end && !is_newline(*r->ptr))
                r->ptr++;
        else if (!is_newline(*r->ptr))
            return;
        if (r->ptr < r->end)
            skip_newline(r);
    }
}

enum err properties_parse(struct arena *arena, struct slice text, struct properties *ret_properties, int *ret_line) {
    struct reader r = {text.ptr, text.ptr + text.size, 1};
    struct buf items = {0}, token = {0};
    enum err err = ERR_OK;
    for (skip_comment_or_empty(&r); r.ptr < r.end; skip_comment_or_empty(&r)) {
        struct property property = {.line = r.line};
        buf_clear(&token);
        if (!read_token(&r, true, &token))
            goto malformed;
        property.key = arena_slice(arena, buf_slice(&token));
        skip_blanks(&r);
        if (r.ptr < r.end && (*r.ptr == '=' || *r.ptr == ':')) {
            r.ptr++;
            skip_blanks(&r);
        }
        buf_clear(&token);
        if (!read_token(&r, false, &token))
            goto malformed;
        property.value = arena_slice(arena, buf_slice(&token));
        buf_add(&items, &property, sizeof property);
        continue;
    malformed:
        *ret_line = r.line;
        err = ERR_INVALID;
        goto out;
    }
    ret_properties->count = (int)(items.size / sizeof(struct property));
    ret_properties->items = arena_array(arena, struct property, ret_properties->count);
    if (items.size)
        memcpy(ret_properties->items, items.ptr, items.size);
out:
    buf_deinit(&items);
    buf_deinit(&token);
    return err;
}

struct slice properties_get(const struct properties *properties, const char *key) {
    for (int i = properties->count - 1; i >= 0; i--)
        if (slice_eq_str(properties->items[i].key, key))
            return properties->items[i].value;
    return SLICE_NULL;
}
