/* Places in partitions as people write them, and the offsets that the leaders say they are at. */
#ifndef CLI_OFFSETS_H
#define CLI_OFFSETS_H

#include "cli/client.h"

/* `beginning` (or earliest), `end` (or latest), N, -N (so many before the end), @TIME. */
struct place {
    enum { PLACE_BEGINNING, PLACE_END, PLACE_OFFSET, PLACE_BEFORE_END, PLACE_TIME } kind;
    int64_t value; /* offset, count or milliseconds since 1970 */
};
bool parse_place(const char *text, struct place *ret_place);
/* Milliseconds since 1970; 2026-11-24, 2026-11-24T21:00[:05[.250]] with Z (as without) or +01:00; or -90s, -15m, -2h, -7d:
 * so long before now. */
bool parse_time(const char *text, int64_t now_ms, int64_t *ret_time_ms);
/* "0,3,5-7" with numbers from 0 to below `limit`; in *ret_numbers, of mem_alloc(), ascending, each once. */
bool parse_numbers(const char *text, int limit, int **ret_numbers, int *ret_count);
int64_t cli_now_ms(void); /* the wall clock */

struct offset_query {
    const char *topic;
    int partition;
    int64_t timestamp; /* ListOffsets': a time, or -1 latest, -2 earliest, ... */
    /* the answer */
    int16_t error;
    int64_t offset, found_timestamp; /* -1: none */
    int leader_epoch;
};
/* Asks the leaders, again while there is none. Queries of one topic stand together. */
int offsets_find(struct client *client, struct offset_query *queries, int count, bool committed);
/* The offsets of a place in partitions of a topic; committed: the end is the last stable offset. */
int offsets_of_place(struct client *client, const char *topic, const int *partitions, int count, struct place place,
                     bool committed, int64_t *ret_offsets);

/* The partitions of the topic that the text names (parse_numbers()), all when it is NULL; of mem_alloc(). */
int choose_partitions(const struct metadata_response_metadata_response_topic *topic, const char *text, int **ret_partitions,
                      int *ret_count);
/* -1: it has none, or is not there. topic NULL: likewise. */
int leader_of_partition(const struct metadata_response_metadata_response_topic *topic, int partition);

int topic_offsets_run(struct options *options);
int topic_delete_records_run(struct options *options);

#endif
