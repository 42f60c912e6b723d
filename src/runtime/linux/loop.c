/* The process and its shards: threads, the turn, messages, timers, deferred tellings. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include "runtime/linux/internal.h"

/* --- clock and randomness --- */

static uint64_t clock_ns(clockid_t clock) {
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

void shard_update_clock(struct shard *shard) {
    shard->now_ns = clock_ns(CLOCK_MONOTONIC);
    shard->wall_ms = (int64_t)(clock_ns(CLOCK_REALTIME) / NS_PER_MS);
}

uint64_t shard_now_ns(const struct shard *shard) {
    return shard->now_ns;
}

uint64_t shard_fresh_ns(struct shard *shard) {
    (void)shard;
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t shard_wall_ms(const struct shard *shard) {
    return shard->wall_ms;
}

uint64_t shard_idle_ns(const struct shard *shard) {
    return shard->idle_ns;
}

static uint64_t rotate(uint64_t x, int bits) {
    return x << bits | x >> (64 - bits);
}

uint64_t shard_random(struct shard *shard) { /* xoshiro256**, public domain by Blackman and Vigna */
    uint64_t *s = shard->random, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

void runtime_secure_random(struct runtime *runtime, void *bytes, size_t size) {
    (void)runtime;
    for (size_t done = 0; done < size;) {
        ssize_t n = getrandom((uint8_t *)bytes + done, size - done, 0);
        check(n > 0 || errno == EINTR, "getrandom: errno %d", errno);
        done += n > 0 ? (size_t)n : 0;
    }
}

/* --- small things --- */

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
    return runtime->backend->name;
}

/* --- messages --- */

static void wake(struct shard *shard) {
    uint64_t one = 1;
    ssize_t n = write(shard->wake.fd, &one, sizeof one);
    (void)n; /* a full counter wakes as well */
}

void shard_post(struct shard *to, struct message *message) {
    struct message *head = atomic_load_explicit(&to->inbox, memory_order_relaxed);
    do
        message->next = head;
    while (!atomic_compare_exchange_weak(&to->inbox, &head, message)); /* sequentially consistent: see below */
    /* The loop says it sleeps and then looks at the inbox; we put into the inbox and then look whether it sleeps.
     * One of the two sees the other. */
    if (atomic_load(&to->sleeping) && atomic_exchange(&to->sleeping, false))
        wake(to);
}

static void deliver_messages(struct shard *shard) {
    struct message *newest = atomic_exchange_explicit(&shard->inbox, NULL, memory_order_acquire), *oldest = NULL;
    while (newest) {
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct message *message = oldest;
        oldest = message->next;
        message->deliver(shard, message);
    }
}

/* --- timers and hooks --- */

void timer_start(struct shard *shard, struct timer *timer, uint64_t delay_ns) {
    heap_remove(&shard->timers, &timer->node);
    heap_insert(&shard->timers, &timer->node, shard->now_ns + delay_ns);
}

void timer_stop(struct shard *shard, struct timer *timer) {
    heap_remove(&shard->timers, &timer->node);
}

static void fire_timers(struct shard *shard) {
    for (struct heap_node *node; (node = heap_min(&shard->timers)) && node->key <= shard->now_ns;) {
        heap_remove(&shard->timers, node);
        struct timer *timer = container_of(node, struct timer, node);
        timer->fire(shard, timer);
    }
}

void shard_at_turn_end(struct shard *shard, struct turn_hook *hook) {
    if (hook->queued)
        return;
    hook->queued = true;
    list_push_back(&shard->turn_hooks, &hook->node);
}

static void run_hooks(struct shard *shard) {
    /* Those asked for while others run wait for the next turn, which then does not sleep. */
    struct list hooks;
    list_init(&hooks);
    list_splice(&hooks, &shard->turn_hooks);
    for (struct list *node; (node = list_pop_front(&hooks));) {
        struct turn_hook *hook = list_entry(node, struct turn_hook, node);
        hook->queued = false;
        hook->run(hook);
    }
}

void shard_defer(struct sock *sock) {
    if (list_is_empty(&sock->deferred))
        list_push_back(&sock->shard->deferred, &sock->deferred);
}

static void run_deferred(struct shard *shard) {
    struct list socks;
    list_init(&socks);
    list_splice(&socks, &shard->deferred);
    for (struct list *node; (node = list_pop_front(&socks));)
        sock_deferred(list_entry(node, struct sock, deferred));
}

/* --- blocking work --- */

struct delivery {
    struct message message;
    struct work *work;
};

static void work_delivered(struct shard *shard, struct message *message) {
    struct delivery *delivery = container_of(message, struct delivery, message);
    struct work *work = delivery->work;
    mem_free(delivery);
    work->done(shard, work);
}

void offload_deliver(struct shard *shard, struct work *work) {
    struct delivery *delivery = mem_new(struct delivery);
    delivery->message.deliver = work_delivered;
    delivery->work = work;
    shard_post(shard, &delivery->message);
}

void shard_offload(struct shard *shard, struct work *work) {
    work->shard = shard;
    list_init(&work->node);
    offload_add(shard->runtime->offload, work);
}

void file_io_start(struct shard *shard, struct file_io *io) {
    io->private_shard = shard;
    io->private_count = 0;
    shard->runtime->backend->file_io(shard, io);
}

/* --- the turn --- */

static int64_t time_to_wait(struct shard *shard) {
    if (!list_is_empty(&shard->turn_hooks) || !list_is_empty(&shard->deferred))
        return 0;
    atomic_store(&shard->sleeping, true);
    if (atomic_load(&shard->inbox) || atomic_load(&shard->runtime->stopping)) {
        atomic_store_explicit(&shard->sleeping, false, memory_order_relaxed);
        return 0;
    }
    struct heap_node *node = heap_min(&shard->timers);
    uint64_t now = shard->sleep_ns = clock_ns(CLOCK_MONOTONIC);
    if (!node)
        return -1;
    return node->key > now ? (int64_t)(node->key - now) : 0;
}

/* Turns that follow at once upon another go without the kernel: what they submit goes along with the next wait. The
 * limit keeps I/O coming in while there is always something to do. */
#define TURNS_WITHOUT_WAIT 4

static void turn(struct shard *shard) {
    shard->sleep_ns = 0;
    shard->runtime->backend->wait(shard, time_to_wait(shard));
    if (shard->sleep_ns)
        shard->idle_ns += shard->now_ns - shard->sleep_ns;
    atomic_store_explicit(&shard->sleeping, false, memory_order_relaxed);
    deliver_messages(shard);
    fire_timers(shard);
    for (int i = 0; i < TURNS_WITHOUT_WAIT; i++) {
        run_deferred(shard);
        run_hooks(shard);
        if (list_is_empty(&shard->deferred) && list_is_empty(&shard->turn_hooks))
            break;
    }
}

static void woken(struct shard *shard, struct watch *watch) {
    (void)shard;
    (void)watch; /* edge-triggered: the counter is never read */
}

static void signaled(struct shard *shard, struct watch *watch) {
    struct signalfd_siginfo info;
    if (read(watch->fd, &info, sizeof info) != sizeof info)
        return;
    /* From now on the default: a second signal ends the process at once. */
    signal((int)info.ssi_signo, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    shard->runtime->on_signal(shard, shard->runtime->arg);
}

static void *shard_main(void *arg) {
    struct shard *shard = arg;
    struct runtime *runtime = shard->runtime;
    enum err err = runtime->backend->init(shard); /* on its own thread: the ring has a single issuer */
    check(!err, "%s: %s", runtime->backend->name, err_text(err));
    runtime->backend->watch(shard, &shard->wake);
    if (shard->index == 0 && runtime->on_signal)
        runtime->backend->watch(shard, &runtime->signals);
    shard_update_clock(shard);
    pthread_barrier_wait(&runtime->started);
    runtime->start(shard, runtime->arg);
    while (!atomic_load_explicit(&runtime->stopping, memory_order_relaxed))
        turn(shard);
    /* Nobody posts to a shard whose thread is gone: all stop their loops before any frees its state. */
    pthread_barrier_wait(&runtime->started);
    runtime->backend->deinit(shard);
    return NULL;
}

/* A connection and an open segment cost a descriptor each: as many as the system lets us have. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

enum err runtime_create(const struct runtime_options *options, struct runtime **ret_runtime) {
    if (options->shard_count < 0 || options->shard_count > 64)
        return ERR_INVALID;
    raise_descriptor_limit();
    struct runtime *runtime = mem_new(struct runtime);
    runtime->shard_count = options->shard_count;
    if (runtime->shard_count == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        runtime->shard_count = cores < 1 ? 1 : cores > 64 ? 64 : (int)cores;
    }
    runtime->shards = mem_alloc_aligned(64, sizeof(struct shard) * (size_t)runtime->shard_count);
    memset(runtime->shards, 0, sizeof(struct shard) * (size_t)runtime->shard_count);
    for (int i = 0; i < runtime->shard_count; i++) {
        struct shard *shard = &runtime->shards[i];
        shard->runtime = runtime;
        shard->index = i;
        list_init(&shard->turn_hooks);
        list_init(&shard->deferred);
        list_init(&shard->socks);
        runtime_secure_random(runtime, shard->random, sizeof shard->random);
        shard_update_clock(shard);
        shard->wake = (struct watch){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = woken};
        check(shard->wake.fd >= 0, "eventfd: errno %d", errno);
    }
    runtime->fs = fs_create();
    runtime->offload = offload_create(options->blocking_threads > 0 ? options->blocking_threads : 4);
    runtime->backend = options->backend == RUNTIME_EPOLL ? &backend_epoll : &backend_uring;
    if (runtime->backend == &backend_uring) {
        struct shard probe = {.runtime = runtime};
        enum err err = backend_uring.init(&probe);
        if (!err)
            backend_uring.deinit(&probe);
        if (err && options->backend == RUNTIME_IO_URING) {
            fprintf(stderr, "runtime: io_uring is refused by the system: %s\n", err_text(err));
            runtime_destroy(runtime);
            return ERR_UNSUPPORTED;
        }
        if (err)
            runtime->backend = &backend_epoll;
    }
    *ret_runtime = runtime;
    return ERR_OK;
}

void runtime_run(struct runtime *runtime, void (*start)(struct shard *shard, void *arg),
                 void (*on_signal)(struct shard *shard, void *arg), void *arg) {
    runtime->start = start;
    runtime->on_signal = on_signal;
    runtime->arg = arg;
    signal(SIGPIPE, SIG_IGN);
    sigset_t set, old_set;
    sigemptyset(&set);
    if (on_signal) {
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        runtime->signals = (struct watch){.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), .ready = signaled};
    }
    pthread_sigmask(SIG_BLOCK, &set, &old_set);
    pthread_barrier_init(&runtime->started, NULL, (unsigned)runtime->shard_count);
    for (int i = 1; i < runtime->shard_count; i++)
        check(pthread_create(&runtime->shards[i].thread, NULL, shard_main, &runtime->shards[i]) == 0, "no thread");
    shard_main(&runtime->shards[0]);
    for (int i = 1; i < runtime->shard_count; i++)
        pthread_join(runtime->shards[i].thread, NULL);
    pthread_barrier_destroy(&runtime->started);
    if (on_signal)
        close(runtime->signals.fd);
    pthread_sigmask(SIG_SETMASK, &old_set, NULL);
}

void runtime_stop(struct runtime *runtime) {
    atomic_store(&runtime->stopping, true);
    for (int i = 0; i < runtime->shard_count; i++)
        wake(&runtime->shards[i]);
}

void runtime_destroy(struct runtime *runtime) {
    if (!runtime)
        return;
    offload_destroy(runtime->offload);
    for (int i = 0; i < runtime->shard_count; i++) {
        struct shard *shard = &runtime->shards[i];
        list_each_safe(pos, &shard->socks) {
            sock_destroy(list_entry(pos, struct sock, node));
        }
        heap_deinit(&shard->timers);
        close(shard->wake.fd);
    }
    listeners_free(runtime);
    fs_destroy(runtime->fs);
    mem_free(runtime->shards);
    mem_free(runtime);
}
