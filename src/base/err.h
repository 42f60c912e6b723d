/* Errors are values. What can fail returns `enum err`; ERR_OK is 0 and ignoring one warns.
 * The table below is the only list: name, text, the Kafka error code it becomes at the edge.
 * Handlers (src/broker/handlers) are the edge; below them nothing knows a Kafka code. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdint.h>

/* X(name, text, Kafka code) */
#define ERR_TABLE(X)                                                                       \
    X(OK, "no error", 0)                                                                   \
    X(UNKNOWN, "unexpected error", -1)                                                     \
    X(IO, "input/output error", 56)                                                        \
    X(NO_SPACE, "no space left on the device", 56)                                         \
    X(OFFLINE, "log directory is offline", 56)                                             \
    X(CORRUPT, "bytes are corrupt", 2)                                                     \
    X(INVALID, "invalid argument", 42)                                                     \
    X(NOT_FOUND, "not found", 3)                                                           \
    X(EXISTS, "already exists", 36)                                                        \
    X(NO_MEMORY, "out of memory", -1)                                                      \
    X(TIMEOUT, "timed out", 7)                                                             \
    X(CANCELED, "canceled", -1)                                                            \
    X(CLOSED, "closed", -1)                                                                \
    X(AGAIN, "would block", -1)                                                            \
    X(BUSY, "busy", -1)                                                                    \
    X(DENIED, "permission denied", -1)                                                     \
    X(UNSUPPORTED, "not supported", 35)                                                    \
    X(TRUNCATED, "bytes end too early", 2)                                                 \
    X(TOO_LARGE, "message too large", 10)                                                  \
    X(BATCH_LIST_TOO_LARGE, "record batches larger than a segment", 18)                    \
    X(BAD_RECORD, "invalid record", 87)                                                    \
    X(BAD_TIMESTAMP, "timestamp out of range", 32)                                         \
    X(UNSUPPORTED_COMPRESSION, "compression type not supported", 76)                       \
    X(OFFSET_OUT_OF_RANGE, "offset out of range", 1)                                       \
    X(OUT_OF_ORDER_SEQUENCE, "sequence number out of order", 45)                           \
    X(DUPLICATE_SEQUENCE, "duplicate sequence number", 46)                                 \
    X(INVALID_PRODUCER_EPOCH, "producer epoch is stale", 47)                               \
    X(INVALID_TXN_STATE, "invalid transaction state", 48)                                  \
    X(COORDINATOR_FENCED, "there is a newer coordinator of the transaction", 52)           \
    X(NOT_LEADER, "not the leader of the partition", 6)                                    \
    X(UNKNOWN_TOPIC_ID, "unknown topic id", 100)                                           \
    X(INCONSISTENT_TOPIC_ID, "topic id differs from the one on disk", 103)                 \
    X(FENCED_LEADER_EPOCH, "leader epoch is stale", 74)                                    \
    X(UNKNOWN_LEADER_EPOCH, "leader epoch is newer than known here", 75)                   \
    X(POLICY_VIOLATION, "refused by the topic's cleanup policy", 44)

enum err {
#define X(name, text, code) ERR_##name,
    ERR_TABLE(X)
#undef X
    ERR_COUNT
};

#define MUST_USE __attribute__((warn_unused_result))

/* Short text in lower case, static storage; never NULL. */
const char *err_text(enum err err);
/* The Kafka error code that stands for it on the wire. For handlers. */
int16_t err_kafka_code(enum err err);
/* The err of an errno value (ENOSPC and EDQUOT: NO_SPACE, ENOENT: NOT_FOUND, ...; else IO). */
enum err err_from_errno(int errnum);

#endif
