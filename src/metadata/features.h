/* Feature levels: what this program supports, and what a new cluster begins with. */
#ifndef METADATA_FEATURES_H
#define METADATA_FEATURES_H

#include "base/slice.h"
#include "protocol/config_defs.h"

#define FEATURE_METADATA_VERSION "metadata.version"
#define FEATURE_KRAFT_VERSION "kraft.version"
#define FEATURE_TRANSACTION_VERSION "transaction.version"
#define FEATURE_ELR "eligible.leader.replicas.version"

enum { FEATURES_MAX = 16, METADATA_VERSION_MIN = 7 };

struct feature_range {
    const char *name;
    int16_t min, max;
};
/* Every feature with the levels that this program can work at; the count. */
int features_supported(struct feature_range ranges[FEATURES_MAX]);
/* The metadata.version of a new cluster. */
int16_t features_latest_metadata_version(void);
/* The level that a feature has in a new cluster of that metadata.version; 0: none. */
int16_t feature_default(const char *name, int16_t metadata_version);
/* "4.3-IV0" of 30; NULL: no such level. */
const char *metadata_version_name(int16_t level);
/* The level of "4.3-IV0", or the highest of "4.3"; 0: no such version. */
int16_t metadata_version_parse(struct slice name);

#endif
