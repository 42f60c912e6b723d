/* A ShareFetch under way: what share_fetch.c (session, waiting, answer) and share_fetch_read.c (reading and acquiring, on the
 * shard of the partition) have in common. */
#ifndef BROKER_HANDLERS_SHARE_FETCH_H
#define BROKER_HANDLERS_SHARE_FETCH_H

#include "broker/share_acks.h"
#include "broker/share_sessions.h"
#include "protocol/share_fetch_request.h"

struct share_fetch_item { /* a partition of the session */
    struct share_fetch *fetch;
    struct share_fetch_part *part;
    struct share_fetch_item *next;
    struct share_want *want;
    struct share_partition *sp; /* while it is read */
    struct log_read read;
    int64_t read_max;
    bool held;                  /* the read has memory to give back */
    bool taken;                 /* the session's partition took part in the answer */
    int16_t error;
    struct share_acquire acquire;
    struct piece piece;
    struct records records;
    /* waiting */
    struct share_waiter share_waiter;
    struct partition_waiter log_waiter;
    int64_t bytes;              /* that could be read */
};
struct share_fetch_part { /* the items of one shard, visited in turn, and waited for there */
    struct shard_call call, watch, cancel;
    struct share_fetch *fetch;
    struct share_fetch_item *first, **last, *at;
    struct arena arena;
    bool watching, sent, ended;
    bool inside, done_inside;   /* a read is asked for; it was answered at once */
};
struct share_fetch {
    struct request *request;
    struct share_fetch_request message;
    struct share_context context;
    struct shard_call session_call;
    struct share_acks acks;
    bool has_acks, acks_done, fetch_done;
    struct share_fetch_item *items;
    int count;
    struct share_fetch_part **parts; /* in the order of the wants */
    int part_count, part_at;
    int64_t bytes_max, bytes_left, min_bytes, bytes_there;
    int32_t records_left;
    int items_left;      /* of this round, for an even share of the bytes */
    bool measuring;      /* this round only adds up what is there */
    bool any;            /* acquired something, or an error ends the wait */
    /* waiting */
    int watches_out;
    bool cancelling, timed_out;
    struct timer timer;
    struct parked parked;
    uint64_t deadline_ns;
};

/* ---- share_fetch_read.c ---- */

/* A part's items one after the other: what each has is read and acquired, or measured. Of a shard_call in a part. */
void share_fetch_visit(struct shard_call *call);
/* Up to where the group may read. */
int64_t share_fetch_bound(struct share_partition *sp, const struct partition *partition);
/* What could be read now; -1: nothing may be acquired at present. Records that the log has lost are passed over. */
int64_t share_fetch_next_offset(struct share_partition *sp, const struct partition *partition);
void share_fetch_fail(struct share_fetch_item *item, int16_t error);
/* The answer is sent: what was read goes back, on its shards. A hook of the request's arena; arg: the fetch. */
void share_fetch_give_back(void *arg);

#endif
