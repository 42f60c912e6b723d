#include <inttypes.h>
#include <jansson.h>
#include "raft/snapshot.h"

enum err quorum_state_parse(struct slice text, struct quorum_state *ret_state) {
    json_t *root = json_loadb((const char *)text.ptr, text.size, 0, NULL);
    json_t *epoch = json_object_get(root, "leaderEpoch"), *leader = json_object_get(root, "leaderId"),
           *voted = json_object_get(root, "votedId");
    bool good = json_is_integer(epoch) && json_is_integer(leader) && json_is_integer(voted) &&
                json_integer_value(epoch) >= 0 && json_integer_value(epoch) <= INT32_MAX;
    if (good)
        *ret_state = (struct quorum_state){(int32_t)json_integer_value(leader), (int32_t)json_integer_value(epoch),
                                           (int32_t)json_integer_value(voted)};
    json_decref(root);
    return good ? ERR_OK : ERR_CORRUPT;
}

void quorum_state_format(const struct raft *raft, struct buf *buf) {
    char directory[UUID_TEXT_SIZE];
    if (raft->kraft_version > 0) {
        buf_printf(buf, "{\"leaderId\":%" PRId32 ",\"leaderEpoch\":%" PRId32 ",\"votedId\":%" PRId32 ",", raft->leader_id,
                   raft->epoch, raft->voted_id);
        buf_printf(buf, "\"votedDirectoryId\":\"%s\",\"data_version\":1}",
                   uuid_text(raft->voted_id >= 0 ? raft->directory : UUID_ZERO, directory));
        return;
    }
    buf_printf(buf, "{\"clusterId\":\"\",\"leaderId\":%" PRId32 ",\"leaderEpoch\":%" PRId32 ",\"votedId\":%" PRId32
                    ",\"appliedOffset\":0,\"currentVoters\":[",
               raft->leader_id, raft->epoch, raft->leader_id >= 0 ? -1 : raft->voted_id);
    for (int i = 0; i < raft->voter_count; i++)
        buf_printf(buf, "%s{\"voterId\":%" PRId32 "}", i ? "," : "", raft->voters[i].id);
    buf_add_str(buf, "],\"data_version\":0}");
}
