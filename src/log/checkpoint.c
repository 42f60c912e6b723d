#include "log/checkpoint.h"

bool checkpoint_number(struct slice text, int64_t *ret_number) {
    bool negative = text.size && text.ptr[0] == '-';
    size_t at = negative;
    uint64_t number = 0;
    if (at == text.size || text.size > 20)
        return false;
    for (; at < text.size; at++) {
        if (text.ptr[at] < '0' || text.ptr[at] > '9' || number > (UINT64_MAX - 9) / 10)
            return false;
        number = number * 10 + (text.ptr[at] - '0');
    }
    if (number > (uint64_t)INT64_MAX)
        return false;
    *ret_number = negative ? -(int64_t)number : (int64_t)number;
    return true;
}

static bool take_line(struct slice *text, struct slice *ret_line) {
    if (!text->size)
        return false;
    const uint8_t *end = memchr(text->ptr, '\n', text->size);
    size_t size = end ? (size_t)(end - text->ptr) : text->size;
    *ret_line = slice_of(text->ptr, size);
    text->ptr += size + (end != NULL);
    text->size -= size + (end != NULL);
    if (ret_line->size && ret_line->ptr[ret_line->size - 1] == '\r')
        ret_line->size--;
    return true;
}

static int split(struct slice line, struct slice *fields, int max) {
    int count = 0;
    size_t at = 0;
    while (at < line.size) {
        while (at < line.size && (line.ptr[at] == ' ' || line.ptr[at] == '\t'))
            at++;
        size_t start = at;
        while (at < line.size && line.ptr[at] != ' ' && line.ptr[at] != '\t')
            at++;
        if (at == start)
            break;
        if (count == max)
            return -1;
        fields[count++] = slice_of(line.ptr + start, at - start);
    }
    return count;
}

enum err checkpoint_parse(struct slice text, enum err (*fn)(void *arg, const struct slice *fields, int count),
                          void *arg) {
    struct slice line, fields[4];
    int64_t version, expected, count = 0;
    if (!take_line(&text, &line))
        return ERR_OK;
    if (!checkpoint_number(line, &version) || version != 0)
        return ERR_CORRUPT;
    if (!take_line(&text, &line))
        return ERR_OK;
    if (!checkpoint_number(line, &expected) || expected < 0)
        return ERR_CORRUPT;
    while (take_line(&text, &line)) {
        int field_count = split(line, fields, 4);
        enum err err = field_count < 0 ? ERR_CORRUPT : fn(arg, fields, field_count);
        if (err)
            return err;
        count++;
    }
    return count == expected ? ERR_OK : ERR_CORRUPT;
}

struct offsets_arg {
    void (*fn)(void *arg, struct slice topic, int32_t partition, int64_t offset);
    void *arg;
};

static enum err take_offset(void *arg, const struct slice *fields, int count) {
    struct offsets_arg *offsets = arg;
    int64_t partition, offset;
    if (count != 3 || !checkpoint_number(fields[1], &partition) || partition < 0 || partition > INT32_MAX ||
        !checkpoint_number(fields[2], &offset))
        return ERR_CORRUPT;
    offsets->fn(offsets->arg, fields[0], (int32_t)partition, offset);
    return ERR_OK;
}

enum err checkpoint_parse_offsets(struct slice text,
                                  void (*fn)(void *arg, struct slice topic, int32_t partition, int64_t offset),
                                  void *arg) {
    struct offsets_arg offsets = {fn, arg};
    return checkpoint_parse(text, take_offset, &offsets);
}

enum err partition_metadata_parse(struct slice text, struct uuid *ret_topic_id) {
    struct slice line;
    struct uuid id = UUID_ZERO;
    bool version = false, topic_id = false;
    while (take_line(&text, &line)) {
        const uint8_t *colon = memchr(line.ptr, ':', line.size);
        if (!colon)
            return ERR_CORRUPT;
        struct slice key = slice_of(line.ptr, (size_t)(colon - line.ptr));
        struct slice value[2];
        if (split(slice_of(colon + 1, line.size - key.size - 1), value, 2) != 1)
            return ERR_CORRUPT;
        int64_t number;
        if (slice_eq_str(key, "version"))
            version = checkpoint_number(value[0], &number) && number >= 0;
        else if (slice_eq_str(key, "topic_id"))
            topic_id = uuid_parse(value[0], &id) && !uuid_is_zero(id);
    }
    if (!version || !topic_id)
        return ERR_CORRUPT;
    *ret_topic_id = id;
    return ERR_OK;
}

void partition_metadata_format(struct uuid topic_id, struct buf *buf) {
    char text[UUID_TEXT_SIZE];
    uuid_text(topic_id, text);
    buf_printf(buf, "version: 0\ntopic_id: %s", text);
}
