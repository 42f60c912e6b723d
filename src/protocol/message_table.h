/* Every message and record by name, with its codec behind void pointers and its fields as data: for tests, fuzzing
 * and dumps. What runs in the broker uses the generated structs directly. */
#ifndef PROTOCOL_MESSAGE_TABLE_H
#define PROTOCOL_MESSAGE_TABLE_H

#include "protocol/codec.h"

enum message_field_type {
    FIELD_BOOL,
    FIELD_INT8,
    FIELD_INT16,
    FIELD_UINT16,
    FIELD_INT32,
    FIELD_UINT32,
    FIELD_INT64,
    FIELD_FLOAT64,
    FIELD_UUID,
    FIELD_STRING,  /* struct slice */
    FIELD_BYTES,   /* struct slice */
    FIELD_RECORDS, /* struct records */
    FIELD_STRUCT,
};

struct message_struct;
struct message_field {
    const char *name; /* "maxWaitMs" */
    enum message_field_type type;
    bool is_array, is_pointer;         /* a pointer and a count; a pointer to a nullable struct */
    int16_t version_min, version_max;  /* max < min: in no version that is left. So for the next two */
    int16_t nullable_min, nullable_max;
    int32_t tag; /* -1: not tagged in any version */
    int16_t tagged_min, tagged_max;
    size_t offset, count_offset; /* in the struct; the second for arrays only */
    size_t size;                 /* of the value, or of one element */
    const struct message_struct *of; /* of FIELD_STRUCT */
};
struct message_struct {
    size_t size;
    void (*init)(void *x);
    const struct message_field *fields; /* in the schema's order */
    int field_count;
};

struct message_type {
    const char *name; /* "FetchRequest" */
    enum { MESSAGE_REQUEST, MESSAGE_RESPONSE, MESSAGE_RECORD } kind;
    int key; /* API key or record type; -1: none */
    int version_min, version_max;
    int flexible_from; /* above version_max: never */
    size_t size;       /* of the struct that decode fills */
    enum err (*decode)(struct decoder *d, int version, void *x);
    enum err (*encode)(struct encoder *e, int version, const void *x);
    void (*json)(struct buf *buf, int version, const void *x); /* NULL for requests, responses and headers */
    const struct message_struct *fields;
};
extern const struct message_type message_types[];
extern const int message_type_count;

static inline bool message_field_in(int version, int16_t min, int16_t max) {
    return version >= min && version <= max;
}

#endif
