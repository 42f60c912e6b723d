/* Records as JSON: those of users, and those that the cluster keeps about itself, decoded by the kind of log they stand
 * in. What cannot be decoded comes as {"error": why, "base64": bytes}. */
#ifndef CLI_RECORD_JSON_H
#define CLI_RECORD_JSON_H

#include <jansson.h>
#include "base/slice.h"
#include "protocol/batch.h"

enum record_family {
    RECORDS_OF_USERS,
    RECORDS_OF_METADATA,
    RECORDS_OF_GROUPS,
    RECORDS_OF_TRANSACTIONS,
    RECORDS_OF_SHARE_GROUPS,
    RECORDS_OF_REMOTE_STORAGE,
};
/* By the name of the topic, or of its partition's directory. */
enum record_family record_family_of(struct slice topic);
/* {"offset", "timestamp", "key", "value", "headers"}; of control records {"offset", "control", "value"}. */
json_t *record_json(enum record_family family, const struct record *record, bool is_control);
/* Does a framed metadata record decode to its last byte? OK, UNSUPPORTED (unknown type or version), CORRUPT. */
enum err metadata_record_check(struct slice value) MUST_USE;

#endif
