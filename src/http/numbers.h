/* What one scrape shows: the shards' parts, their sum, and what has come since some minutes ago, from which quantiles and
 * rates are made (as Kafka's meters and histograms look at the last minutes rather than at all time). */
#ifndef HTTP_NUMBERS_H
#define HTTP_NUMBERS_H

#include "broker/collect.h"
#include "broker/lag.h"
#include "http/exposition.h"

struct shown_topic {
    struct topic_numbers *numbers;
    struct slice name; /* null: the topic is gone */
};
struct shown_partition {
    struct partition_numbers *numbers;
    struct slice name;
};

struct base { /* what was, some minutes ago */
    uint64_t at_ns;
    struct metrics *sum;
    struct log_metrics log;
    struct listener_metrics *listeners; /* LISTENERS_MAX a shard */
    uint64_t *idle_ns;                  /* one a shard */
};

struct numbers {
    const struct broker *broker;
    struct collect_part *parts; /* one a shard */
    struct base *now;
    const struct base *before;  /* NULL: the start */
    double seconds;             /* between the two */
    uint64_t started_ns;
    int64_t wall_ms;            /* now, since 1970 */
    struct shown_topic *topics;
    int topic_count;
    struct shown_partition *partitions;
    int partition_count;
    int64_t topics_with_traffic, partitions_hosted;
    const struct collect_lags *lags;
    uint64_t http_requests;
    double gather_seconds;      /* how long it took to get them */
};
#define NUMBERS_SUM(numbers, field)                                                        \
    __extension__({                                                                        \
        int64_t sum_ = 0;                                                                  \
        for (int i_ = 0; i_ < (numbers)->broker->shard_count; i_++)                        \
            sum_ += (int64_t)(numbers)->parts[i_].field;                                   \
        sum_;                                                                              \
    })

/* kafka.c: under Kafka's names; requests.c: those of requests and connections; own.c: what Kafka has not, and the process.
 * clients.c: what clients have pushed; lags.c: how far groups are behind. */
void expose_kafka(struct exposition *e, const struct numbers *numbers);
void expose_requests(struct exposition *e, const struct numbers *numbers);
void expose_clients(struct exposition *e, const struct numbers *numbers);
void expose_coordinators(struct exposition *e, const struct numbers *numbers); /* coordinators.c, for kafka.c */
void expose_lags(struct exposition *e, const struct numbers *numbers);
void expose_own(struct exposition *e, const struct numbers *numbers);
/* The six quantiles of Kafka's histograms, each value times `unit`. labels() writes the labels; may be NULL. */
void expose_quantiles(struct exposition *e, const struct histogram *now, uint64_t total, const struct histogram *before, uint64_t before_total,
                      double unit, const char *label, const char *value);
/* Share of the time that a shard slept. */
double numbers_idle_share(const struct numbers *numbers, int shard);

#endif
