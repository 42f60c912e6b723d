#include "tests/lib/message_values.h"

#include <math.h>

const struct message_type *message_find(const char *name) {
    for (int i = 0; i < message_type_count; i++)
        if (strcmp(message_types[i].name, name) == 0)
            return &message_types[i];
    return NULL;
}

/* ---- filling --------------------------------------------------------------------------------------------------- */

enum mode { MODE_DEFAULT, MODE_LEAST, MODE_MOST, MODE_RANDOM };
struct filler {
    struct arena *arena;
    int version;
    enum mode mode;
    uint64_t random;
};

static uint32_t next(struct filler *f) {
    f->random = f->random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(f->random >> 33);
}

static uint64_t next_int(struct filler *f, uint64_t least, uint64_t most) {
    if (f->mode == MODE_LEAST)
        return least;
    if (f->mode == MODE_MOST)
        return most;
    switch (next(f) % 6) {
    case 0:
        return least;
    case 1:
        return most;
    case 2:
        return next(f) % 3 - 1;
    default:
        return (uint64_t)next(f) << 33 ^ (uint64_t)next(f) << 11 ^ next(f);
    }
}

/* Around the lengths at which a varint or a length field changes. */
static size_t next_length(struct filler *f, size_t most) {
    static const size_t edges[] = {1, 126, 127, 128, 16382, 16383, 16384, 32767};
    if (f->mode == MODE_LEAST)
        return 0;
    if (f->mode == MODE_MOST)
        return most;
    return next(f) % 40 == 0 ? edges[next(f) % 8] : next(f) % 20;
}

static struct slice next_bytes(struct filler *f, bool is_text) {
    size_t size = next_length(f, is_text ? 32767 : 40000);
    uint8_t *bytes = arena_alloc(f->arena, size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = is_text ? (uint8_t)(' ' + next(f) % 95) : (uint8_t)next(f);
    if (is_text && size >= 4 && next(f) % 2) /* two bytes and an escaped one */
        memcpy(bytes + next(f) % (size - 3), "\xc3\xa9\n", 3);
    return slice_of(bytes, size);
}

static void fill_struct(struct filler *f, const struct message_struct *of, uint8_t *x);

static void fill_one(struct filler *f, const struct message_field *field, uint8_t *at, bool may_be_null) {
    bool is_null = may_be_null && (f->mode == MODE_LEAST || (f->mode == MODE_RANDOM && next(f) % 4 == 0));
    switch (field->type) {
    case FIELD_BOOL:
        *(bool *)at = next_int(f, 0, 1) & 1;
        break;
    case FIELD_INT8:
        *(int8_t *)at = (int8_t)next_int(f, (uint64_t)INT8_MIN, INT8_MAX);
        break;
    case FIELD_INT16:
        *(int16_t *)at = (int16_t)next_int(f, (uint64_t)INT16_MIN, INT16_MAX);
        break;
    case FIELD_UINT16:
        *(uint16_t *)at = (uint16_t)next_int(f, 0, UINT16_MAX);
        break;
    case FIELD_INT32:
        *(int32_t *)at = (int32_t)next_int(f, (uint64_t)INT32_MIN, INT32_MAX);
        break;
    case FIELD_UINT32:
        *(uint32_t *)at = (uint32_t)next_int(f, 0, UINT32_MAX);
        break;
    case FIELD_INT64:
        *(int64_t *)at = (int64_t)next_int(f, (uint64_t)INT64_MIN, INT64_MAX);
        break;
    case FIELD_FLOAT64: {
        static const double edges[] = {0.1, -1.5, 1e300, -1e-300, 12345678.9};
        *(double *)at = f->mode == MODE_LEAST ? -INFINITY : f->mode == MODE_MOST ? INFINITY : edges[next(f) % 5];
        break;
    }
    case FIELD_UUID: {
        uint8_t bytes[16];
        for (int i = 0; i < 16; i++)
            bytes[i] = (uint8_t)next_int(f, 0, 255);
        struct uuid uuid = uuid_load(bytes);
        memcpy(at, &uuid, sizeof uuid);
        break;
    }
    case FIELD_STRING:
    case FIELD_BYTES:
        *(struct slice *)at = is_null ? SLICE_NULL : next_bytes(f, field->type == FIELD_STRING);
        break;
    case FIELD_RECORDS: {
        struct slice bytes = is_null ? SLICE_NULL : next_bytes(f, false);
        *(struct records *)at = (struct records){.bytes = bytes, .size = bytes.size};
        break;
    }
    case FIELD_STRUCT:
        if (!field->is_pointer) {
            fill_struct(f, field->of, at);
        } else if (is_null) {
            *(void **)at = NULL;
        } else {
            *(void **)at = arena_zalloc(f->arena, field->of->size);
            fill_struct(f, field->of, *(void **)at);
        }
        break;
    }
}

static void fill_array(struct filler *f, const struct message_field *field, uint8_t *x, bool may_be_null) {
    int32_t count = f->mode == MODE_LEAST ? (may_be_null ? -1 : 0)
                    : f->mode == MODE_MOST ? 2
                                           : (int32_t)(next(f) % 4) - (may_be_null && next(f) % 4 == 0 ? 4 : 0);
    if (count < 0)
        count = may_be_null ? -1 : 0;
    if (count > 0 && f->mode == MODE_RANDOM && field->type != FIELD_STRUCT && next(f) % 50 == 0)
        count = 127 + (int32_t)next(f) % 3; /* where a compact count takes a second byte */
    uint8_t *elements = count > 0 ? arena_zalloc(f->arena, (size_t)count * field->size) : NULL;
    for (int32_t i = 0; i < count; i++)
        fill_one(f, field, elements + (size_t)i * field->size, false);
    *(void **)(x + field->offset) = elements;
    *(int32_t *)(x + field->count_offset) = count;
}

static void fill_struct(struct filler *f, const struct message_struct *of, uint8_t *x) {
    of->init(x);
    for (int i = 0; i < of->field_count; i++) {
        const struct message_field *field = &of->fields[i];
        if (!message_field_in(f->version, field->version_min, field->version_max))
            continue;
        bool may_be_null = message_field_in(f->version, field->nullable_min, field->nullable_max);
        bool has_default = field->type != FIELD_RECORDS || may_be_null;
        if (has_default && (f->mode == MODE_DEFAULT || (f->mode == MODE_RANDOM && next(f) % 8 == 0)))
            continue; /* a tagged field at its default is not written */
        if (field->is_array)
            fill_array(f, field, x, may_be_null);
        else
            fill_one(f, field, x + field->offset, may_be_null);
    }
}

void message_fill(const struct message_type *type, int version, uint32_t seed, struct arena *arena, void *x) {
    struct filler f = {arena, version, seed < MODE_RANDOM ? (enum mode)seed : MODE_RANDOM, seed * 0x9e3779b97f4a7c15ull};
    fill_struct(&f, type->fields, x);
}

/* ---- dumping --------------------------------------------------------------------------------------------------- */

static void dump_struct(const struct message_struct *of, int version, const uint8_t *x, struct buf *buf);

static void dump_one(const struct message_field *field, int version, const uint8_t *at, struct buf *buf) {
    switch (field->type) {
    case FIELD_BOOL:
        buf_add_str(buf, *(const bool *)at ? "true" : "false");
        break;
    case FIELD_INT8:
        buf_printf(buf, "%d", *(const int8_t *)at);
        break;
    case FIELD_INT16:
        buf_printf(buf, "%d", *(const int16_t *)at);
        break;
    case FIELD_UINT16:
        buf_printf(buf, "%u", *(const uint16_t *)at);
        break;
    case FIELD_INT32:
        buf_printf(buf, "%d", *(const int32_t *)at);
        break;
    case FIELD_UINT32:
        buf_printf(buf, "%u", *(const uint32_t *)at);
        break;
    case FIELD_INT64:
        buf_printf(buf, "%lld", (long long)*(const int64_t *)at);
        break;
    case FIELD_FLOAT64:
        json_add_float64(buf, *(const double *)at);
        break;
    case FIELD_UUID:
        json_add_uuid(buf, *(const struct uuid *)at);
        break;
    case FIELD_STRING:
        json_add_string(buf, *(const struct slice *)at);
        break;
    case FIELD_BYTES:
        json_add_bytes(buf, *(const struct slice *)at);
        break;
    case FIELD_RECORDS:
        json_add_bytes(buf, ((const struct records *)at)->bytes);
        break;
    case FIELD_STRUCT:
        if (field->is_pointer && !*(void *const *)at)
            buf_add_str(buf, "null");
        else
            dump_struct(field->of, version, field->is_pointer ? *(const uint8_t *const *)at : at, buf);
        break;
    }
}

static void dump_struct(const struct message_struct *of, int version, const uint8_t *x, struct buf *buf) {
    char before = '{';
    for (int i = 0; i < of->field_count; i++) {
        const struct message_field *field = &of->fields[i];
        if (!message_field_in(version, field->version_min, field->version_max))
            continue;
        buf_printf(buf, "%c\"%s\":", before, field->name);
        before = ',';
        if (!field->is_array) {
            dump_one(field, version, x + field->offset, buf);
            continue;
        }
        int32_t count = *(const int32_t *)(x + field->count_offset);
        if (count < 0) {
            buf_add_str(buf, "null");
            continue;
        }
        const uint8_t *elements = *(const uint8_t *const *)(x + field->offset);
        buf_add_byte(buf, '[');
        for (int32_t k = 0; k < count; k++) {
            if (k > 0)
                buf_add_byte(buf, ',');
            dump_one(field, version, elements + (size_t)k * field->size, buf);
        }
        buf_add_byte(buf, ']');
    }
    buf_add_str(buf, before == '{' ? "{}" : "}");
}

void message_dump(const struct message_type *type, int version, const void *x, struct buf *buf) {
    dump_struct(type->fields, version, x, buf);
}
