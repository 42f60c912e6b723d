/* Which broker settings may be changed while it runs, and at which level (KIP-226). */
#ifndef METADATA_CONFIG_DYNAMIC_H
#define METADATA_CONFIG_DYNAMIC_H

#include "base/slice.h"

enum config_scope { CONFIG_READ_ONLY, CONFIG_PER_BROKER, CONFIG_CLUSTER_WIDE };
enum config_scope config_dynamic_scope(struct slice name);
/* "listener.name.x.key": takes the prefix off. False: there is none. */
bool config_strip_listener(struct slice *name);
/* Key and trust stores: only with a listener prefix. */
bool config_needs_listener(struct slice name);

#endif
