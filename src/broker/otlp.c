#include "broker/otlp.h"


/* ---- protobuf -------------------------------------------------------------------------------------------------------- */

struct reader {
    const uint8_t *ptr, *end;
    enum err err;
};
enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
struct field {
    uint32_t number;
    enum wire wire;
    uint64_t value; /* VARINT, FIXED64, FIXED32 */
    struct slice bytes;
};

static uint64_t read_varint(struct reader *r) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (r->ptr == r->end)
            break;
        uint8_t byte = *r->ptr++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    r->err = ERR_CORRUPT;
    return 0;
}

static uint64_t read_fixed(struct reader *r, size_t size) { /* little-endian */
    uint64_t value = 0;
    if ((size_t)(r->end - r->ptr) < size) {
        r->err = ERR_CORRUPT;
        return 0;
    }
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)r->ptr[i] << (8 * i);
    r->ptr += size;
    return value;
}

/* The next field; false at the end and when the bytes are bad (then with r->err). */
static bool next(struct reader *r, struct field *field) {
    if (r->err || r->ptr == r->end)
        return false;
    uint64_t tag = read_varint(r);
    *field = (struct field){.number = (uint32_t)(tag >> 3), .wire = (enum wire)(tag & 7)};
    if (!field->number || tag >> 32)
        r->err = ERR_CORRUPT;
    switch (tag & 7) {
    case WIRE_VARINT:
        field->value = read_varint(r);
        break;
    case WIRE_FIXED64:
        field->value = read_fixed(r, 8);
        break;
    case WIRE_FIXED32:
        field->value = read_fixed(r, 4);
        break;
    case WIRE_BYTES: {
        uint64_t size = read_varint(r);
        if (r->err || size > (uint64_t)(r->end - r->ptr)) {
            r->err = ERR_CORRUPT;
            break;
        }
        field->bytes = slice_of(r->ptr, (size_t)size);
        r->ptr += size;
        break;
    }
    default: /* groups are not used any more */
        r->err = ERR_CORRUPT;
    }
    return !r->err;
}

static struct reader reader_of(struct slice bytes) {
    return (struct reader){.ptr = bytes.ptr, .end = bytes.ptr + bytes.size};
}
static bool is(const struct field *field, uint32_t number, enum wire wire) {
    return field->number == number && field->wire == wire;
}
static double double_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- attributes ------------------------------------------------------------------------------------------------------ */

struct context {
    struct arena *arena;
    int left;
    void (*fn)(void *arg, const struct otlp_sample *sample);
    void *arg;
    struct otlp_sample resource; /* the attributes of the resource */
    struct slice name;
};

static enum err read_any(struct context *context, struct slice bytes, struct slice *ret_text) {
    struct reader r = reader_of(bytes);
    struct field field;
    *ret_text = SLICE_EMPTY;
    while (next(&r, &field)) {
        if (is(&field, 1, WIRE_BYTES))
            *ret_text = field.bytes;
        else if (is(&field, 2, WIRE_VARINT))
            *ret_text = field.value ? SLICE_LIT("true") : SLICE_LIT("false");
        else if (is(&field, 3, WIRE_VARINT))
            *ret_text = slice_str(arena_printf(context->arena, "%lld", (long long)field.value));
        else if (is(&field, 4, WIRE_FIXED64))
            *ret_text = slice_str(arena_printf(context->arena, "%.15g", double_of(field.value)));
    }
    return r.err;
}

static enum err read_attribute(struct context *context, struct slice bytes, struct otlp_sample *sample) {
    struct reader r = reader_of(bytes);
    struct field field;
    struct otlp_attribute attribute = {SLICE_EMPTY, SLICE_EMPTY};
    while (next(&r, &field)) {
        if (is(&field, 1, WIRE_BYTES))
            attribute.key = field.bytes;
        else if (is(&field, 2, WIRE_BYTES) && sample->attribute_count < OTLP_ATTRIBUTES_MAX)
            r.err = read_any(context, field.bytes, &attribute.value);
    }
    if (!r.err && attribute.key.size && sample->attribute_count < OTLP_ATTRIBUTES_MAX)
        sample->attributes[sample->attribute_count++] = attribute;
    return r.err;
}

/* ---- points ---------------------------------------------------------------------------------------------------------- */

static void tell(struct context *context, const struct otlp_sample *sample) {
    if (context->left <= 0)
        return;
    context->left--;
    context->fn(context->arg, sample);
}

static enum err read_number(struct context *context, struct slice bytes, bool counter, bool delta) {
    struct reader r = reader_of(bytes);
    struct field field;
    struct otlp_sample sample = context->resource;
    sample.name = context->name;
    sample.suffix = "";
    sample.counter = counter;
    sample.delta = delta;
    bool has_value = false;
    while (next(&r, &field)) {
        if (is(&field, 4, WIRE_FIXED64))
            sample.value = double_of(field.value), has_value = true;
        else if (is(&field, 6, WIRE_FIXED64))
            sample.value = (double)(int64_t)field.value, has_value = true;
        else if (is(&field, 7, WIRE_BYTES))
            r.err = read_attribute(context, field.bytes, &sample);
    }
    if (!r.err && has_value)
        tell(context, &sample);
    return r.err;
}

static enum err read_histogram_point(struct context *context, struct slice bytes, bool counter, bool delta) {
    struct reader r = reader_of(bytes);
    struct field field;
    struct otlp_sample sample = context->resource;
    double sum = 0;
    bool has_sum = false;
    sample.name = context->name;
    sample.suffix = "_count";
    sample.counter = counter;
    sample.delta = delta;
    while (next(&r, &field)) {
        if (is(&field, 4, WIRE_FIXED64))
            sample.value = (double)field.value;
        else if (is(&field, 5, WIRE_FIXED64))
            sum = double_of(field.value), has_sum = true;
        else if (is(&field, 9, WIRE_BYTES))
            r.err = read_attribute(context, field.bytes, &sample);
    }
    if (r.err)
        return r.err;
    tell(context, &sample);
    if (has_sum) {
        sample.suffix = "_sum";
        sample.value = sum;
        tell(context, &sample);
    }
    return ERR_OK;
}

/* Gauge, Sum or Histogram: what kind it is may stand behind the points. */
static enum err read_points(struct context *context, struct slice bytes, uint32_t kind) {
    enum { GAUGE = 5, HISTOGRAM = 9, DELTA = 1 };
    struct reader r = reader_of(bytes);
    struct field field;
    uint64_t temporality = 0;
    bool monotonic = kind == HISTOGRAM;
    while (next(&r, &field)) {
        if (kind != GAUGE && is(&field, 2, WIRE_VARINT))
            temporality = field.value;
        else if (kind != GAUGE && kind != HISTOGRAM && is(&field, 3, WIRE_VARINT))
            monotonic = field.value != 0;
    }
    enum err err = r.err;
    r = reader_of(bytes);
    while (!err && next(&r, &field))
        if (is(&field, 1, WIRE_BYTES))
            err = kind == HISTOGRAM ? read_histogram_point(context, field.bytes, true, temporality == DELTA)
                                    : read_number(context, field.bytes, monotonic, temporality == DELTA);
    return err;
}

/* ---- the tree -------------------------------------------------------------------------------------------------------- */

static enum err read_metric(struct context *context, struct slice bytes) {
    struct reader r = reader_of(bytes);
    struct field field;
    context->name = SLICE_EMPTY;
    while (next(&r, &field)) /* the last name counts, wherever it stands */
        if (is(&field, 1, WIRE_BYTES))
            context->name = field.bytes;
    enum err err = r.err;
    r = reader_of(bytes);
    while (!err && context->name.size && next(&r, &field))
        if (field.wire == WIRE_BYTES && (field.number == 5 || field.number == 7 || field.number == 9))
            err = read_points(context, field.bytes, field.number);
    return err;
}

static enum err read_scope(struct context *context, struct slice bytes) {
    struct reader r = reader_of(bytes);
    struct field field;
    while (next(&r, &field))
        if (is(&field, 2, WIRE_BYTES))
            r.err = read_metric(context, field.bytes);
    return r.err;
}

static enum err read_resource_attributes(struct context *context, struct slice bytes) {
    struct reader r = reader_of(bytes);
    struct field field;
    while (next(&r, &field))
        if (is(&field, 1, WIRE_BYTES))
            r.err = read_attribute(context, field.bytes, &context->resource);
    return r.err;
}

static enum err read_resource(struct context *context, struct slice bytes) {
    struct reader r = reader_of(bytes);
    struct field field;
    context->resource = (struct otlp_sample){0};
    while (next(&r, &field)) /* first: it may stand behind the metrics */
        if (is(&field, 1, WIRE_BYTES))
            r.err = read_resource_attributes(context, field.bytes);
    enum err err = r.err;
    r = reader_of(bytes);
    while (!err && next(&r, &field))
        if (is(&field, 2, WIRE_BYTES))
            err = read_scope(context, field.bytes);
    return err;
}

enum err otlp_read(struct slice bytes, struct arena *arena, int samples_max, void (*fn)(void *arg, const struct otlp_sample *sample),
                   void *arg) {
    struct context context = {.arena = arena, .left = samples_max, .fn = fn, .arg = arg};
    struct reader r = reader_of(bytes.ptr ? bytes : SLICE_EMPTY);
    struct field field;
    while (next(&r, &field))
        if (is(&field, 1, WIRE_BYTES))
            r.err = read_resource(&context, field.bytes);
    return r.err;
}
