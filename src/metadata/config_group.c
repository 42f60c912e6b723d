/* Settings of groups: each lies between group.KIND.min.REST and group.KIND.max.REST of the broker, where those are. */
#include <stdio.h>

#include "metadata/config.h"
#include "metadata/config_check.h"

bool config_group_bound(struct slice key, bool upper, char name[CONFIG_GROUP_NAME_MAX]) {
    const uint8_t *dot = memchr(key.ptr, '.', key.size);
    if (!dot)
        return false;
    int kind = (int)(dot - key.ptr);
    struct slice rest = slice_of(dot + 1, key.size - (size_t)kind - 1);
    if (upper && (slice_eq_str(key, "streams.num.standby.replicas") || slice_eq_str(key, "streams.num.warmup.replicas"))) {
        rest.ptr += 4; /* group.streams.max.standby.replicas, without "num." */
        rest.size -= 4;
    }
    int size = snprintf(name, CONFIG_GROUP_NAME_MAX, "group.%.*s.%s.%.*s", kind, (const char *)key.ptr, upper ? "max" : "min", SLICE_FMT(rest));
    return size < CONFIG_GROUP_NAME_MAX && config_find(broker_config_defs, broker_config_def_count, slice_str(name));
}

int64_t config_group_clamp(const struct broker_config *config, struct slice key, int64_t value) {
    char name[CONFIG_GROUP_NAME_MAX];
    if (config_group_bound(key, false, name) && value < broker_config_int(config, name))
        value = broker_config_int(config, name);
    if (config_group_bound(key, true, name) && value > broker_config_int(config, name))
        value = broker_config_int(config, name);
    return value;
}
