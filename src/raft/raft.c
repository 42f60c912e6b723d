#include "raft/raft.h"

#include <string.h>
#include "base/check.h"

void raft_init(struct raft *raft, int32_t id, struct uuid directory) {
    *raft = (struct raft){.id = id, .directory = directory, .epoch = 0, .leader_id = -1, .voted_id = -1, .high_watermark = -1};
}

void raft_set_voters(struct raft *raft, const struct raft_voter *voters, int count, int16_t kraft_version) {
    check(count <= RAFT_VOTERS_MAX, "%d voters", count);
    memcpy(raft->voters, voters, sizeof *voters * (size_t)count);
    raft->voter_count = count;
    raft->kraft_version = kraft_version;
    for (int i = 0; i < count; i++)
        raft->voters[i].end_offset = -1;
}

static struct raft_voter *find_voter(struct raft *raft, int32_t id) {
    for (int i = 0; i < raft->voter_count; i++)
        if (raft->voters[i].id == id)
            return &raft->voters[i];
    return NULL;
}

static int majority(const struct raft *raft) {
    return raft->voter_count / 2 + 1;
}

struct raft_update raft_start(struct raft *raft, int32_t state_epoch, int32_t log_epoch) {
    raft->epoch = state_epoch > log_epoch ? state_epoch : log_epoch;
    if (raft->epoch < 0)
        raft->epoch = 0;
    raft->role = RAFT_UNATTACHED;
    if (raft->voter_count != 1 || !find_voter(raft, raft->id))
        return (struct raft_update){0};
    raft->epoch++;
    raft->role = RAFT_CANDIDATE;
    raft->voted_id = raft->id;
    raft->leader_id = -1;
    return (struct raft_update){.persist = true};
}

struct raft_update raft_persisted(struct raft *raft, int64_t log_end) {
    struct raft_update update = {0};
    if (raft->role != RAFT_CANDIDATE)
        return update;
    struct raft_voter *self = find_voter(raft, raft->id);
    self->granted = true; /* R2: the vote is on the device */
    int granted = 0;
    for (int i = 0; i < raft->voter_count; i++)
        granted += raft->voters[i].granted;
    if (granted < majority(raft))
        return update;
    raft->role = RAFT_LEADER;
    raft->leader_id = raft->id;
    raft->epoch_start = log_end;
    raft->high_watermark = -1;
    update.became_leader = update.persist = true;
    return update;
}

struct raft_update raft_flushed(struct raft *raft, int64_t end) {
    struct raft_update update = {0};
    struct raft_voter *self = find_voter(raft, raft->id);
    if (raft->role != RAFT_LEADER || !self)
        return update;
    self->end_offset = end;
    /* The largest offset that a majority has. */
    int64_t best = -1;
    for (int i = 0; i < raft->voter_count; i++) {
        int64_t offset = raft->voters[i].end_offset;
        int having = 0;
        for (int j = 0; j < raft->voter_count; j++)
            having += raft->voters[j].end_offset >= offset;
        if (having >= majority(raft) && offset > best)
            best = offset;
    }
    if (best > raft->epoch_start && best > raft->high_watermark) { /* R3 */
        raft->high_watermark = best;
        update.committed = true;
    }
    return update;
}
