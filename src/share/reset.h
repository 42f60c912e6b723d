/* share.auto.offset.reset: "latest", "earliest", "by_duration:PnDTnHnMn.nS". */
#ifndef SHARE_RESET_H
#define SHARE_RESET_H

#include "base/slice.h"

/* False: it is not a duration as Java's Duration.parse() reads it, or negative, or too long. */
bool share_reset_duration(struct slice reset, int64_t *ret_ms);

#endif
