/* What clients measure of themselves (KIP-714): who they are, what they are asked for, what they have pushed last.
 *
 * Lives on shard 0; others send it shard calls. A client instance is known until it has been silent for three of its
 * intervals (at least a minute) or its connection ends; its numbers stay that long after it, so that a scrape sees the last
 * push of a client that ends. Bounded: TELEMETRY_CLIENTS_MAX clients, least recently heard of first, and
 * myelin.metrics.client.series.max series in all: those of later clients are dropped and counted. */
#ifndef BROKER_TELEMETRY_H
#define BROKER_TELEMETRY_H

#include "broker/broker.h"
#include "broker/otlp.h"
#include "metadata/client_metrics.h"

enum { TELEMETRY_CLIENTS_MAX = 16384 };

struct telemetry;
struct telemetry *telemetry_create(struct broker_shard *shard);
void telemetry_destroy(struct telemetry *telemetry);
/* The image says that some subscription changed. */
void telemetry_subscriptions_changed(struct telemetry *telemetry);

/* What a client asks for; the answer in the arena. Kafka's error code; 0: fine. */
struct telemetry_subscription {
    int32_t id, interval_ms;
    struct slice *metrics; /* prefixes of names; "*": all */
    int metric_count;
};
int16_t telemetry_get(struct telemetry *telemetry, struct uuid instance, const struct client_attributes *client, struct arena *arena,
                      struct telemetry_subscription *ret_subscription);
struct telemetry_push {
    struct uuid instance;
    int32_t subscription_id;
    int8_t compression;
    bool terminating;
    size_t size;
};
/* May it be taken? */
int16_t telemetry_check_push(struct telemetry *telemetry, const struct telemetry_push *push, const struct client_attributes *client);
/* It was read: its samples, or that it could not be. */
void telemetry_pushed(struct telemetry *telemetry, struct uuid instance, const struct otlp_sample *samples, int count, bool bad);
void telemetry_disconnected(struct telemetry *telemetry, struct uuid instance);

/* For /metrics. Copies, in the arena. */
struct telemetry_series {
    const char *name;
    const char *labels; /* key, value, key, value, ..., each with its NUL; an empty key ends them */
    bool counter;
    double value;
};
struct telemetry_numbers {
    struct telemetry_series *series;
    int count;
    int64_t clients;
    uint64_t pushes, series_dropped;
};
void telemetry_collect(struct telemetry *telemetry, struct arena *arena, struct telemetry_numbers *ret_numbers);

#endif
