#include "broker/connections.h"

#include <stdio.h>
#include "base/mem.h"
#include "base/trace.h"
#include "broker/shard_call.h"
#include "metadata/config_check.h"

struct address { /* connections from one address */
    struct map_node node;
    char text[64];
    int count;
};
struct connections {
    struct broker *broker;
    struct map addresses;
    int64_t count, max;
    int64_t per_ip_max;
    struct slice overrides;
    bool paused;
};

struct admission {
    struct shard_call call;
    struct conn *conn;
    char peer[64];
    bool fine, leaving;
    void (*answered)(struct conn *conn, bool fine);
};

struct connections *connections_create(struct broker *broker) {
    struct connections *connections = mem_new(struct connections);
    connections->broker = broker;
    connections->max = broker_config_int(broker->config, "max.connections");
    connections->per_ip_max = broker_config_int(broker->config, "max.connections.per.ip");
    connections->overrides = broker_config_get(broker->config, "max.connections.per.ip.overrides");
    return connections;
}

void connections_destroy(struct connections *connections) {
    if (!connections)
        return;
    map_each_safe(node, &connections->addresses)
        mem_free(container_of(node, struct address, node));
    map_deinit(&connections->addresses);
    mem_free(connections);
}

static bool address_is(const struct map_node *node, const void *key) {
    return strcmp(container_of(node, struct address, node)->text, key) == 0;
}

static struct address *get_address(struct connections *connections, const char *text) {
    uint64_t hash = hash_bytes(text, strlen(text));
    struct map_node *node = map_find(&connections->addresses, hash, address_is, text);
    if (node)
        return container_of(node, struct address, node);
    struct address *address = mem_new(struct address);
    snprintf(address->text, sizeof address->text, "%s", text);
    map_insert(&connections->addresses, &address->node, hash);
    return address;
}

static int64_t address_max(const struct connections *connections, const char *text) {
    struct slice rest = connections->overrides, item;
    size_t size = strlen(text);
    while (config_list_next(&rest, &item))
        if (item.size > size && memcmp(item.ptr, text, size) == 0 && item.ptr[size] == ':')
            return config_int(slice_of(item.ptr + size + 1, item.size - size - 1));
    return connections->per_ip_max;
}

static void pause_if_full(struct connections *connections) {
    bool full = connections->count >= connections->max;
    if (full == connections->paused)
        return;
    connections->paused = full;
    if (full)
        trace_warn("broker", "max.connections reached", TRACE_INT("connections", connections->count));
    for (int i = 0; i < connections->broker->config->listener_count; i++)
        if (connections->broker->listeners[i].listener)
            listener_pause(connections->broker->listeners[i].listener, full);
}

static void count_on_shard_0(struct shard_call *call) {
    struct admission *admission = container_of(call, struct admission, call);
    struct connections *connections = call->at->broker->connections;
    struct address *address = get_address(connections, admission->peer);
    if (admission->leaving) {
        connections->count--;
        if (--address->count == 0) {
            map_remove(&connections->addresses, &address->node);
            mem_free(address);
        }
    } else if (address->count < address_max(connections, admission->peer)) {
        admission->fine = true;
        address->count++;
        connections->count++;
    } else if (!address->count) {
        map_remove(&connections->addresses, &address->node);
        mem_free(address);
    }
    pause_if_full(connections);
    shard_call_return(call);
}

static void counted(struct shard_call *call) {
    struct admission *admission = container_of(call, struct admission, call);
    if (!admission->leaving)
        admission->answered(admission->conn, admission->fine);
    mem_free(admission);
}

static void count(struct conn *conn, bool leaving, void (*answered)(struct conn *conn, bool fine)) {
    struct admission *admission = mem_new(struct admission);
    admission->call = (struct shard_call){
        .home = conn->shard, .at = &conn->shard->broker->shards[0], .run = count_on_shard_0, .back = counted};
    admission->conn = conn;
    memcpy(admission->peer, conn->peer, sizeof admission->peer);
    admission->leaving = leaving;
    admission->answered = answered;
    shard_call_send(&admission->call);
}

void connections_admit(struct conn *conn, void (*answered)(struct conn *conn, bool fine)) {
    count(conn, false, answered);
}
void connections_gone(struct conn *conn) {
    count(conn, true, NULL);
}
