/* The partitions that a command reads, each from a first to an end offset: places are looked up before reading begins, so
 * that the command knows when it is done. librdkafka fetches; there is no group. */
#ifndef CLI_SOURCES_H
#define CLI_SOURCES_H

#include "cli/client.h"
#include "cli/offsets.h"

enum { SOURCE_END_NONE = -1 };

struct source {
    rd_kafka_topic_t *topic;
    const char *name;
    int32_t partition;
    int64_t first, end; /* SOURCE_END_NONE: goes on for ever */
    bool started, done;
};
struct sources {
    struct source *items;
    int count, open_count; /* those started and not done */
    rd_kafka_queue_t *queue;
};

/* partitions: as parse_numbers() reads them, NULL: all. until NULL: for ever. */
int sources_add(struct sources *sources, struct client *client, const char *topic, const char *partitions, struct place from,
                const struct place *until, bool committed);
int sources_start(struct sources *sources, rd_kafka_t *rk);
void sources_stop(struct sources *sources);
/* What the message is of: a record to take (true), with the source it came from; or an end or error (false). Gives an
 * error's line on stderr and CLI_FAILED in *ret_status. Marks sources that are done. */
bool sources_take(struct sources *sources, const rd_kafka_message_t *message, const struct source **ret_source, int *ret_status);

#endif
