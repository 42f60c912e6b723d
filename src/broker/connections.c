#include "broker/connections.h"

#include <stdio.h>
#include "base/mem.h"
#include "base/trace.h"
#include "broker/shard_call.h"
#include "metadata/config_check.h"

/* Connections may come ten seconds ahead of max.connection.creation.rate after a pause. */
enum { RATE_AHEAD_S = 10 };

struct address { /* connections from one address */
    struct map_node node;
    char text[64];
    int count;
};
struct limits { /* of the broker, and of each listener */
    int64_t count, max;
    uint64_t cost_ns, spent_ns; /* of one connection; how far time is used up, on the clock of the shard */
};
struct connections {
    struct broker *broker;
    struct map addresses;
    struct limits all, listeners[LISTENERS_MAX];
    bool paused[LISTENERS_MAX];
    int64_t per_ip_max;
    char *overrides;
    struct list waiting; /* admissions that no limit lets in yet, in order */
    struct timer timer;  /* the rate lets the next one in */
    bool stopping;
};

struct admission {
    struct shard_call call;
    struct list node; /* of connections->waiting */
    struct conn *conn;
    char peer[64];
    int listener;
    bool fine, leaving;
    void (*answered)(struct conn *conn, bool fine);
};

/* ---- limits ----------------------------------------------------------------------------------------------------------------- */

static uint64_t cost_ns(int64_t rate) { /* a rate of 0 is one a second, as Kafka waits no longer than that */
    return rate > 0 ? NS_PER_S / (uint64_t)rate : NS_PER_S;
}

void connections_configure(struct connections *connections) {
    const struct broker *broker = connections->broker;
    const struct broker_config *config = broker->config;
    const struct image *image = broker->shards[0].image;
    struct arena arena = {0};
#define INT(key) config_int(config_broker_value(config, image, key, &arena))
    connections->all.max = INT("max.connections");
    connections->all.cost_ns = cost_ns(INT("max.connection.creation.rate"));
    connections->per_ip_max = INT("max.connections.per.ip");
#undef INT
    struct slice overrides = config_broker_value(config, image, "max.connections.per.ip.overrides", &arena);
    mem_free(connections->overrides);
    connections->overrides = mem_strndup((const char *)overrides.ptr, overrides.size);
    for (int i = 0; i < connections->broker->listener_count; i++) {
        struct slice name = connections->broker->listeners[i].config->name;
        struct limits *limits = &connections->listeners[i];
        int64_t rate = INT32_MAX;
        limits->max = INT64_MAX;
        (void)broker_config_listener_int(config, name, "max.connections", &limits->max);
        (void)broker_config_listener_int(config, name, "max.connection.creation.rate", &rate);
        limits->cost_ns = cost_ns(rate);
    }
    arena_deinit(&arena);
}

static uint64_t now_ns(const struct connections *connections) {
    return shard_now_ns(connections->broker->shards[0].shard);
}

/* How long the rate wants the next connection to wait. */
static uint64_t rate_wait_ns(const struct limits *limits, uint64_t now) {
    uint64_t free_at = limits->spent_ns + limits->cost_ns, ahead = now + RATE_AHEAD_S * NS_PER_S;
    return free_at > ahead ? free_at - ahead : 0;
}

static void rate_spend(struct limits *limits, uint64_t now) {
    if (limits->spent_ns < now)
        limits->spent_ns = now;
    limits->spent_ns += limits->cost_ns;
}

static bool is_full(const struct connections *connections, int listener) {
    return connections->all.count >= connections->all.max || connections->listeners[listener].count >= connections->listeners[listener].max;
}

static uint64_t wait_ns(const struct connections *connections, int listener) {
    uint64_t now = now_ns(connections), all = rate_wait_ns(&connections->all, now);
    uint64_t own = rate_wait_ns(&connections->listeners[listener], now);
    return all > own ? all : own;
}

static bool address_is(const struct map_node *node, const void *key) {
    return strcmp(container_of(node, struct address, node)->text, key) == 0;
}

static struct address *find_address(struct connections *connections, const char *text) {
    struct map_node *node = map_find(&connections->addresses, hash_bytes(text, strlen(text)), address_is, text);
    return node ? container_of(node, struct address, node) : NULL;
}

static struct address *get_address(struct connections *connections, const char *text) {
    struct address *address = find_address(connections, text);
    if (address)
        return address;
    address = mem_new(struct address);
    snprintf(address->text, sizeof address->text, "%s", text);
    map_insert(&connections->addresses, &address->node, hash_bytes(text, strlen(text)));
    return address;
}

static int64_t address_max(const struct connections *connections, const char *text) {
    struct slice rest = slice_str(connections->overrides), item;
    size_t size = strlen(text);
    while (config_list_next(&rest, &item))
        if (item.size > size && memcmp(item.ptr, text, size) == 0 && item.ptr[size] == ':')
            return config_int(slice_of(item.ptr + size + 1, item.size - size - 1));
    return connections->per_ip_max;
}

/* ---- in and out ---------------------------------------------------------------------------------------------------------------- */

/* There is a slot; only the address's own limit may still refuse it. */
static void let_in(struct connections *connections, struct admission *admission) {
    struct address *address = find_address(connections, admission->peer);
    rate_spend(&connections->all, now_ns(connections));
    rate_spend(&connections->listeners[admission->listener], now_ns(connections));
    if ((address ? address->count : 0) < address_max(connections, admission->peer)) {
        admission->fine = true;
        get_address(connections, admission->peer)->count++;
        connections->all.count++;
        connections->listeners[admission->listener].count++;
    } else {
        trace_warn("broker", "connection closed", TRACE_STR("why", "max.connections.per.ip"), TRACE_STR("peer", admission->peer));
    }
    shard_call_return(&admission->call);
}

static void let_out(struct connections *connections, struct admission *admission) {
    struct address *address = get_address(connections, admission->peer);
    connections->all.count--;
    connections->listeners[admission->listener].count--;
    if (--address->count == 0) {
        map_remove(&connections->addresses, &address->node);
        mem_free(address);
    }
    shard_call_return(&admission->call);
}

/* Accepting stops while a limit would only make connections wait. */
static void pause_listeners(struct connections *connections) {
    bool waits[LISTENERS_MAX] = {false};
    uint64_t soonest = UINT64_MAX;
    list_each(node, &connections->waiting)
        waits[container_of(node, struct admission, node)->listener] = true;
    for (int i = 0; i < connections->broker->listener_count; i++) {
        struct listener *listener = connections->broker->listeners[i].listener;
        bool full = is_full(connections, i);
        uint64_t wait = wait_ns(connections, i);
        if (wait && wait < soonest)
            soonest = wait;
        bool pause = full || wait || waits[i];
        if (!listener || pause == connections->paused[i])
            continue;
        connections->paused[i] = pause;
        if (full)
            trace_warn("broker", "max.connections reached", TRACE_SLICE("listener", connections->broker->listeners[i].config->name),
                       TRACE_INT("connections", connections->all.count));
        listener_pause(listener, pause);
    }
    if (soonest != UINT64_MAX)
        timer_start(connections->broker->shards[0].shard, &connections->timer, soonest);
}

static void look_again(struct connections *connections) {
    list_each_safe(node, &connections->waiting) {
        struct admission *admission = container_of(node, struct admission, node);
        if (is_full(connections, admission->listener) || wait_ns(connections, admission->listener))
            continue;
        list_remove(node);
        let_in(connections, admission);
    }
    pause_listeners(connections);
}

static void rate_allows(struct shard *shard, struct timer *timer) {
    (void)shard;
    look_again(container_of(timer, struct connections, timer));
}

static void count_on_shard_0(struct shard_call *call) {
    struct admission *admission = container_of(call, struct admission, call);
    struct connections *connections = call->at->broker->connections;
    if (admission->leaving)
        let_out(connections, admission);
    else if (connections->stopping)
        shard_call_return(call);
    else
        list_push_back(&connections->waiting, &admission->node);
    if (!connections->stopping)
        look_again(connections);
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
    admission->listener = conn->listener->index;
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

/* ---- life ------------------------------------------------------------------------------------------------------------------------ */

struct connections *connections_create(struct broker *broker) {
    struct connections *connections = mem_new(struct connections);
    connections->broker = broker;
    connections->timer.fire = rate_allows;
    list_init(&connections->waiting);
    connections_configure(connections);
    return connections;
}

void connections_stop(struct connections *connections) {
    struct list *node;
    if (!connections)
        return;
    connections->stopping = true;
    timer_stop(connections->broker->shards[0].shard, &connections->timer);
    while ((node = list_pop_front(&connections->waiting)))
        shard_call_return(&container_of(node, struct admission, node)->call);
}

void connections_destroy(struct connections *connections) {
    if (!connections)
        return;
    map_each_safe(node, &connections->addresses)
        mem_free(container_of(node, struct address, node));
    map_deinit(&connections->addresses);
    mem_free(connections->overrides);
    mem_free(connections);
}
