#include "coordinator/streams_settings.h"

#include <stdio.h>

#include "base/mem.h"
#include "metadata/config_check.h"

typedef struct streams_group_metadata_value_last_assignment_config config;

int64_t streams_setting(const struct coordinator *coordinator, struct slice group, const char *key) {
    char group_key[64], broker_key[64];
    snprintf(group_key, sizeof group_key, "streams.%s", key);
    snprintf(broker_key, sizeof broker_key, "group.streams.%s", key);
    return coordinator_group_config_int(coordinator, group, group_key, broker_key);
}

static struct slice own_setting(const struct coordinator *coordinator, struct slice group, const char *key) {
    return image_config(coordinator->host->image, CONFIG_RESOURCE_GROUP, group, slice_str(key));
}

struct slice streams_required_tags(const struct coordinator *coordinator, struct slice group, struct arena *arena) {
    struct slice list = own_setting(coordinator, group, "streams.rack.aware.assignment.tags"), item;
    if (!list.ptr)
        list = broker_config_get(coordinator->host->config, "group.streams.rack.aware.assignment.tags");
    const char *text = "";
    while (config_list_next(&list, &item)) /* without the blanks that were written between them */
        text = arena_printf(arena, "%s%s%.*s", text, *text ? "," : "", SLICE_FMT(item));
    return slice_str(text);
}

struct slice streams_missing_assignor(const struct coordinator *coordinator, struct slice group) {
    struct slice name = own_setting(coordinator, group, "streams.assignor.name");
    return name.ptr && !slice_eq_str(name, STREAMS_ASSIGNOR) ? name : SLICE_NULL;
}

struct streams_configs streams_configs_now(const struct coordinator *coordinator, struct slice group, struct arena *arena) {
    struct streams_configs configs = {0, arena_array(arena, config, 2)};
    struct slice tags = streams_required_tags(coordinator, group, arena);
    configs.pairs[configs.count++] = (config){
        SLICE_LIT("num.standby.replicas"), slice_str(arena_printf(arena, "%lld", (long long)streams_setting(coordinator, group, "num.standby.replicas")))};
    if (tags.size)
        configs.pairs[configs.count++] = (config){SLICE_LIT("rack.aware.assignment.tags"), tags};
    return configs;
}

bool streams_configs_equal(const struct streams_configs *a, const struct streams_configs *b) {
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (!slice_eq(a->pairs[i].key, b->pairs[i].key) || !slice_eq(a->pairs[i].value, b->pairs[i].value))
            return false;
    return true;
}

int streams_configs_int(const struct streams_configs *configs, const char *key) {
    for (int i = 0; i < configs->count; i++)
        if (slice_eq_str(configs->pairs[i].key, key))
            return (int)config_int(configs->pairs[i].value);
    return 0;
}

static struct slice copy_text(uint8_t **at, struct slice text) {
    struct slice copy = slice_of(*at, text.size);
    if (text.size)
        memcpy(*at, text.ptr, text.size);
    *at += text.size;
    return copy;
}

struct streams_configs streams_configs_own(const struct streams_configs *configs) {
    if (configs->count <= 0)
        return (struct streams_configs){0};
    size_t size = sizeof(config) * (size_t)configs->count;
    for (int i = 0; i < configs->count; i++)
        size += configs->pairs[i].key.size + configs->pairs[i].value.size;
    struct streams_configs own = {configs->count, mem_alloc(size)};
    uint8_t *text = (uint8_t *)(own.pairs + own.count);
    for (int i = 0; i < configs->count; i++) {
        own.pairs[i].key = copy_text(&text, configs->pairs[i].key);
        own.pairs[i].value = copy_text(&text, configs->pairs[i].value);
    }
    return own;
}
