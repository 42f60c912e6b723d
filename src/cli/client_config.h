/* The properties of a Kafka client (Java's names) as settings of a wire and of librdkafka. */
#ifndef CLI_CLIENT_CONFIG_H
#define CLI_CLIENT_CONFIG_H

#include "cli/client.h"

/* Reads the file (NULL: none) into client->properties and client->security. One line in `error` on failure. */
enum err client_config_read(struct client *client, const char *file, struct buf *error) MUST_USE;
/* Sets what the file says, bootstrap.servers, and the defaults (NAME, VALUE, ..., NULL) that it does not. Properties
 * that only the other kind of client has, or that mean nothing here, are passed over. */
enum err client_config_apply(struct client *client, rd_kafka_conf_t *conf, bool producer, const char *const *defaults,
                             struct buf *error) MUST_USE;
/* The value of `name="..."` in a sasl.jaas.config, in the arena; NULL: not there. */
const char *jaas_option(struct arena *arena, const char *jaas, const char *name);

#endif
