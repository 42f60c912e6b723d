/* The window of a share partition (KIP-932): which records of a partition a share group has in flight, who holds them,
 * and how often they were given out.
 *
 *     log   ...done | 100-109 acknowledged | 110-119 acquired by A | 120-121 available | 122... not yet seen
 *                     ^ start                                                    ^ end (inclusive)
 *
 * AVAILABLE --acquire: count + 1--> ACQUIRED --accept--> ACKNOWLEDGED
 *     ^                               |  |------reject, gap, limit of deliveries reached--> ARCHIVED
 *     +---release, lock expired-------+
 *
 * An acknowledgement or a release is a transition: the new state stands at once, but the records can be neither acquired
 * nor acknowledged until window_complete() says that it is stored, or takes it back. What was acquired together is a
 * batch; it stays whole until a part of it is treated otherwise, from when on each of its records counts for itself.
 *
 * Pure: no clock, no I/O. Time comes in as nanoseconds of the caller's clock; what has to be stored goes out as
 * struct share_batch. Offsets move on in memory first and are stored with the next write.
 * Invariants: W1 runs rise and do not overlap.  W2 a batch that is not split is one run.  W3 start <= end + 1.
 * W4 a run has an owner as long as it is acquired or its transition can be taken back. */
#ifndef SHARE_WINDOW_H
#define SHARE_WINDOW_H

#include "base/arena.h"
#include "base/err.h"
#include "share/batches.h"

enum { SHARE_TYPE_GAP, SHARE_TYPE_ACCEPT, SHARE_TYPE_RELEASE, SHARE_TYPE_REJECT, SHARE_TYPE_RENEW, SHARE_TYPES }; /* of acknowledgements, as on the wire */

struct share_run {
    int64_t first, last;
    int64_t batch;         /* first offset of the batch it belongs to */
    uint64_t deadline_ns;  /* of the acquisition lock */
    uint32_t member;       /* index in window->members; 0: nobody */
    uint32_t transition;   /* 0: none under way */
    int16_t count;         /* deliveries */
    uint8_t state;         /* enum share_state */
    bool split;
};

struct share_window {
    int64_t start, end;
    struct share_run *runs; /* from `head` on; owned */
    int head, count, capacity;
    struct slice *members;  /* owned; [0] unused */
    uint32_t member_count, member_capacity;
    uint32_t last_transition;
    bool find_next;         /* something before end + 1 may be available */
    bool has_gap;           /* the stored state had holes: records in [gap_start, gap_end] that no batch holds are new */
    int64_t gap_start, gap_end;
};

void window_deinit(struct share_window *window); /* frees what it owns; zeroed again */
/* What was stored: batches in order, without overlaps. CORRUPT: it cannot be. */
enum err window_load(struct share_window *window, int64_t start, const struct share_batch *batches, int count) MUST_USE;

/* Where a read begins: the first offset that may be acquired; end + 1 when it is behind all that is in flight. */
int64_t window_next_fetch_offset(struct share_window *window);
static inline int64_t window_in_flight(const struct share_window *window) { /* all offsets between start and end count */
    return window->count ? window->end - window->start + 1 : 0;
}
/* Something is available again, or there is room for records that are not in flight yet. */
bool window_can_acquire(struct share_window *window, int64_t in_flight_max);
/* Terminal records from start on. */
int64_t window_complete_count(const struct share_window *window);
/* The first deadline of a lock; UINT64_MAX: nothing is locked. */
uint64_t window_deadline(const struct share_window *window);

/* ---- acquire ---------------------------------------------------------------------------------------------------------- */

struct share_acquired {
    int64_t first, last;
    int16_t count;
};
struct share_aborted {
    int64_t producer_id, first_offset;
};
struct share_acquire {
    struct slice member;
    bool record_limit;       /* exactly records_max, else whole batches of the log */
    int32_t batch_size, records_max;
    int64_t fetch_offset;    /* window_next_fetch_offset() when it was read */
    const uint8_t *bytes;    /* batches as the log has them; the last one may be cut */
    size_t size;
    const struct share_aborted *aborted; /* read_committed: transactions among them that were aborted, in order of offset */
    int aborted_count;
    uint64_t deadline_ns;
    int32_t deliveries_max;
    int64_t in_flight_max;
    struct arena *arena;
    /* result */
    struct share_acquired *acquired; /* in order */
    int acquired_count, acquired_capacity;
    int64_t records;
    int64_t log_end;         /* behind the last whole batch that was looked at; -1: there was none */
    bool archived;           /* records were archived without being given to anyone: start may have moved */
};
/* Gives out what it may of the bytes; never fails. What was acquired must be told, or it stays locked until deadline_ns. */
void window_acquire(struct share_window *window, struct share_acquire *acquire);
/* Where in the bytes the batches lie that hold what was acquired. */
struct slice window_acquired_bytes(const struct share_acquire *acquire);

/* ---- acknowledge, release, expire ---------------------------------------------------------------------------------------- */

struct share_ack {
    int64_t first, last;
    const int8_t *types; /* one for all, or one for each offset */
    int32_t type_count;
};
/* What is to be stored, and under which number window_complete() finds it. */
struct share_change {
    struct arena *arena;         /* takes the batches */
    struct share_batch *batches;
    int count, capacity;
    uint32_t transition;         /* 0: nothing to take back */
    int64_t accepted, released, rejected, renewed; /* acknowledgements by kind, in records */
};
enum share_ack_error { SHARE_ACK_OK, SHARE_ACK_INVALID_STATE, SHARE_ACK_INVALID_REQUEST };
/* All or nothing, but for locks that were renewed. On failure *ret_why is a message, static storage. */
enum share_ack_error window_acknowledge(struct share_window *window, struct slice member, const struct share_ack *acks, int count,
                                        bool renew_enabled, uint64_t deadline_ns, int32_t deliveries_max, struct share_change *change,
                                        const char **ret_why) MUST_USE;
/* Everything a member holds. */
void window_release(struct share_window *window, struct slice member, int32_t deliveries_max, struct share_change *change);
/* Locks that have ended. Not a transition: it is not taken back. */
void window_expire(struct share_window *window, uint64_t now_ns, int32_t deliveries_max, struct share_change *change);
/* A transition was stored, or was not. True: start moved, or something became available. */
bool window_complete(struct share_window *window, uint32_t transition, bool stored, uint64_t now_ns, int32_t deliveries_max);
/* Moves start past what is done. True: it moved. */
bool window_advance(struct share_window *window);
/* Records below were deleted from the log. */
void window_raise_start(struct share_window *window, int64_t log_start);

void window_check(const struct share_window *window); /* W1-W3; for tests */

#endif
