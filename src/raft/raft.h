/* KRaft, the pure core: who leads in which epoch, and how far the log is committed. Events come in, what has to be done
 * goes out in struct raft_update; no files, sockets, clocks or threads (raft/quorum.h drives it).
 *
 *   UNATTACHED --start, only voter--> CANDIDATE --majority--> LEADER
 *
 * R1 the epoch never falls.  R2 at most one vote an epoch, on the device before it counts.  R3 a leader's high watermark
 * is an offset of its own epoch. Elections among several voters are decided by the same state with votes from others. */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "base/err.h"
#include "base/uuid.h"

enum { RAFT_VOTERS_MAX = 16 };

struct raft_voter {
    int32_t id;
    struct uuid directory; /* zero under kraft.version 0 */
    int64_t end_offset;    /* flushed log end that it told; -1: not known */
    bool granted;          /* its vote in this epoch */
};
enum raft_role { RAFT_UNATTACHED, RAFT_CANDIDATE, RAFT_LEADER, RAFT_RESIGNED };

struct raft {
    int32_t id;
    struct uuid directory;
    enum raft_role role;
    int32_t epoch, leader_id, voted_id; /* -1: none */
    int64_t epoch_start; /* log end when we became leader */
    int64_t high_watermark; /* -1: not known in this epoch */
    struct raft_voter voters[RAFT_VOTERS_MAX];
    int voter_count;
    int16_t kraft_version;
};

/* What the driver has to do, in this order. */
struct raft_update {
    bool persist;        /* write quorum-state, flushed, before anything else, then raft_persisted() */
    bool became_leader;  /* append LEADER_CHANGE */
    bool committed;      /* high_watermark moved */
};

void raft_init(struct raft *raft, int32_t id, struct uuid directory);
/* The voters as the log's control records tell them. */
void raft_set_voters(struct raft *raft, const struct raft_voter *voters, int count, int16_t kraft_version);
/* After start: what quorum-state holds (-1s when there is none) and the last epoch in the log. */
struct raft_update raft_start(struct raft *raft, int32_t state_epoch, int32_t log_epoch);
/* Epoch and vote are on the device. `log_end` is the log's end now. */
struct raft_update raft_persisted(struct raft *raft, int64_t log_end);
/* The own log is flushed up to `end`. */
struct raft_update raft_flushed(struct raft *raft, int64_t end);

#endif
