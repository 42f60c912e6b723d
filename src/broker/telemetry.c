/* A client: UNKNOWN --get or push--> KNOWN --silence, disconnect--> LEFT (numbers only) --silence--> gone */
#include "broker/telemetry.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/crc32c.h"
#include "base/mem.h"
#include "metadata/config_check.h"
#include "protocol/compress.h"
#include "protocol/errors.h"

enum { EXPIRY_MIN_MS = 60000, NAME_MAX_SIZE = 200, LABEL_MAX_SIZE = 200 };

struct series {
    struct map_node node;
    struct list in_client;
    char *name, *labels;
    size_t labels_size;
    bool counter;
    double value;
};
struct client {
    struct map_node node;
    struct list used;       /* least recently heard of first */
    struct heap_node expiry;
    struct uuid id;
    char client_id[LABEL_MAX_SIZE];
    /* while it is known */
    bool known, terminating;
    uint64_t version;       /* of the subscriptions that the next three come from */
    int32_t subscription_id, interval_ms;
    struct buf metrics;     /* comma-separated */
    int64_t last_get_ms, last_push_ms;
    int16_t last_error;
    struct map series;
    struct list series_list;
};
struct telemetry {
    struct broker_shard *shard;
    struct map clients;
    struct list used;
    struct heap expiries;
    uint64_t version;
    int64_t series_count, series_max;
    int64_t bytes_max;
    uint64_t pushes, series_dropped;
};

struct telemetry *telemetry_create(struct broker_shard *shard) {
    struct telemetry *telemetry = mem_new(struct telemetry);
    telemetry->shard = shard;
    telemetry->series_max = shard->broker->config->metrics_client_series_max;
    telemetry->bytes_max = broker_config_int(shard->broker->config, "telemetry.max.bytes");
    telemetry->version = 1;
    list_init(&telemetry->used);
    return telemetry;
}

void telemetry_subscriptions_changed(struct telemetry *telemetry) {
    telemetry->version++;
}

/* ---- clients --------------------------------------------------------------------------------------------------------- */

static bool client_is(const struct map_node *node, const void *key) {
    return uuid_eq(container_of(node, struct client, node)->id, *(const struct uuid *)key);
}
static struct client *find_client(const struct telemetry *telemetry, struct uuid id) {
    struct map_node *node = map_find(&telemetry->clients, uuid_hash(id), client_is, &id);
    return node ? container_of(node, struct client, node) : NULL;
}

static void drop_series(struct telemetry *telemetry, struct client *client) {
    struct list *node;
    while ((node = list_pop_front(&client->series_list))) {
        struct series *series = container_of(node, struct series, in_client);
        mem_free(series->name);
        mem_free(series->labels);
        mem_free(series);
        telemetry->series_count--;
    }
    map_deinit(&client->series);
    client->series = (struct map){0};
}

static void drop_client(struct telemetry *telemetry, struct client *client) {
    drop_series(telemetry, client);
    map_remove(&telemetry->clients, &client->node);
    list_remove(&client->used);
    heap_remove(&telemetry->expiries, &client->expiry);
    buf_deinit(&client->metrics);
    mem_free(client);
}

void telemetry_destroy(struct telemetry *telemetry) {
    if (!telemetry)
        return;
    while (!list_is_empty(&telemetry->used))
        drop_client(telemetry, container_of(telemetry->used.next, struct client, used));
    map_deinit(&telemetry->clients);
    heap_deinit(&telemetry->expiries);
    mem_free(telemetry);
}

static void expire(struct telemetry *telemetry) {
    uint64_t now = shard_now_ns(telemetry->shard->shard);
    for (struct heap_node *node; (node = heap_min(&telemetry->expiries)) && node->key <= now;)
        drop_client(telemetry, container_of(node, struct client, expiry));
}

static void touch(struct telemetry *telemetry, struct client *client) {
    int64_t ms = 3 * (int64_t)client->interval_ms;
    ms = ms > EXPIRY_MIN_MS ? ms : EXPIRY_MIN_MS;
    heap_remove(&telemetry->expiries, &client->expiry);
    heap_insert(&telemetry->expiries, &client->expiry, shard_now_ns(telemetry->shard->shard) + (uint64_t)ms * NS_PER_MS);
    list_remove(&client->used);
    list_push_back(&telemetry->used, &client->used);
}

/* ---- subscriptions --------------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b) {
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* The metrics of all subscriptions that mean the client, each once and in order; "*" alone when any has it. */
static void subscribe(struct telemetry *telemetry, struct client *client, const struct client_attributes *attributes) {
    const struct image *image = telemetry->shard->image;
    struct buf names = {0};
    client->interval_ms = CLIENT_METRICS_INTERVAL_DEFAULT_MS;
    int count = 0;
    map_each(node, &image->resources) {
        const struct image_resource *resource = container_of(node, struct image_resource, node);
        if (resource->type != CONFIG_RESOURCE_CLIENT_METRICS || !resource->count)
            continue;
        struct slice match = image_config(image, resource->type, resource->name, SLICE_LIT("match"));
        if (!client_match(match, attributes))
            continue;
        struct slice interval = image_config(image, resource->type, resource->name, SLICE_LIT("interval.ms")), item;
        if (interval.ptr && config_int(interval) < client->interval_ms)
            client->interval_ms = (int32_t)config_int(interval);
        struct slice metrics = image_config(image, resource->type, resource->name, SLICE_LIT("metrics"));
        while (config_list_next(&metrics, &item))
            if (item.size) {
                buf_add(&names, &item, sizeof item);
                count++;
            }
    }
    struct slice *items = (struct slice *)(void *)names.ptr;
    if (count)
        qsort(items, (size_t)count, sizeof *items, by_text);
    buf_clear(&client->metrics);
    for (int i = 0; i < count; i++) {
        if (slice_eq_str(items[i], "*")) {
            buf_clear(&client->metrics);
            buf_add_byte(&client->metrics, '*');
            break;
        }
        if (i && slice_eq(items[i], items[i - 1]))
            continue;
        if (client->metrics.size)
            buf_add_byte(&client->metrics, ',');
        buf_add_slice(&client->metrics, items[i]);
    }
    buf_deinit(&names);
    uint64_t x = client->id.msb ^ client->id.lsb;
    char interval_text[16];
    snprintf(interval_text, sizeof interval_text, "%d", (int)client->interval_ms);
    uint32_t crc = crc32c(0, client->metrics.ptr ? client->metrics.ptr : (const uint8_t *)"", client->metrics.size);
    client->subscription_id = (int32_t)(crc32c(crc, interval_text, strlen(interval_text)) ^ (uint32_t)(x >> 32) ^ (uint32_t)x);
}

/* The client, heard of just now; with new subscriptions it begins anew. */
static struct client *get_client(struct telemetry *telemetry, struct uuid id, const struct client_attributes *attributes) {
    expire(telemetry);
    struct client *client = find_client(telemetry, id);
    if (!client) {
        if (telemetry->clients.count >= TELEMETRY_CLIENTS_MAX)
            drop_client(telemetry, container_of(telemetry->used.next, struct client, used));
        client = mem_new(struct client);
        client->id = id;
        list_init(&client->used);
        list_init(&client->series_list);
        map_insert(&telemetry->clients, &client->node, uuid_hash(id));
    }
    if (!client->known || client->version != telemetry->version) {
        client->known = true;
        client->terminating = false;
        client->version = telemetry->version;
        client->last_get_ms = client->last_push_ms = 0;
        client->last_error = 0;
        snprintf(client->client_id, sizeof client->client_id, "%.*s", SLICE_FMT(attributes->client_id));
        subscribe(telemetry, client, attributes);
    }
    touch(telemetry, client);
    return client;
}

void telemetry_disconnected(struct telemetry *telemetry, struct uuid instance) {
    struct client *client = find_client(telemetry, instance);
    if (client)
        client->known = false;
}

/* ---- requests -------------------------------------------------------------------------------------------------------- */

int16_t telemetry_get(struct telemetry *telemetry, struct uuid instance, const struct client_attributes *attributes, struct arena *arena,
                      struct telemetry_subscription *ret_subscription) {
    struct client *client = get_client(telemetry, instance, attributes);
    int64_t now = shard_wall_ms(telemetry->shard->shard);
    int64_t last = client->last_get_ms > client->last_push_ms ? client->last_get_ms : client->last_push_ms;
    if (now - last >= client->interval_ms)
        client->last_get_ms = now;
    else if (client->last_error != KAFKA_UNKNOWN_SUBSCRIPTION_ID && client->last_error != KAFKA_UNSUPPORTED_COMPRESSION_TYPE)
        return KAFKA_THROTTLING_QUOTA_EXCEEDED;
    client->last_error = 0;
    *ret_subscription = (struct telemetry_subscription){.id = client->subscription_id, .interval_ms = client->interval_ms};
    struct slice rest = arena_slice(arena, buf_slice(&client->metrics)), item;
    ret_subscription->metrics = arena_array(arena, struct slice, rest.size / 2 + 1);
    while (config_list_next(&rest, &item))
        if (item.size)
            ret_subscription->metrics[ret_subscription->metric_count++] = item;
    return 0;
}

static int16_t check_push(struct telemetry *telemetry, struct client *client, const struct telemetry_push *push) {
    int64_t now = shard_wall_ms(telemetry->shard->shard);
    if (client->terminating)
        return KAFKA_INVALID_REQUEST;
    /* The first push after a get is in time whenever it comes: clients spread theirs. */
    bool in_time = client->last_get_ms > client->last_push_ms || now - client->last_push_ms >= client->interval_ms;
    if (in_time)
        client->last_push_ms = now;
    else if (!push->terminating)
        return KAFKA_THROTTLING_QUOTA_EXCEEDED;
    if (push->subscription_id != client->subscription_id)
        return KAFKA_UNKNOWN_SUBSCRIPTION_ID;
    if (push->compression < 0 || push->compression >= CODEC_COUNT)
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    return (int64_t)push->size > telemetry->bytes_max ? KAFKA_TELEMETRY_TOO_LARGE : 0;
}

int16_t telemetry_check_push(struct telemetry *telemetry, const struct telemetry_push *push, const struct client_attributes *attributes) {
    struct client *client = get_client(telemetry, push->instance, attributes);
    client->last_error = check_push(telemetry, client, push);
    client->terminating = push->terminating;
    return client->last_error;
}

/* ---- series ---------------------------------------------------------------------------------------------------------- */

static bool is_name_char(uint8_t c, bool colon) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (colon && c == ':');
}

/* Under a prefix of their own, so that no client can speak for the broker. */
static char *series_name(const struct otlp_sample *sample) {
    struct slice name = sample->name;
    static const char common[] = "org.apache.kafka.";
    if (name.size > sizeof common && memcmp(name.ptr, common, sizeof common - 1) == 0)
        name = slice_of(name.ptr + sizeof common - 1, name.size - (sizeof common - 1));
    if (name.size > NAME_MAX_SIZE)
        name.size = NAME_MAX_SIZE;
    char *text = mem_printf("kafka_client_%.*s%s", SLICE_FMT(name), sample->suffix);
    for (char *c = text; *c; c++)
        if (!is_name_char((uint8_t)*c, true))
            *c = '_';
    return text;
}

static bool has_label(const struct buf *labels, const char *key) {
    const char *at = (const char *)labels->ptr, *end = at + labels->size;
    for (; at < end; at += strlen(at) + 1) {
        if (strcmp(at, key) == 0)
            return true;
        at += strlen(at) + 1;
    }
    return false;
}

static void add_text(struct buf *buf, struct slice text) { /* with its NUL; bytes behind one in it are dropped */
    size_t size = strnlen((const char *)text.ptr, text.size < LABEL_MAX_SIZE ? text.size : LABEL_MAX_SIZE);
    buf_add(buf, text.ptr, size);
    buf_add_byte(buf, 0);
}

static void add_label(struct buf *labels, struct slice key, struct slice value) {
    char name[64];
    size_t size = key.size < sizeof name - 2 ? key.size : sizeof name - 2, at = 0;
    if (size && key.ptr[0] >= '0' && key.ptr[0] <= '9')
        name[at++] = '_';
    for (size_t i = 0; i < size; i++)
        name[at++] = is_name_char(key.ptr[i], false) ? (char)key.ptr[i] : '_';
    name[at] = 0;
    if (!at || strncmp(name, "__", 2) == 0 || has_label(labels, name)) /* two underscores are Prometheus' own */
        return;
    add_text(labels, slice_str(name));
    add_text(labels, value);
}

static void make_labels(const struct client *client, const struct otlp_sample *sample, struct buf *labels) {
    char id[UUID_TEXT_SIZE];
    add_label(labels, SLICE_LIT("client_instance_id"), slice_str(uuid_text(client->id, id)));
    add_label(labels, SLICE_LIT("client_id"), slice_str(client->client_id));
    for (int i = 0; i < sample->attribute_count; i++)
        add_label(labels, sample->attributes[i].key, sample->attributes[i].value);
    buf_add_byte(labels, 0); /* an empty key: the end */
}

struct series_key {
    const char *name;
    struct slice labels;
};
static bool series_is(const struct map_node *node, const void *key) {
    const struct series *series = container_of(node, struct series, node);
    const struct series_key *k = key;
    return strcmp(series->name, k->name) == 0 && slice_eq(slice_of(series->labels, series->labels_size), k->labels);
}

static void take_sample(struct telemetry *telemetry, struct client *client, const struct otlp_sample *sample) {
    struct buf labels = {0};
    char *name = series_name(sample);
    make_labels(client, sample, &labels);
    struct series_key key = {name, buf_slice(&labels)};
    uint64_t hash = hash_slice(slice_str(name)) ^ hash_u64(hash_slice(key.labels));
    struct map_node *node = map_find(&client->series, hash, series_is, &key);
    struct series *series = node ? container_of(node, struct series, node) : NULL;
    if (!series && telemetry->series_count < telemetry->series_max) {
        series = mem_new(struct series);
        series->name = name;
        series->labels = (char *)labels.ptr;
        series->labels_size = labels.size;
        map_insert(&client->series, &series->node, hash);
        list_push_back(&client->series_list, &series->in_client);
        telemetry->series_count++;
        name = NULL;
        labels = (struct buf){0};
    }
    mem_free(name);
    buf_deinit(&labels);
    if (!series) {
        telemetry->series_dropped++;
        return;
    }
    series->counter = sample->counter;
    series->value = sample->counter && sample->delta ? series->value + sample->value : sample->value;
}

void telemetry_pushed(struct telemetry *telemetry, struct uuid instance, const struct otlp_sample *samples, int count, bool bad) {
    struct client *client = find_client(telemetry, instance);
    if (!client)
        return;
    client->last_error = bad ? KAFKA_INVALID_RECORD : 0;
    telemetry->pushes += !bad;
    for (int i = 0; i < count; i++)
        take_sample(telemetry, client, &samples[i]);
}

void telemetry_collect(struct telemetry *telemetry, struct arena *arena, struct telemetry_numbers *ret_numbers) {
    expire(telemetry);
    struct telemetry_series *copies = arena_array(arena, struct telemetry_series, telemetry->series_count + 1);
    int count = 0;
    list_each(client_node, &telemetry->used) {
        const struct client *client = container_of(client_node, struct client, used);
        list_each(node, &client->series_list) {
            const struct series *series = container_of(node, struct series, in_client);
            copies[count++] = (struct telemetry_series){
                .name = (const char *)arena_slice(arena, slice_str(series->name)).ptr,
                .labels = (const char *)arena_slice(arena, slice_of(series->labels, series->labels_size)).ptr,
                .counter = series->counter,
                .value = series->value};
        }
    }
    *ret_numbers = (struct telemetry_numbers){.series = copies, .count = count, .clients = (int64_t)telemetry->clients.count,
                                              .pushes = telemetry->pushes, .series_dropped = telemetry->series_dropped};
}
