/* Nodes and their shards. Each event of a shard is a turn, or a part of one: hooks asked for run in an event of their own
 * a moment later, so that what comes in between shares them, as it does in a busy loop. */
#include "runtime/sim/internal.h"

enum {
    MESSAGE_DELAY_NS = 3000,
    TURN_DELAY_NS = 4000,
    WORK_DELAY_NS = 20000,
    LANE_DELAY_NS = 5000,
};

void shard_enter(struct shard *shard) {
    struct sim *sim = shard->runtime->sim;
    check(!sim->shard, "an event inside an event");
    sim->shard = shard;
    sim->may_block = false;
}

void shard_leave(struct shard *shard) {
    shard->runtime->sim->shard = NULL;
    shard->runtime->sim->may_block = true;
}

/* ---- small things --------------------------------------------------------------------------------------------------- */

struct runtime *shard_runtime(struct shard *shard) {
    return shard->runtime;
}
int shard_index(const struct shard *shard) {
    return shard->index;
}
void shard_set_user(struct shard *shard, void *user) {
    shard->user = user;
}
void *shard_user(const struct shard *shard) {
    return shard->user;
}
int runtime_shard_count(const struct runtime *runtime) {
    return runtime->shard_count;
}
struct shard *runtime_shard(struct runtime *runtime, int index) {
    check(index >= 0 && index < runtime->shard_count, "shard %d", index);
    return &runtime->shards[index];
}
struct fs *runtime_fs(struct runtime *runtime) {
    return runtime->fs;
}
const char *runtime_backend_name(const struct runtime *runtime) {
    (void)runtime;
    return "sim";
}
uint64_t shard_now_ns(const struct shard *shard) {
    return shard->runtime->sim->now_ns;
}
uint64_t shard_fresh_ns(struct shard *shard) {
    return shard->runtime->sim->now_ns;
}
int64_t shard_wall_ms(const struct shard *shard) {
    return sim_wall_ms(shard->runtime->sim) + shard->runtime->clock_ms;
}
uint64_t shard_random(struct shard *shard) {
    return sim_random(shard->runtime->sim);
}
void runtime_secure_random(struct runtime *runtime, void *bytes, size_t size) {
    sim_fill_random(runtime->sim, bytes, size);
}

/* ---- messages ------------------------------------------------------------------------------------------------------- */

struct post {
    struct event event;
    struct shard *to;
    struct message *message;
};

static void post_run(struct event *event) {
    struct post *post = container_of(event, struct post, event);
    struct shard *to = post->to;
    struct message *message = post->message;
    mem_free(post);
    shard_enter(to);
    message->deliver(to, message);
    shard_leave(to);
}

static void post_drop(struct event *event) {
    mem_free(container_of(event, struct post, event));
}

void shard_post(struct shard *to, struct message *message) {
    struct runtime *node = to->runtime;
    struct sim *sim = node->sim;
    struct post *post = mem_new(struct post);
    post->event = (struct event){.kind = EVENT_MESSAGE, .owner = node, .run = post_run, .drop = post_drop};
    post->to = to;
    post->message = message;
    /* Work of the pool and the start count as one more sender. */
    int sender = sim->shard && sim->shard->runtime == node ? sim->shard->index : node->shard_count;
    uint64_t at = sim->now_ns + sim_below(sim, MESSAGE_DELAY_NS);
    if (at <= to->last_from[sender])
        at = to->last_from[sender] + 1;
    to->last_from[sender] = at;
    event_schedule_at(sim, &post->event, at);
}

/* ---- timers, hooks -------------------------------------------------------------------------------------------------- */

static void timer_arm(struct shard *shard) {
    struct sim *sim = shard->runtime->sim;
    struct heap_node *node = heap_min(&shard->timers);
    event_cancel(sim, &shard->timer_event);
    if (node)
        event_schedule_at(sim, &shard->timer_event, node->key);
}

static void timer_run(struct event *event) {
    struct shard *shard = container_of(event, struct shard, timer_event);
    struct heap_node *node = heap_min(&shard->timers);
    heap_remove(&shard->timers, node);
    timer_arm(shard);
    struct timer *timer = container_of(node, struct timer, node);
    shard_enter(shard);
    timer->fire(shard, timer);
    shard_leave(shard);
}

void timer_start(struct shard *shard, struct timer *timer, uint64_t delay_ns) {
    heap_remove(&shard->timers, &timer->node);
    heap_insert(&shard->timers, &timer->node, shard->runtime->sim->now_ns + delay_ns);
    timer_arm(shard);
}

void timer_stop(struct shard *shard, struct timer *timer) {
    if (!timer_is_running(timer))
        return;
    heap_remove(&shard->timers, &timer->node);
    timer_arm(shard);
}

static void turn_run(struct event *event) {
    struct shard *shard = container_of(event, struct shard, turn_event);
    struct list hooks;
    list_init(&hooks);
    list_splice(&hooks, &shard->turn_hooks);
    shard_enter(shard);
    for (struct list *node; (node = list_pop_front(&hooks));) {
        struct turn_hook *hook = list_entry(node, struct turn_hook, node);
        hook->queued = false;
        hook->run(hook);
    }
    shard_leave(shard);
}

void shard_at_turn_end(struct shard *shard, struct turn_hook *hook) {
    if (hook->queued)
        return;
    hook->queued = true;
    list_push_back(&shard->turn_hooks, &hook->node);
    if (!event_is_scheduled(&shard->turn_event))
        event_schedule(shard->runtime->sim, &shard->turn_event, sim_below(shard->runtime->sim, TURN_DELAY_NS));
}

/* ---- blocking work -------------------------------------------------------------------------------------------------- */

struct job {
    struct event event;
    struct list node; /* runtime->works until it has run */
    struct work *work;
};

static void job_drop(struct event *event) {
    struct job *job = container_of(event, struct job, event);
    list_remove(&job->node);
    mem_free(job);
}

static void job_done(struct event *event) {
    struct job *job = container_of(event, struct job, event);
    struct work *work = job->work;
    mem_free(job);
    struct shard *shard = work->shard;
    shard_enter(shard);
    work->done(shard, work);
    shard_leave(shard);
}

static bool lane_is_busy(const struct job *job) {
    const struct runtime *node = job->event.owner;
    for (const struct list *pos = node->works.next; pos != &job->node; pos = pos->next)
        if (list_entry(pos, struct job, node)->work->lane == job->work->lane)
            return true;
    return false;
}

static void job_run(struct event *event) {
    struct job *job = container_of(event, struct job, event);
    struct runtime *node = event->owner;
    struct sim *sim = node->sim;
    if (job->work->lane && lane_is_busy(job)) {
        event_schedule(sim, event, sim_below(sim, LANE_DELAY_NS));
        return;
    }
    list_remove(&job->node);
    if (node->fs)
        node->fs->cost_ns = 0;
    job->work->run(job->work); /* at one instant; how long it took shows in done() alone */
    job->event.kind = EVENT_WORK_DONE;
    job->event.run = job_done;
    event_schedule(sim, event, sim_below(sim, WORK_DELAY_NS) + (node->fs ? node->fs->cost_ns : 0));
}

void shard_offload(struct shard *shard, struct work *work) {
    struct runtime *node = shard->runtime;
    work->shard = shard;
    struct job *job = mem_new(struct job);
    job->event = (struct event){.kind = EVENT_WORK, .owner = node, .run = job_run, .drop = job_drop};
    job->work = work;
    list_push_back(&node->works, &job->node);
    event_schedule(node->sim, &job->event, sim_below(node->sim, WORK_DELAY_NS));
}

void file_io_start(struct shard *shard, struct file_io *io) {
    io->private_shard = shard;
    io->private_count = 0;
    if (!shard->runtime->stopped)
        io_start(shard, io);
}

/* ---- a node's life -------------------------------------------------------------------------------------------------- */

static void start_run(struct event *event) {
    struct shard *shard = container_of(event, struct shard, start_event);
    shard_enter(shard);
    shard->runtime->sim->may_block = true;
    shard->runtime->start(shard, shard->runtime->arg);
    shard_leave(shard);
}

static void signal_run(struct event *event) {
    struct runtime *node = container_of(event, struct runtime, signal_event);
    shard_enter(&node->shards[0]);
    node->on_signal(&node->shards[0], node->arg);
    shard_leave(&node->shards[0]);
}

struct runtime *sim_node_create(struct sim *sim, struct fs *disk, const char *address, int shard_count) {
    struct runtime *node = mem_new(struct runtime);
    node->sim = sim;
    node->id = sim->node_count++;
    node->fs = disk;
    node->address = address;
    node->shard_count = shard_count;
    list_init(&node->events);
    list_init(&node->works);
    list_init(&node->ios);
    list_init(&node->socks);
    list_init(&node->listeners);
    list_push_back(&sim->nodes, &node->node);
    node->signal_event = (struct event){.kind = EVENT_SIGNAL, .owner = node, .run = signal_run};
    node->shards = mem_zalloc(sizeof *node->shards * (size_t)shard_count);
    for (int i = 0; i < shard_count; i++) {
        struct shard *shard = &node->shards[i];
        shard->runtime = node;
        shard->index = i;
        shard->timer_event = (struct event){.kind = EVENT_TIMER, .owner = node, .run = timer_run};
        shard->turn_event = (struct event){.kind = EVENT_TURN, .owner = node, .run = turn_run};
        shard->start_event = (struct event){.kind = EVENT_START, .owner = node, .run = start_run};
        shard->last_from = mem_zalloc(sizeof *shard->last_from * (size_t)(shard_count + 1));
        list_init(&shard->turn_hooks);
    }
    return node;
}

void sim_node_start(struct runtime *node, void (*start)(struct shard *shard, void *arg),
                    void (*on_signal)(struct shard *shard, void *arg), void *arg) {
    node->start = start;
    node->on_signal = on_signal;
    node->arg = arg;
    for (int i = 0; i < node->shard_count; i++) /* in order, and before what they post to each other */
        event_schedule_at(node->sim, &node->shards[i].start_event, node->sim->now_ns);
}

void sim_node_signal(struct runtime *node) {
    if (!event_is_scheduled(&node->signal_event))
        event_schedule(node->sim, &node->signal_event, 0);
}

void sim_node_set_clock(struct runtime *node, int64_t offset_ms) {
    node->clock_ms = offset_ms;
}

bool sim_node_has_stopped(const struct runtime *node) {
    return node->stopped;
}

/* No event of the node runs after this. */
static void drop_events(struct runtime *node) {
    struct list *pos;
    while ((pos = node->events.next) != &node->events) {
        struct event *event = list_entry(pos, struct event, of_owner);
        event_cancel(node->sim, event);
        if (event->drop)
            event->drop(event);
    }
}

void runtime_stop(struct runtime *runtime) {
    if (runtime->stopped)
        return;
    runtime->stopped = true;
    drop_events(runtime);
    io_forget(runtime);
}

void runtime_destroy(struct runtime *runtime) {
    if (!runtime)
        return;
    struct sim *sim = runtime->sim;
    struct fs *disk = runtime->fs;
    bool owns_world = runtime->owns_world;
    runtime_stop(runtime);
    net_forget_node(runtime);
    for (int i = 0; i < runtime->shard_count; i++) {
        heap_deinit(&runtime->shards[i].timers);
        mem_free(runtime->shards[i].last_from);
    }
    list_remove(&runtime->node);
    mem_free(runtime->shards);
    mem_free(runtime);
    if (owns_world) {
        sim_disk_destroy(disk);
        sim_destroy(sim);
    }
}

void sim_node_kill(struct runtime *node) {
    struct fs *disk = node->fs;
    check(!node->owns_world && !node->sim->shard, "a node is killed from inside an event");
    runtime_destroy(node);
    if (disk)
        disk_forget_process(disk);
}

/* A world for one node: what needs no faults runs as it would on the other runtime. */
enum err runtime_create(const struct runtime_options *options, struct runtime **ret_runtime) {
    struct sim *sim = sim_create(1);
    struct runtime *node = sim_node_create(sim, sim_disk_create(sim, INT64_MAX), "127.0.0.1",
                                           options->shard_count > 0 ? options->shard_count : 1);
    node->owns_world = true;
    *ret_runtime = node;
    return ERR_OK;
}

void runtime_run(struct runtime *runtime, void (*start)(struct shard *shard, void *arg),
                 void (*on_signal)(struct shard *shard, void *arg), void *arg) {
    sim_node_start(runtime, start, on_signal, arg);
    while (!runtime->stopped)
        check(sim_step(runtime->sim), "the node waits for nothing");
}
