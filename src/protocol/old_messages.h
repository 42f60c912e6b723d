/* Messages of magic 0 and 1, which brokers before 0.11 wrote and old segments may still hold: read, never written.
 *
 *      0  i64 offset     12  u32 CRC-32 of 16..end     18  i64 timestamp (magic 1 only), then key and value,
 *      8  i32 size after 16  i8 magic                      each an i32 length (-1: null) and bytes
 *                        17  i8 attributes: codec; bit 3 append time
 *
 * A compressed message is a wrapper: its value is a set of messages, its offset that of the last one. Inside a wrapper
 * of magic 1 offsets count from the first, of magic 0 they are the log's. A message frames itself as a batch does, so that
 * segments are walked alike; batch_check() looks at its CRC. */
#ifndef PROTOCOL_OLD_MESSAGES_H
#define PROTOCOL_OLD_MESSAGES_H

#include "protocol/compress.h"

struct old_messages { /* zero-initialised; used for one message after the other */
    struct compressor *compressor;
    struct buf plain;
    struct slice left; /* messages not given yet */
    int64_t offset_add, append_time; /* append_time -1: each has its own */
    int magic;
};
/* Of one whole message of magic 0 or 1. UNSUPPORTED_COMPRESSION, CORRUPT, TOO_LARGE: a wrapper that cannot be opened. */
enum err old_messages_begin(struct old_messages *messages, struct slice message, size_t plain_size_max) MUST_USE;
/* NOT_FOUND after the last; BAD_RECORD: not a message. Borrowed until the next begin. */
enum err old_messages_next(struct old_messages *messages, struct record *ret_record) MUST_USE;
void old_messages_deinit(struct old_messages *messages);

#endif
