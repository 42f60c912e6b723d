/* Every message and record by name, with its codec behind void pointers: for tests, fuzzing and dumps. */
#ifndef PROTOCOL_MESSAGE_TABLE_H
#define PROTOCOL_MESSAGE_TABLE_H

#include "protocol/codec.h"

struct message_type {
    const char *name; /* "FetchRequest" */
    enum { MESSAGE_REQUEST, MESSAGE_RESPONSE, MESSAGE_RECORD } kind;
    int key; /* API key or record type; -1: none */
    int version_min, version_max;
    size_t size; /* of the struct that decode fills */
    enum err (*decode)(struct decoder *d, int version, void *x);
    enum err (*encode)(struct encoder *e, int version, const void *x);
};
extern const struct message_type message_types[];
extern const int message_type_count;

#endif
