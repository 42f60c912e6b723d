#include "log/look.h"

static struct look_batch batch_of(int64_t pos, const uint8_t *header, int64_t floor) {
    int64_t last = any_last_offset(header);
    return (struct look_batch){pos, (int64_t)batch_size(header), batch_magic(header) == 2 ? batch_base_offset(header) : last, last, floor};
}

bool look_header(const uint8_t *header) {
    int magic = batch_magic(header);
    int64_t base = batch_base_offset(header);
    int32_t length_min = magic == 2 ? BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE : BATCH_LENGTH_MIN;
    return magic >= 0 && magic <= 2 && batch_length(header) >= length_min && base >= 0 && base <= BASE_OFFSET_MAX;
}

void look_find_init(struct look_find *find, int64_t offset, int64_t floor) {
    *find = (struct look_find){.offset = offset, .floor = floor};
}

static void set_aside(struct look_find *find, struct look_batch batch) {
    find->wrong = batch;
    find->bad = true;
}

bool look_find_next(struct look_find *find, int64_t pos, const uint8_t *header) {
    struct look_batch batch = batch_of(pos, header, find->floor);
    const struct look_batch *before = &find->before;
    if (find->any && batch.base <= before->last && before->base > before->floor && batch.base >= before->floor) {
        batch.floor = find->floor = before->floor; /* it was moved up */
        set_aside(find, *before);
        find->any = find->held = false;
    }
    if (find->held)
        return true;
    if (batch.base < batch.floor || batch.last < batch.base) {
        if (find->any && !find->over.size)
            find->over = *before;
        set_aside(find, batch);
        return false;
    }
    bool here = batch.last >= find->offset;
    if (here && batch.base > find->offset && find->bad && !find->bound) {
        find->found = find->wrong;
        find->prior = (struct look_batch){0};
        return true;
    }
    find->prior = find->any ? find->before : (struct look_batch){0};
    find->found = find->before = batch;
    find->floor = batch.last + 1;
    find->any = true;
    find->bad = false;
    find->held = here && batch.base > batch.floor; /* the next one tells */
    return here && !find->held;
}

void look_find_wrong(struct look_find *find, int64_t pos, const uint8_t *header) {
    set_aside(find, batch_of(pos, header, find->floor));
}

bool look_find_end(struct look_find *find) {
    if (find->held)
        return true;
    bool is_wrong = find->bad && !find->bound;
    find->prior = find->any && !find->bad ? find->before : (struct look_batch){0};
    find->found = is_wrong ? find->wrong : (struct look_batch){0};
    return is_wrong;
}

enum err look_check(struct slice bytes) {
    enum err err = batch_check(bytes);
    return err == ERR_UNSUPPORTED ? ERR_OK : err;
}

enum err look_at(struct slice bytes, int64_t floor, int64_t ceiling, size_t *ret_good) {
    size_t at = 0;
    enum err err;
    for (;;) {
        struct slice rest = slice_of(bytes.ptr + at, bytes.size - at);
        err = look_check(rest);
        if (err)
            break;
        struct look_batch batch = batch_of(0, rest.ptr, floor);
        size_t left = rest.size - (size_t)batch.size;
        int64_t next = left >= 8 ? batch_base_offset(rest.ptr + batch.size) : INT64_MAX;
        bool moved_up = batch.base > floor && next >= floor && next <= batch.last;
        err = ERR_CORRUPT;
        if (batch.base < floor || batch.last < batch.base || batch.last >= ceiling || moved_up)
            break;
        floor = batch.last + 1;
        at += (size_t)batch.size;
    }
    *ret_good = at;
    return err == ERR_TRUNCATED ? ERR_OK : err;
}
