/* Client metrics subscriptions (KIP-714): which clients a subscription's `match` means. A match is a comma-separated list
 * of attribute=pattern; all must hold, and a pattern must match the whole value. Patterns are POSIX extended regular
 * expressions with \d added: Java's, but for what only Java has (lookaround, lazy quantifiers' side effects, flags). */
#ifndef METADATA_CLIENT_METRICS_H
#define METADATA_CLIENT_METRICS_H

#include "base/slice.h"

enum { CLIENT_METRICS_INTERVAL_DEFAULT_MS = 300000 };

struct client_attributes { /* null: not known, matches nothing */
    struct slice instance_id, client_id, software_name, software_version, source_address, source_port;
};
/* Is this item of a match what Kafka takes: a known attribute, one '=', a pattern that compiles? */
bool client_match_is_valid(struct slice item);
bool client_match(struct slice match, const struct client_attributes *client);

#endif
