#include "runtime/side.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "base/check.h"
#include "base/mem.h"

struct side {
    pthread_t thread;
    int wake;
    _Atomic(struct message *) inbox; /* newest first */
    atomic_bool stopping;
    void (*run)(struct side *side, void *arg);
    void *arg;
};

static void *side_main(void *arg) {
    struct side *side = arg;
    side->run(side, side->arg);
    return NULL;
}

struct side *side_start(void (*run)(struct side *side, void *arg), void *arg) {
    struct side *side = mem_new(struct side);
    side->run = run;
    side->arg = arg;
    side->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    check(side->wake >= 0, "no eventfd");
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    check(pthread_create(&side->thread, NULL, side_main, side) == 0, "no thread");
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return side;
}

static void wake(struct side *side) {
    uint64_t one = 1;
    ssize_t n = write(side->wake, &one, sizeof one);
    (void)n; /* a full counter wakes as well */
}

void side_stop(struct side *side) {
    if (!side)
        return;
    atomic_store(&side->stopping, true);
    wake(side);
    pthread_join(side->thread, NULL);
    close(side->wake);
    mem_free(side);
}

bool side_is_stopping(const struct side *side) {
    return atomic_load(&side->stopping);
}

void side_post(struct side *side, struct message *message) {
    struct message *head = atomic_load_explicit(&side->inbox, memory_order_relaxed);
    do
        message->next = head;
    while (!atomic_compare_exchange_weak(&side->inbox, &head, message));
    if (!head) /* else who put the first one has woken it */
        wake(side);
}

void side_wait(struct side *side, int fd, int timeout_ms) {
    struct pollfd fds[] = {{.fd = side->wake, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    poll(fds, 2, timeout_ms);
    uint64_t count;
    ssize_t n = read(side->wake, &count, sizeof count);
    (void)n;
    struct message *newest = atomic_exchange(&side->inbox, NULL), *oldest = NULL;
    while (newest) {
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct message *message = oldest;
        oldest = message->next;
        message->deliver(NULL, message);
    }
}

uint64_t side_now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}
