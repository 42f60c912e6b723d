/* Which broker settings may be changed while it runs, and at which level (KIP-226). */
#ifndef METADATA_CONFIG_DYNAMIC_H
#define METADATA_CONFIG_DYNAMIC_H

#include "base/slice.h"

struct config_def;

enum config_scope { CONFIG_READ_ONLY, CONFIG_PER_BROKER, CONFIG_CLUSTER_WIDE };
enum config_scope config_dynamic_scope(struct slice name);
const struct config_def *config_find_dynamic_only(struct slice name); /* a setting that is no setting of the file, or NULL */
/* "listener.name.x.key": takes the prefix off. False: there is none. */
bool config_strip_listener(struct slice *name);
/* Key and trust stores: only with a listener prefix. */
bool config_needs_listener(struct slice name);

#endif
