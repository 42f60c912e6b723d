#include "metadata/features.h"

#include <string.h>

int16_t features_latest_metadata_version(void) {
    int16_t latest = METADATA_VERSION_MIN;
    for (int i = 0; i < metadata_version_def_count; i++)
        if (metadata_version_defs[i].latest_production)
            latest = (int16_t)metadata_version_defs[i].level;
    return latest;
}

const char *metadata_version_name(int16_t level) {
    for (int i = 0; i < metadata_version_def_count; i++)
        if (metadata_version_defs[i].level == level)
            return metadata_version_defs[i].name;
    return NULL;
}

int16_t metadata_version_parse(struct slice name) {
    int16_t found = 0;
    for (int i = 0; i < metadata_version_def_count; i++) {
        const char *full = metadata_version_defs[i].name;
        bool release = strncmp(full, (const char *)name.ptr, name.size) == 0 && full[name.size] == '-';
        if ((slice_eq_str(name, full) || release) && metadata_version_defs[i].level > found)
            found = (int16_t)metadata_version_defs[i].level;
    }
    return found;
}

int features_supported(struct feature_range ranges[FEATURES_MAX]) {
    int count = 0;
    ranges[count++] = (struct feature_range){FEATURE_METADATA_VERSION, METADATA_VERSION_MIN, features_latest_metadata_version()};
    for (int i = 0; i < feature_def_count; i++)
        if (feature_defs[i].latest_production && feature_defs[i].level > 0)
            ranges[count++] = (struct feature_range){feature_defs[i].name, 0, (int16_t)feature_defs[i].level};
    return count;
}

int16_t feature_default(const char *name, int16_t metadata_version) {
    int16_t level = 0;
    for (int i = 0; i < feature_def_count; i++)
        if (strcmp(feature_defs[i].name, name) == 0 &&
            metadata_version_parse(slice_str(feature_defs[i].metadata_version)) <= metadata_version)
            level = (int16_t)feature_defs[i].level;
    return level;
}
