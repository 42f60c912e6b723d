/* myelin topic: the table of its subcommands. */
#include "cli/topic.h"
#include "cli/cli.h"
#include "cli/offsets.h"

static const struct option_def create_options[] = {
    {"partitions", 'p', OPTION_INT, "N", "how many partitions (the broker's num.partitions)", NULL, COMPLETE_NOTHING},
    {"replication-factor", 'r', OPTION_INT, "N", "how many replicas of each (the broker's default.replication.factor)", NULL, COMPLETE_NOTHING},
    {"config", 'c', OPTION_LIST, "KEY=VALUE", "a setting of the topic", NULL, COMPLETE_NOTHING},
    {"assignment", 0, OPTION_TEXT, "B:B,B:B,...", "the brokers of each partition instead, leader first", NULL, COMPLETE_NOTHING},
    {"if-not-exists", 0, OPTION_FLAG, NULL, "a topic that is there already is no failure", NULL, COMPLETE_NOTHING},
    {"validate-only", 0, OPTION_FLAG, NULL, "only ask whether it could be created", NULL, COMPLETE_NOTHING},
};
static const struct option_def list_options[] = {
    {"internal", 0, OPTION_FLAG, NULL, "the cluster's own topics too", NULL, COMPLETE_NOTHING},
    {"pattern", 0, OPTION_TEXT, "GLOB", "only names that match, e.g. 'orders-*'", NULL, COMPLETE_NOTHING},
    {"quiet", 'q', OPTION_FLAG, NULL, "only the names, one a line", NULL, COMPLETE_NOTHING},
};
static const struct option_def alter_options[] = {
    {"partitions", 'p', OPTION_INT, "N", "the new, higher number of partitions", NULL, COMPLETE_NOTHING},
    {"config", 'c', OPTION_LIST, "KEY=VALUE", "set a setting", NULL, COMPLETE_NOTHING},
    {"delete-config", 0, OPTION_LIST, "KEY", "go back to the default", NULL, COMPLETE_NOTHING},
    {"validate-only", 0, OPTION_FLAG, NULL, "only ask whether it could be done", NULL, COMPLETE_NOTHING},
};
static const struct option_def delete_options[] = {
    {"if-exists", 0, OPTION_FLAG, NULL, "a topic that is not there is no failure", NULL, COMPLETE_NOTHING},
    {"yes", 'y', OPTION_FLAG, NULL, "do not ask on a terminal", NULL, COMPLETE_NOTHING},
};
static const char *const isolations[] = {"committed", "uncommitted", NULL};
static const struct option_def offsets_options[] = {
    {"time", 0, OPTION_TEXT, "TIME", "latest (default), earliest, max-timestamp, earliest-local, latest-tiered, or a time", NULL,
     COMPLETE_NOTHING},
    {"partition", 0, OPTION_TEXT, "P,P-P,...", "only these partitions", NULL, COMPLETE_NOTHING},
    {"isolation", 0, OPTION_TEXT, "LEVEL", "committed: latest is the last stable offset", isolations, COMPLETE_NOTHING},
};
static const struct option_def delete_records_options[] = {
    {"before", 0, OPTION_TEXT, "PLACE", "the first record that stays: an offset, end, -N or @TIME", NULL, COMPLETE_NOTHING},
    {"partition", 0, OPTION_TEXT, "P,P-P,...", "only these partitions", NULL, COMPLETE_NOTHING},
    {"yes", 'y', OPTION_FLAG, NULL, "do not ask on a terminal", NULL, COMPLETE_NOTHING},
};
static const struct option_def move_options[] = {
    {"log-dir", 0, OPTION_TEXT, "DIR", "the directory, as `myelin cluster log-dirs` shows it", NULL, COMPLETE_NOTHING},
    {"partition", 0, OPTION_TEXT, "P,P-P,...", "only these partitions", NULL, COMPLETE_NOTHING},
    {"broker", 0, OPTION_INT, "ID", "whose replicas (the first partition's leader)", NULL, COMPLETE_NOTHING},
    {"no-wait", 0, OPTION_FLAG, NULL, "do not wait until they are there", NULL, COMPLETE_NOTHING},
};
static const struct option_def producers_options[] = {
    {"partition", 0, OPTION_TEXT, "P,P-P,...", "only these partitions", NULL, COMPLETE_NOTHING},
};

static const struct command subcommands[] = {
    {.name = "create", .summary = "create topics", .arguments = "NAME...", .argument_min = 1, .argument_max = -1,
     OPTIONS(create_options), .connects = true, .run = topic_create_run,
     .details = "myelin topic create orders --partitions 6 --config retention.ms=86400000\n"},
    {.name = "list", .summary = "list topics", OPTIONS(list_options), .connects = true, .run = topic_list_run},
    {.name = "describe", .summary = "show partitions, leaders, replicas, offsets, sizes and settings", .arguments = "[NAME...]",
     .argument_max = -1, .complete = COMPLETE_TOPIC, .connects = true, .run = topic_describe_run},
    {.name = "alter", .summary = "add partitions, change settings", .arguments = "NAME", .argument_min = 1, .argument_max = 1,
     .complete = COMPLETE_TOPIC, OPTIONS(alter_options), .connects = true, .run = topic_alter_run},
    {.name = "delete", .summary = "delete topics with their records", .arguments = "NAME...", .argument_min = 1, .argument_max = -1,
     .complete = COMPLETE_TOPIC, OPTIONS(delete_options), .connects = true, .run = topic_delete_run},
    {.name = "offsets", .summary = "show the offsets at a time", .arguments = "NAME...", .argument_min = 1, .argument_max = -1,
     .complete = COMPLETE_TOPIC, OPTIONS(offsets_options), .connects = true, .run = topic_offsets_run,
     .details = "A time is milliseconds since 1970, 2026-11-24T21:00:00Z, or -2h (also s, m, d) for so long ago.\n"},
    {.name = "delete-records", .summary = "delete the records before an offset", .arguments = "NAME", .argument_min = 1,
     .argument_max = 1, .complete = COMPLETE_TOPIC, OPTIONS(delete_records_options), .connects = true, .run = topic_delete_records_run,
     .details = "myelin topic delete-records orders --partition 0 --before 1000\nmyelin topic delete-records orders --before @-7d\n"},
    {.name = "move", .summary = "move replicas to another log directory of their broker, live", .arguments = "NAME", .argument_min = 1,
     .argument_max = 1, .complete = COMPLETE_TOPIC, OPTIONS(move_options), .connects = true, .run = topic_move_run},
    {.name = "producers", .summary = "show who wrote to the partitions with a producer id", .arguments = "NAME", .argument_min = 1,
     .argument_max = 1, .complete = COMPLETE_TOPIC, OPTIONS(producers_options), .connects = true, .run = topic_producers_run},
};

const struct command command_topic = {.name = "topic", .summary = "create, list, describe, alter and delete topics", SUBCOMMANDS(subcommands)};
