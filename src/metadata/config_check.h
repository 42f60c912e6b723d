/* Whether a value is one that Kafka takes for a configuration key, in Kafka's words. Used where a file, a request or a
 * command brings a value. */
#ifndef METADATA_CONFIG_CHECK_H
#define METADATA_CONFIG_CHECK_H

#include "base/buf.h"
#include "base/err.h"
#include "protocol/config_defs.h"

/* NULL: no such key. */
const struct config_def *config_find(const struct config_def *defs, int count, struct slice name);
/* INVALID puts Kafka's text into *ret_reason: "Invalid value V for configuration N: R". */
enum err config_check(const struct config_def *def, struct slice value, struct buf *ret_reason) MUST_USE;
bool config_parse_int32(struct slice value, int32_t *ret) MUST_USE;
bool config_eq_no_case(struct slice a, struct slice b);
/* Of values that were checked. */
int64_t config_int(struct slice value);
double config_double(struct slice value);
bool config_bool(struct slice value);
/* Does a comma-separated list hold the item? */
bool config_list_has(struct slice list, const char *item);
bool config_list_has_duplicates(struct slice list);
/* Takes the next item off a comma-separated list, blanks around it dropped. False at the end. */
bool config_list_next(struct slice *list, struct slice *ret_item);

#endif
