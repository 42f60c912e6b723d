/* Settings of streams groups, and those of them that an assignment was made with, which a group's record keeps: when they
 * change, the group assigns anew. */
#ifndef COORDINATOR_STREAMS_SETTINGS_H
#define COORDINATOR_STREAMS_SETTINGS_H

#include "coordinator/coordinator.h"
#include "protocol/streams_group_metadata_value.h"

/* A group's setting, else the broker's; `key` is what Kafka's names end with: "session.timeout.ms". */
int64_t streams_setting(const struct coordinator *coordinator, struct slice group, const char *key);
/* Client tags that members must have; comma-separated, from the arena. */
struct slice streams_required_tags(const struct coordinator *coordinator, struct slice group, struct arena *arena);
/* The assignor that the group asks for, when that is another one than there is; null: it is not. */
struct slice streams_missing_assignor(const struct coordinator *coordinator, struct slice group);
#define STREAMS_ASSIGNOR "sticky"

struct streams_configs { /* in order of key */
    int count;
    struct streams_group_metadata_value_last_assignment_config *pairs;
};
/* As they are now; in the arena. */
struct streams_configs streams_configs_now(const struct coordinator *coordinator, struct slice group, struct arena *arena);
bool streams_configs_equal(const struct streams_configs *a, const struct streams_configs *b);
/* 0: not there. */
int streams_configs_int(const struct streams_configs *configs, const char *key);
/* A copy in one block, which is at `pairs`: freed with mem_free(). */
struct streams_configs streams_configs_own(const struct streams_configs *configs);

#endif
