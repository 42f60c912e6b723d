/* Topics that are made because a client asked about them (auto.create.topics.enable). */
#ifndef BROKER_AUTO_CREATE_H
#define BROKER_AUTO_CREATE_H

#include "broker/broker.h"

/* Asks the controller, to whom a topic that is there already is no news. The client is told that there is no such topic, and asks again. */
void auto_create_topic(struct broker_shard *shard, struct slice name);

#endif
