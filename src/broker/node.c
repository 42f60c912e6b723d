/* start: every shard replays the metadata log -> opens its partitions \
 *                 shard 0 leads, registers the node                    > all done: journals of the last run go, ready
 * stop:  no new requests -> answered -> partitions close -> metadata log closes -> journals go -> checkpoints, mark -> end */
#include "broker/node.h"

#include <stdio.h>
#include "base/check.h"
#include "base/mem.h"
#include "base/trace.h"
#include "broker/checkpoints.h"
#include "broker/cleaner.h"
#include "broker/conn.h"
#include "broker/connections.h"
#include "broker/coordinators.h"
#include "broker/cordon.h"
#include "broker/fetch_session.h"
#include "broker/metrics.h"
#include "broker/shard_call.h"
#include "broker/share_partitions.h"
#include "broker/storage.h"
#include "broker/telemetry.h"
#include "metadata/config_check.h"

enum { DRAIN_S = 5 };

struct node {
    struct broker broker;
    struct checkpoints_wait first_checkpoints;
    struct controller_call registering;
    struct controller_registration registration;
    struct uuid dirs[LOG_DIRS_MAX];
    int shards_opened;
    bool registered;
    struct work retire_work;
    enum err retire_err;
    bool keeps_journals[LOG_DIRS_MAX]; /* of the last run */
    struct timer startup_timer;
    /* stopping */
    int pending;
    bool stopping, failed, stores_are_stopped;
    bool clean[LOG_DIRS_MAX];
};

static struct node *node_of(const struct broker *broker) {
    return broker->node;
}

/* ---- something on every shard, then back on shard 0 ------------------------------------------------------------------------- */

struct everywhere {
    struct shard_call call;
    struct node *node;
    void (*run)(struct everywhere *step, struct broker_shard *shard); /* ends with everywhere_done() */
    void (*done)(struct node *node);
    enum err err;
};

static void everywhere_run(struct shard_call *call) {
    struct everywhere *step = container_of(call, struct everywhere, call);
    step->run(step, call->at);
}

static void everywhere_back(struct shard_call *call) {
    struct everywhere *step = container_of(call, struct everywhere, call);
    struct node *node = step->node;
    void (*done)(struct node *node) = step->done;
    if (step->err)
        node->failed = true;
    mem_free(step);
    if (--node->pending == 0)
        done(node);
}

static void everywhere_done(struct everywhere *step, enum err err) {
    step->err = err;
    shard_call_return(&step->call);
}

static void everywhere(struct node *node, void (*run)(struct everywhere *step, struct broker_shard *shard),
                       void (*done)(struct node *node)) {
    struct broker *broker = &node->broker;
    node->pending = broker->shard_count;
    for (int i = 0; i < broker->shard_count; i++) {
        struct everywhere *step = mem_new(struct everywhere);
        step->node = node;
        step->run = run;
        step->done = done;
        step->call = (struct shard_call){
            .home = &broker->shards[0], .at = &broker->shards[i], .run = everywhere_run, .back = everywhere_back};
        shard_call_send(&step->call);
    }
}

/* ---- stop --------------------------------------------------------------------------------------------------------------------- */

static void stop_now(struct broker *broker) {
    runtime_stop(broker->runtime);
}

static bool dir_is_good(const struct broker *broker, int dir) {
    bool good = true;
    for (int i = 0; i < broker->shard_count; i++)
        good = good && !log_store_dir_is_offline(broker->shards[i].store, dir);
    return good;
}

static bool open_failed(const struct broker *broker, int dir) {
    bool failed = false;
    for (int i = 0; i < broker->shard_count; i++)
        failed = failed || broker->shards[i].open_failed[dir];
    return failed;
}

/* A journal may hold acknowledged records of a log that cannot be opened now. */
static void retire_run(struct work *work) {
    struct node *node = container_of(work, struct node, retire_work);
    for (int i = 0; i < node->broker.config->log_dir_count; i++) {
        enum err err = node->keeps_journals[i] ? ERR_OK : log_inventory_retire_journals(node->broker.inventory, i);
        if (err)
            node->retire_err = err;
    }
}

static void retired_last(struct shard *shard, struct work *work) {
    (void)shard;
    struct node *node = container_of(work, struct node, retire_work);
    for (int i = 0; i < node->broker.config->log_dir_count; i++)
        node->clean[i] = !node->failed && !node->retire_err && !node->keeps_journals[i] && dir_is_good(&node->broker, i);
    checkpoints_write_last(node->broker.checkpoints, node->clean, stop_now);
}

/* Journals that the start had to keep go now, when what could not be opened then was opened later. */
static void stores_stopped(struct node *node) {
    node->stores_are_stopped = true;
    for (int i = 0; i < node->broker.config->log_dir_count; i++)
        node->keeps_journals[i] = node->keeps_journals[i] && open_failed(&node->broker, i);
    node->retire_work = (struct work){.run = retire_run, .done = retired_last};
    shard_offload(node->broker.shards[0].shard, &node->retire_work);
}

static void store_stopped(struct log_store *store, void *arg) {
    (void)store;
    everywhere_done(arg, ERR_OK);
}
static void stop_store(struct everywhere *step, struct broker_shard *shard) {
    log_store_stop(shard->store, store_stopped, step);
}

static void quorum_stopped(enum err err, void *arg) {
    struct node *node = arg;
    if (err)
        node->failed = true;
    everywhere(node, stop_store, stores_stopped);
}

static void partitions_closed(struct node *node) {
    quorum_stop(node->broker.quorum, quorum_stopped, node);
}

static void closed_partitions(struct broker_shard *shard, enum err err) {
    everywhere_done(shard->step, err == ERR_OFFLINE ? ERR_OK : err); /* that was told when it happened */
}
static void close_partitions(struct everywhere *step, struct broker_shard *shard) {
    shard->step = step;
    partitions_close_all(shard, closed_partitions);
}

static void last_taken(struct broker *broker) {
    everywhere(node_of(broker), close_partitions, partitions_closed);
}

static void drained(struct node *node) {
    cleaner_stop(node->broker.cleaner);
    checkpoints_take_last(node->broker.checkpoints, last_taken);
}

static void shard_drained(struct broker_shard *shard) {
    shard->on_drained = NULL;
    timer_stop(shard->shard, &shard->drain_timer);
    conn_close_all(shard);
    everywhere_done(shard->step, ERR_OK);
}
static void drain_over(struct shard *shard, struct timer *timer) {
    (void)shard;
    shard_drained(container_of(timer, struct broker_shard, drain_timer));
}

/* Requests under way are answered, those that wait are told what there is; then the connections close. */
static void drain(struct everywhere *step, struct broker_shard *shard) {
    shard->stopping = true;
    shard->step = step;
    shard->on_drained = shard_drained;
    shard->drain_timer.fire = drain_over;
    timer_start(shard->shard, &shard->drain_timer, DRAIN_S * NS_PER_S);
    shard->in_work++; /* nothing ends before all were told */
    while (!list_is_empty(&shard->parked)) {
        struct parked *parked = container_of(shard->parked.next, struct parked, node);
        parked->stop(parked);
    }
    coordinators_stop(shard);
    share_stop(shard);
    conn_end_all(shard);
    shard->in_work--;
    conn_check_drained(shard);
}

static void begin_stop(struct node *node) {
    if (node->stopping)
        return;
    node->stopping = true;
    node->broker.stopping = true;
    trace_info("broker", "stopping");
    connections_stop(node->broker.connections);
    for (int i = 0; i < node->broker.listener_count; i++) {
        listener_close(node->broker.listeners[i].listener);
        node->broker.listeners[i].listener = NULL;
    }
    if (!node->broker.ready) { /* what was not opened need not be closed: the next start recovers */
        runtime_stop(node->broker.runtime);
        return;
    }
    everywhere(node, drain, drained);
}

void node_stop(struct shard *shard, void *arg) {
    (void)shard;
    begin_stop(arg);
}

/* ---- ready ---------------------------------------------------------------------------------------------------------------------- */

static void serve(struct node *node) {
    struct broker *broker = &node->broker;
    if (node->stopping)
        return;
    broker->kraft_version = quorum_raft(broker->quorum)->kraft_version;
    broker->ready = true;
    broker->cleaner = cleaner_create(broker, broker->checkpoints);
    for (int i = 0; i < broker->listener_count; i++) {
        const struct config_listener *config = broker->listeners[i].config;
        listener_accept(broker->listeners[i].listener);
        trace_info("broker", "serving", TRACE_SLICE("listener", config->name), TRACE_STR("host", config->host), TRACE_INT("port", listener_port(broker->listeners[i].listener)),
                   TRACE_INT("node", broker->config->node_id), TRACE_STR("cluster", broker->cluster_id));
    }
}

static void first_written(struct checkpoints_wait *wait) {
    serve(container_of(wait, struct node, first_checkpoints));
}

static void retired(struct shard *shard, struct work *work) {
    (void)shard;
    struct node *node = container_of(work, struct node, retire_work);
    if (node->retire_err)
        trace_error("broker", "journals of the last run cannot be removed", TRACE_ERR(node->retire_err));
    if (node->stopping)
        return;
    node->broker.checkpoints = checkpoints_create(&node->broker);
    node->first_checkpoints.done = first_written;
    checkpoints_rewrite(node->broker.checkpoints, &node->first_checkpoints);
}

static void all_know(struct node *node) {
    for (int i = 0; i < node->broker.config->log_dir_count; i++)
        node->keeps_journals[i] = open_failed(&node->broker, i);
    node->retire_work = (struct work){.run = retire_run, .done = retired};
    shard_offload(node->broker.shards[0].shard, &node->retire_work);
}

/* Every shard has applied the registration when this comes, since records went out before it. */
static void know(struct everywhere *step, struct broker_shard *shard) {
    partitions_start_retention(shard);
    everywhere_done(step, ERR_OK);
}

static void serve_when_ready(struct node *node) {
    if (node->registered && node->shards_opened == node->broker.shard_count)
        everywhere(node, know, all_know);
}

static void count_opened(struct shard_call *call) {
    struct node *node = node_of(call->at->broker);
    node->shards_opened++;
    serve_when_ready(node);
    shard_call_return(call);
}
static void opened_counted(struct shard_call *call) {
    mem_free(call);
}
static void partitions_opened(struct broker_shard *shard) {
    struct shard_call *call = mem_new(struct shard_call);
    *call = (struct shard_call){.home = shard, .at = &shard->broker->shards[0], .run = count_opened, .back = opened_counted};
    shard_call_send(call);
}

/* ---- the metadata log tells ------------------------------------------------------------------------------------------------------- */

static void apply(struct shard *shard, struct slice batches, void *arg) {
    struct node *node = arg;
    struct broker_shard *broker_shard = broker_shard_of(shard);
    enum err err = image_replay(broker_shard->image, batches);
    if (!err && broker_shard->index == 0)
        err = controller_replay(node->broker.controller, batches);
    /* Whoever cannot follow the cluster's state would act on a wrong one. */
    check(err == ERR_OK, "the metadata log holds a record that this version cannot apply: %s", err_text(err));
}

static void register_decide(struct controller_call *call, struct decision *decision) {
    struct node *node = container_of(call, struct node, registering);
    decide_registration(decision, &node->registration, &node->broker.broker_epoch);
}

static void registered(struct controller_call *call) {
    struct node *node = container_of(call, struct node, registering);
    if (call->err)
        return;
    arena_deinit(call->arena);
    mem_free(call->arena);
    node->registered = true;
    serve_when_ready(node);
}

static void register_node(struct node *node) {
    struct broker *broker = &node->broker;
    runtime_secure_random(broker->runtime, &node->registration.incarnation, sizeof node->registration.incarnation);
    node->registration.dirs = node->dirs;
    for (int i = 0; i < broker->config->log_dir_count; i++)
        if (!uuid_is_zero(broker->dir_ids[i]))
            node->dirs[node->registration.dir_count++] = broker->dir_ids[i];
    node->registration.clean = log_inventory_dir(broker->inventory, broker->config->metadata_dir)->clean;
    node->registration.port = listener_port(broker->listeners[0].listener);
    node->registration.cordoned_count = cordon_named(&broker->shards[0], node->registration.cordoned);
    node->registering = (struct controller_call){.home = broker->shards[0].shard, .arena = mem_new(struct arena),
                                                 .decide = register_decide, .done = registered};
    controller_call(broker->controller, &node->registering);
}

static void caught_up(struct shard *shard, void *arg) {
    struct node *node = arg;
    struct broker_shard *broker_shard = broker_shard_of(shard);
    if (broker_shard->index == 0) {
        controller_lead(node->broker.controller, node->broker.quorum);
        register_node(node);
    }
    partitions_open_all(broker_shard, partitions_opened);
}

static void quorum_failed(struct quorum *quorum, enum err err, void *arg) {
    (void)quorum, (void)err;
    struct node *node = arg;
    node->failed = true;
    begin_stop(node);
}

static void write_image(void (*fn)(void *arg, struct slice record), void *fn_arg, void *arg) {
    struct node *node = arg;
    image_write(node->broker.shards[0].image, fn, fn_arg);
}

/* ---- start ------------------------------------------------------------------------------------------------------------------------- */

static enum err start_quorum(struct node *node, struct broker_shard *shard) {
    const struct broker_config *config = node->broker.config;
    struct quorum_options options = {
        .store = shard->store,
        .dir = config->log_dirs[config->metadata_dir],
        .dir_index = config->metadata_dir,
        .node_id = config->node_id,
        .directory_id = node->broker.dir_ids[config->metadata_dir],
        .segment_bytes = (int32_t)broker_config_int(config, broker_config_is_set(config, "internal.metadata.log.segment.bytes")
                                                                ? "internal.metadata.log.segment.bytes"
                                                                : "metadata.log.segment.bytes"),
        .segment_ms = broker_config_int(config, "metadata.log.segment.ms"),
        .snapshot_bytes = broker_config_int(config, "metadata.log.max.record.bytes.between.snapshots"),
        .snapshot_interval_ms = broker_config_int(config, "metadata.log.max.snapshot.interval.ms"),
        .retention_bytes = broker_config_int(config, "metadata.max.retention.bytes"),
        .retention_ms = broker_config_int(config, "metadata.max.retention.ms"),
        .idle_interval_ms = broker_config_int(config, "metadata.max.idle.interval.ms"),
        .apply = apply,
        .caught_up = caught_up,
        .failed = quorum_failed,
        .write_image = write_image,
        .arg = node,
    };
    return quorum_start(shard->shard, &options, &node->broker.quorum);
}

static void startup_over(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct node *node = container_of(timer, struct node, startup_timer);
    if (node->broker.ready || node->stopping)
        return;
    trace_error("broker", "the start took longer than server.max.startup.time.ms");
    node->failed = true;
    begin_stop(node);
}

void node_start(struct shard *shard, void *arg) {
    struct node *node = arg;
    struct broker *broker = &node->broker;
    struct broker_shard *self = &broker->shards[shard_index(shard)];
    struct log_store_options options = {.inventory = broker->inventory,
                                        .journal_bytes = broker->config->journal_bytes,
                                        .tail_bytes_max = (size_t)(broker->config->tail_bytes / broker->shard_count),
                                        .journal_flush = broker->config->journal_flush,
                                        .on_dir_failed = partitions_dir_failed,
                                        .arg = self};
    enum err err = log_store_create(shard, &options, &self->store);
    if (!err && self->index == 0) {
        broker->controller = controller_create(shard, broker->config);
        broker->connections = connections_create(broker);
        broker->telemetry = telemetry_create(self);
        err = start_quorum(node, self);
    }
    if (err) {
        trace_error("broker", "cannot start", TRACE_ERR(err));
        node->failed = true;
        runtime_stop(broker->runtime);
        return;
    }
    conn_start_timers(self);
    int64_t startup_ms = broker_config_int(broker->config, "server.max.startup.time.ms");
    if (self->index == 0 && startup_ms < INT64_MAX / (int64_t)NS_PER_MS) {
        node->startup_timer.fire = startup_over;
        timer_start(shard, &node->startup_timer, (uint64_t)startup_ms * NS_PER_MS);
    }
}

static void make_shards(struct broker *broker) {
    broker->shard_count = runtime_shard_count(broker->runtime);
    broker->shards = mem_zalloc(sizeof *broker->shards * (size_t)broker->shard_count);
    for (int i = 0; i < broker->shard_count; i++) {
        struct broker_shard *shard = &broker->shards[i];
        shard->broker = broker;
        shard->shard = runtime_shard(broker->runtime, i);
        shard->index = i;
        list_init(&shard->conns);
        list_init(&shard->all_partitions);
        list_init(&shard->stalled);
        list_init(&shard->parked);
        list_init(&shard->preferred);
        list_init(&shard->waiting_moves);
        list_init(&shard->waiting_for_producer_ids);
        list_init(&shard->marker_writes);
        list_init(&shard->marker_sends);
        list_init(&shard->free_requests);
        shard->metrics = metrics_create();
        shard->fetch_sessions = fetch_sessions_create(shard);
        share_init(shard);
        partitions_init(shard);
        shard_set_user(shard->shard, shard);
    }
}

static enum err open_listeners(struct broker *broker, struct buf *error) {
    const struct broker_config *config = broker->config;
    broker->listener_count = config->listener_count + config->has_controller_listener;
    for (int i = 0; i < broker->listener_count; i++) {
        struct broker_listener *listener = &broker->listeners[i];
        const struct config_listener *its = i < config->listener_count ? &config->listeners[i] : &config->controller_listener;
        *listener = (struct broker_listener){.broker = broker, .config = its, .index = i};
        struct listen_options options = {.host = listener->config->host,
                                         .port = listener->config->port,
                                         .backlog = (int)broker_config_int(config, "socket.listen.backlog.size"),
                                         .send_buffer = (int)broker_config_int(config, "socket.send.buffer.bytes"),
                                         .receive_buffer = (int)broker_config_int(config, "socket.receive.buffer.bytes")};
        enum err err = listener_open(broker->runtime, &options, conn_accepted, listener, &listener->listener);
        if (err) {
            buf_printf(error, "listener %.*s://%s:%d: %s", SLICE_FMT(listener->config->name), options.host, options.port,
                       err == ERR_EXISTS ? "the address is in use" : err_text(err));
            return err;
        }
    }
    return ERR_OK;
}

/* A directory that lost its meta.properties is not a new one. */
static bool holds_partitions(struct fs *fs, const char *dir) {
    struct fs_entry *entries;
    int count;
    bool found = false;
    if (fs_list(fs, dir, &entries, &count))
        return false;
    for (int i = 0; i < count; i++)
        found = found || (entries[i].is_dir && entries[i].name[0] != '.' && strcmp(entries[i].name, "lost+found") != 0 &&
                          strcmp(entries[i].name, "__cluster_metadata-0") != 0);
    fs_list_free(entries, count);
    return found;
}

static enum err prepare(struct broker *broker, struct buf *error) {
    struct broker_config *config = broker->config;
    struct buf unreadable = {0};
    enum err err = ERR_OK;
    bool formatted = true;
    for (int i = 0; i < config->log_dir_count; i++) {
        struct meta_properties meta;
        if (meta_properties_read(runtime_fs(broker->runtime), config->log_dirs[i], &meta, &unreadable) == ERR_NOT_FOUND) {
            formatted = false;
            if (config->embedded && holds_partitions(runtime_fs(broker->runtime), config->log_dirs[i]) && !err) {
                buf_printf(error, "%s: has no meta.properties but is not empty; bring the file back, or name another directory",
                           config->log_dirs[i]);
                err = ERR_INVALID;
            }
        }
    }
    if (!err && config->embedded && !formatted) { /* none, or some: the last start did not get to the end of it */
        struct storage_format format = {.standalone = true, .ignore_formatted = true};
        struct buf text = {0};
        err = storage_format(broker->runtime, config, &format, &text, error);
        buf_deinit(&text);
    }
    buf_deinit(&unreadable);
    if (!err)
        err = storage_open(broker->runtime, config, broker->cluster_id, broker->dir_ids, broker->locks, error);
    if (!err)
        err = open_listeners(broker, error);
    return err;
}

static void free_shards(struct broker *broker) {
    for (int i = 0; i < broker->shard_count; i++) {
        struct broker_shard *shard = &broker->shards[i];
        if (broker->node->stores_are_stopped)
            log_store_destroy(shard->store);
        conn_free_requests(shard);
        fetch_sessions_destroy(shard->fetch_sessions);
        share_free(shard);
        partitions_free(shard);
        metrics_destroy(shard->metrics);
    }
    mem_free(broker->shards);
}

/* ---- the whole --------------------------------------------------------------------------------------------------------------------- */

/* Apache Kafka has a thread for each log directory unless it is told otherwise, and each moves one partition at a time. */
static int moves_at_a_time(const struct broker_config *config) {
    const char *key = "num.replica.alter.log.dirs.threads";
    int64_t threads = broker_config_get(config, key).ptr ? broker_config_int(config, key) : config->log_dir_count;
    return threads < 1 ? 1 : (int)threads;
}

struct node *node_create(struct runtime *runtime, struct broker_config *config, struct buf *ret_error) {
    struct node *node = mem_new(struct node);
    struct broker *broker = &node->broker;
    broker->config = config;
    broker->runtime = runtime;
    if (prepare(broker, ret_error)) {
        for (int i = 0; i < broker->listener_count; i++)
            listener_close(broker->listeners[i].listener);
        for (int i = 0; i < LOG_DIRS_MAX; i++)
            file_unref(broker->locks[i]);
        mem_free(node);
        return NULL;
    }
    broker->inventory = log_inventory_create(runtime, config->log_dirs, config->log_dir_count);
    broker->request_bytes_max = broker_config_int(config, "socket.request.max.bytes");
    broker->fetch_bytes_max = broker_config_int(config, "fetch.max.bytes");
    broker->moves_max = moves_at_a_time(config);
    broker->node = node;
    make_shards(broker);
    int64_t queued = broker_config_int(config, "queued.max.request.bytes");
    broker->frames_bytes_max = queued > 0 ? queued / broker->shard_count + 1 : 0;
    trace_info("broker", "starting", TRACE_STR("version", MYELIN_VERSION), TRACE_INT("shards", broker->shard_count),
               TRACE_STR("runtime", runtime_backend_name(runtime)));
    return node;
}

bool node_destroy(struct node *node) {
    struct broker *broker = &node->broker;
    bool clean = !node->failed;
    trace_info("broker", clean ? "stopped" : "stopped after a failure");
    cleaner_destroy(broker->cleaner);
    checkpoints_destroy(broker->checkpoints);
    connections_destroy(broker->connections);
    telemetry_destroy(broker->telemetry);
    controller_destroy(broker->controller);
    quorum_destroy(broker->quorum);
    free_shards(broker);
    log_inventory_destroy(broker->inventory);
    for (int i = 0; i < LOG_DIRS_MAX; i++)
        file_unref(broker->locks[i]);
    mem_free(node);
    return clean;
}

struct broker *node_broker(struct node *node) {
    return &node->broker;
}

int node_run(struct broker_config *config, enum err (*start_services)(struct broker *broker, void **ret_services), void (*stop_services)(void *services)) {
    struct runtime_options options = {.shard_count = config->shards, .backend = config->backend};
    struct runtime *runtime = NULL;
    struct node *node = NULL;
    struct buf error = {0};
    bool clean = false;
    enum err err = runtime_create(&options, &runtime);
    if (err)
        buf_printf(&error, "the runtime cannot start: %s", err_text(err));
    else
        node = node_create(runtime, config, &error);
    if (node) {
        void *services = NULL;
        err = start_services ? start_services(&node->broker, &services) : ERR_OK;
        if (!err)
            runtime_run(runtime, node_start, node_stop, node);
        if (services)
            stop_services(services);
        clean = node_destroy(node) && !err;
    } else {
        fprintf(stderr, "myelin: %s\n", buf_text(&error));
    }
    runtime_destroy(runtime);
    buf_deinit(&error);
    broker_config_free(config);
    return clean ? 0 : 1;
}
