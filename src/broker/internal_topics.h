/* The internal topics of Kafka Streams applications (repartition topics, changelogs): made when a member's heartbeat finds
 * them missing. Who asks does not wait; why a topic could not be made is remembered for a while and told with the next
 * heartbeats. Each shard remembers its own; two that ask at once do no harm. */
#ifndef BROKER_INTERNAL_TOPICS_H
#define BROKER_INTERNAL_TOPICS_H

#include "broker/broker.h"
#include "coordinator/streams_topology.h"

/* Asks the controller for those that are not on their way and have not failed just now. Failures count for error_ms. */
void internal_topics_create(struct broker_shard *shard, const struct streams_internal_topic *topics, int count, int64_t error_ms);
/* Why creating the topic failed; NULL: it did not. Valid during the turn. */
const char *internal_topics_error(struct broker_shard *shard, struct slice topic);
void internal_topics_free(struct broker_shard *shard);

#endif
