#include "share/reset.h"

static uint8_t upper(uint8_t c) {
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - 'a' + 'A') : c;
}

/* One number with its unit; false: there is none that is allowed here. Milliseconds are added to *ms. */
static bool take_part(struct slice *text, bool in_time, int *last_rank, int64_t *ms) {
    static const struct {
        char unit;
        bool time;
        int64_t ms;
    } units[] = {{'D', false, 86400000}, {'H', true, 3600000}, {'M', true, 60000}, {'S', true, 1000}};
    size_t at = 0;
    int64_t value = 0, fraction = 0, scale = 1;
    bool point = false, minus = text->size && text->ptr[0] == '-';
    size_t digits = at = minus || (text->size && text->ptr[0] == '+');
    for (; at < text->size; at++) {
        uint8_t c = text->ptr[at];
        if ((c == '.' || c == ',') && !point) {
            point = true;
        } else if (c < '0' || c > '9') {
            break;
        } else if (point) {
            fraction = scale < 1000 ? fraction * 10 + (c - '0') : fraction;
            scale = scale < 1000 ? scale * 10 : scale;
        } else {
            digits++;
            value = value * 10 + (c - '0');
            if (value > INT64_MAX / 86400000 / 10)
                return false;
        }
    }
    if (at == text->size || digits == (size_t)(minus || (text->size && text->ptr[0] == '+')))
        return false;
    for (int rank = 0; rank < 4; rank++) {
        if (units[rank].unit != upper(text->ptr[at]))
            continue;
        if (units[rank].time != in_time || rank < *last_rank || (point && units[rank].unit != 'S'))
            return false;
        *last_rank = rank + 1;
        int64_t part = value * units[rank].ms + (point ? fraction * 1000 / scale : 0);
        *ms += minus ? -part : part;
        text->ptr += at + 1;
        text->size -= at + 1;
        return true;
    }
    return false;
}

bool share_reset_duration(struct slice reset, int64_t *ret_ms) {
    struct slice text = reset, prefix = SLICE_LIT("by_duration:");
    int64_t ms = 0;
    int last_rank = 0, parts = 0;
    bool in_time = false, minus = false;
    if (text.size <= prefix.size || memcmp(text.ptr, prefix.ptr, prefix.size))
        return false;
    text = slice_of(text.ptr + prefix.size, text.size - prefix.size);
    if (text.ptr[0] == '-' || text.ptr[0] == '+') {
        minus = text.ptr[0] == '-';
        text = slice_of(text.ptr + 1, text.size - 1);
    }
    if (!text.size || upper(text.ptr[0]) != 'P')
        return false;
    text = slice_of(text.ptr + 1, text.size - 1);
    for (; text.size; parts++) {
        if (!in_time && upper(text.ptr[0]) == 'T') {
            in_time = true;
            text = slice_of(text.ptr + 1, text.size - 1);
        }
        if (!take_part(&text, in_time, &last_rank, &ms))
            return false;
    }
    ms = minus ? -ms : ms;
    if (!parts || ms < 0)
        return false;
    *ret_ms = ms;
    return true;
}
