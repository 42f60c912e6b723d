/* Values for every message without a line of code a message: fields are walked by the table of
 * protocol/message_table.h. A seed gives the same value again. Used by the proof against Java, by the fuzzers'
 * seeds and by the frames that hostile peers begin with. */
#ifndef TESTS_LIB_MESSAGE_VALUES_H
#define TESTS_LIB_MESSAGE_VALUES_H

#include "protocol/message_table.h"

const struct message_type *message_find(const char *name); /* NULL: none */

/* Seed 0: defaults; 1: the least of everything, nulls where they may be; 2: the most; above: random. `x` is
 * type->size bytes; memory comes from the arena. Fields that the version has not keep their defaults. */
void message_fill(const struct message_type *type, int version, uint32_t seed, struct arena *arena, void *x);

/* As JSON, fields that the version has in the schema's order; as the generated _json functions write. */
void message_dump(const struct message_type *type, int version, const void *x, struct buf *buf);

#endif
