/* What config.c shares with the files that read listeners and check values against each other. */
#ifndef METADATA_CONFIG_INTERNAL_H
#define METADATA_CONFIG_INTERNAL_H

#include "metadata/config.h"

/* Where the value of a key comes from ("server.properties:12"); NULL: nobody set it. */
const char *config_where(const struct broker_config *config, const char *key);
/* Adds the one line that stops the start: where, value, key, and why. Gives INVALID. */
enum err config_refuse(const struct broker_config *config, const char *key, struct buf *error, const char *why, ...)
    MUST_USE __attribute__((format(printf, 4, 5)));

/* config_listeners.c: listeners, advertised.listeners, listener.security.protocol.map, controller.listener.names. */
enum err config_read_listeners(struct broker_config *config, struct buf *error) MUST_USE;
/* config_validate.c: what Kafka checks across keys when it starts. */
enum err config_validate(const struct broker_config *config, struct buf *error) MUST_USE;

/* config_broker_docs.c; NULL: none. */
const char *config_broker_documentation(const char *name);

#endif
