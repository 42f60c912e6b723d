/* The blocking-work pool. Works of one lane run one after the other, in order: a work whose lane is busy waits
 * in the queue until the running one is done. */
#include <signal.h>
#include "runtime/linux/internal.h"

struct offload {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct list queue;
    bool stopping;
    int thread_count;
    pthread_t *threads;
    const void **running_lanes; /* one a thread; NULL: none */
};

struct offload_thread {
    struct offload *offload;
    int index;
};

static bool lane_is_running(const struct offload *offload, const void *lane) {
    for (int i = 0; lane && i < offload->thread_count; i++)
        if (offload->running_lanes[i] == lane)
            return true;
    return false;
}

static struct work *take(struct offload *offload) {
    list_each(pos, &offload->queue) {
        struct work *work = list_entry(pos, struct work, node);
        if (lane_is_running(offload, work->lane))
            continue;
        list_remove(pos);
        return work;
    }
    return NULL;
}

static void *work_loop(void *arg) {
    struct offload_thread self = *(struct offload_thread *)arg;
    mem_free(arg);
    struct offload *offload = self.offload;
    sigset_t all; /* signals are shard 0's */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_mutex_lock(&offload->mutex);
    for (;;) {
        struct work *work = take(offload);
        if (!work) {
            if (offload->stopping && list_is_empty(&offload->queue))
                break;
            pthread_cond_wait(&offload->cond, &offload->mutex);
            continue;
        }
        offload->running_lanes[self.index] = work->lane;
        pthread_mutex_unlock(&offload->mutex);
        work->run(work);
        /* The lane is free before done() is delivered: the next work of it may begin. */
        struct shard *shard = work->shard;
        pthread_mutex_lock(&offload->mutex);
        offload->running_lanes[self.index] = NULL;
        pthread_cond_broadcast(&offload->cond);
        pthread_mutex_unlock(&offload->mutex);
        offload_deliver(shard, work);
        pthread_mutex_lock(&offload->mutex);
    }
    pthread_mutex_unlock(&offload->mutex);
    return NULL;
}

struct offload *offload_create(int threads) {
    struct offload *offload = mem_new(struct offload);
    pthread_mutex_init(&offload->mutex, NULL);
    pthread_cond_init(&offload->cond, NULL);
    list_init(&offload->queue);
    offload->thread_count = threads;
    offload->threads = mem_zalloc(sizeof *offload->threads * (size_t)threads);
    offload->running_lanes = mem_zalloc(sizeof *offload->running_lanes * (size_t)threads);
    for (int i = 0; i < threads; i++) {
        struct offload_thread *self = mem_new(struct offload_thread);
        *self = (struct offload_thread){offload, i};
        check(pthread_create(&offload->threads[i], NULL, work_loop, self) == 0, "no thread");
    }
    return offload;
}

void offload_destroy(struct offload *offload) {
    pthread_mutex_lock(&offload->mutex);
    offload->stopping = true;
    pthread_cond_broadcast(&offload->cond);
    pthread_mutex_unlock(&offload->mutex);
    for (int i = 0; i < offload->thread_count; i++)
        pthread_join(offload->threads[i], NULL);
    pthread_mutex_destroy(&offload->mutex);
    pthread_cond_destroy(&offload->cond);
    mem_free(offload->threads);
    mem_free(offload->running_lanes);
    mem_free(offload);
}

void offload_add(struct offload *offload, struct work *work) {
    pthread_mutex_lock(&offload->mutex);
    list_push_back(&offload->queue, &work->node);
    pthread_cond_signal(&offload->cond);
    pthread_mutex_unlock(&offload->mutex);
}
