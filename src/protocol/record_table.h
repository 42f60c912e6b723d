/* Every record type that stands in a log of the cluster itself, by the log's family: for dumps and checks. */
#ifndef PROTOCOL_RECORD_TABLE_H
#define PROTOCOL_RECORD_TABLE_H

#include "protocol/codec.h"

struct record_type {
    const char *family; /* "metadata", "group_coordinator", "transaction_coordinator", "share_coordinator", "storage" */
    bool is_key;        /* of a coordinator's record; type is what it begins with */
    int type;
    const char *name; /* "TopicRecord" */
    int version_min, version_max;
    size_t size; /* of the struct that decode fills */
    enum err (*decode)(struct decoder *d, int version, void *x);
    void (*json)(struct buf *buf, int version, const void *x);
};
extern const struct record_type record_types[];
extern const int record_type_count;

#endif
