// commit_load: clients that commit offsets as fast as they are answered, at next to no cost of their own.
//
//   commit_load HOST PORT TOPIC CLIENTS INFLIGHT PARTITIONS SECONDS
//
// Each client has a connection and a group of its own, and commits PARTITIONS offsets of TOPIC a request (OffsetCommit v2,
// without members). INFLIGHT requests of it are unanswered at any time: each answer is followed by a request at once. One
// thread is all clients: each request is sent by itself, and answers come through io_uring, armed once a connection, for a
// poll and a receive for each took time from the server, which has the same cores.
//
// Set SERVER_PID to have the server's CPU seconds printed, GROUPS=n to have each client go round n groups of its own, COUNT=n
// to stop after that many commits instead of SECONDS.
#define _GNU_SOURCE
#include <liburing.h>
#include "client.h"

enum { INFLIGHT_MAX = 64, RETRY_US = 100000, BUFFERS = 1024, BUFFER_SIZE = 4096, SILENCE_S = 180 };

struct client {
    int fd, out, head, tail;
    struct bytes requests; // the same one again and again
    size_t size, digits;   // of one; digits: behind the group's number
    uint32_t next_group;
    int64_t when[INFLIGHT_MAX];
    uint8_t in[65536];
    size_t in_size;
};
static struct latencies latencies;
static uint32_t groups = 1; // of each client
static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static uint8_t *buffer_memory;
static int64_t now; // when the loop woke: what had come by then has come

static void put_header(struct bytes *b, int key, int version) {
    put32(b, 0); // the frame's size
    put16(b, key);
    put16(b, version);
    put32(b, 0);
    put_text(b, "commit_load");
}

static void make_request(struct client *client, int index, const char *topic, int partitions) {
    char group[32];
    struct bytes *b = &client->requests;
    snprintf(group, sizeof group, "commit-load-%05d-00000", index);
    put_header(b, 8, 2); // OffsetCommit
    put_text(b, group);
    client->digits = b->size;
    put32(b, -1); // generation
    put_text(b, "");
    put64(b, -1); // retention
    put32(b, 1);
    put_text(b, topic);
    put32(b, partitions);
    for (int i = 0; i < partitions; i++) {
        put32(b, i);
        put64(b, index);
        put_text(b, "");
    }
    client->size = b->size;
    store32(b->ptr, (uint32_t)client->size - 4);
    bytes_reserve(b, client->size * (INFLIGHT_MAX - 1));
    for (size_t i = 1; i < INFLIGHT_MAX; i++) // so that several go out at once
        put(b, b->ptr, client->size);
}

static void send_some(struct client *client, int requests) {
    for (int i = 0; i < requests; i++) {
        client->when[client->tail++ % INFLIGHT_MAX] = now;
        uint8_t *digit = client->requests.ptr + (size_t)i * client->size + client->digits;
        for (uint32_t x = client->next_group, k = 0; k < 5; k++, x /= 10)
            *--digit = (uint8_t)('0' + x % 10);
        client->next_group = (client->next_group + 1) % groups;
    }
    client->out += requests;
    send_all(client->fd, &(struct bytes){.ptr = client->requests.ptr, .size = client->size * (size_t)requests});
}

// Takes the answers in client->in; the error code of the last one's first partition in *ret_error.
static int take_answers(struct client *client, int16_t *ret_error) {
    int answers = 0;
    size_t at = 0;
    while (client->in_size - at >= 4 && client->in_size - at >= 4 + (size_t)get32(client->in + at)) {
        const uint8_t *p = client->in + at + 4 + 4 + 4; // correlation, topics
        *ret_error = get16(p + 2 + get16(p) + 4 + 4); // name, partitions, index
        at += 4 + (size_t)get32(client->in + at);
        latencies_add(&latencies, now - client->when[client->head++ % INFLIGHT_MAX]);
        client->out--;
        answers++;
    }
    client->in_size -= at;
    if (client->in_size)
        memmove(client->in, client->in + at, client->in_size);
    return answers;
}

// The group's coordinator may have to be made first.
static void prime(struct client *client) {
    for (int tries = 0; tries < 600; tries++) {
        int16_t error = 0;
        send_some(client, 1);
        do {
            ssize_t n = recv(client->fd, client->in + client->in_size, sizeof client->in - client->in_size, 0);
            if (n <= 0)
                die("receive");
            client->in_size += (size_t)n;
        } while (!take_answers(client, &error));
        if (!error)
            return;
        if (error < 14 || error > 16) {
            fprintf(stderr, "error code %d\n", error);
            exit(1);
        }
        usleep(RETRY_US);
    }
    fprintf(stderr, "no coordinator\n");
    exit(1);
}

// A client that commits creates the topic of the coordinators nowhere; FindCoordinator does.
static void find_coordinator(struct client *client) {
    struct bytes b = {0};
    uint8_t answer[128];
    put_header(&b, 10, 0);
    put_text(&b, "commit-load-00000-00000");
    store32(b.ptr, (uint32_t)b.size - 4);
    send_all(client->fd, &b);
    if (recv(client->fd, answer, sizeof answer, 0) <= 0)
        die("FindCoordinator");
    free(b.ptr);
}

// ---- all of them at once ----

static void give_buffer(int index) {
    io_uring_buf_ring_add(buffers, buffer_memory + (size_t)index * BUFFER_SIZE, BUFFER_SIZE, (unsigned short)index,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(buffers, 1);
}

static void make_ring(void) {
    struct io_uring_buf_reg at = {.ring_entries = BUFFERS};
    void *memory;
    if (posix_memalign(&memory, 4096, BUFFERS * sizeof(struct io_uring_buf)))
        die("memory");
    at.ring_addr = (uintptr_t)memory;
    int err = io_uring_queue_init(BUFFERS, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    if (!err)
        err = io_uring_register_buf_ring(&ring, &at, 0);
    if (err) {
        fprintf(stderr, "io_uring: %s\n", strerror(-err));
        exit(1);
    }
    buffers = memory;
    io_uring_buf_ring_init(buffers);
    buffer_memory = malloc((size_t)BUFFERS * BUFFER_SIZE);
    for (int i = 0; i < BUFFERS; i++)
        give_buffer(i);
}

// Everything that comes is received into the buffers, until there are none.
static void arm(struct client *client) {
    struct io_uring_sqe *sqe;
    while (!(sqe = io_uring_get_sqe(&ring)))
        io_uring_submit(&ring);
    io_uring_prep_recv_multishot(sqe, client->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    io_uring_sqe_set_data(sqe, client);
}

static void take_bytes(struct client *client, const struct io_uring_cqe *cqe) {
    if (cqe->res <= 0 && cqe->res != -ENOBUFS) {
        fprintf(stderr, "receive: %s\n", strerror(-cqe->res));
        exit(1);
    }
    if (cqe->res > 0) {
        int index = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        if (client->in_size + (size_t)cqe->res > sizeof client->in)
            die("an answer is too large");
        memcpy(client->in + client->in_size, buffer_memory + (size_t)index * BUFFER_SIZE, (size_t)cqe->res);
        client->in_size += (size_t)cqe->res;
        give_buffer(index);
    }
    if (!(cqe->flags & IORING_CQE_F_MORE))
        arm(client);
}

// Waits until something has come.
static void wait_some(void) {
    struct __kernel_timespec timeout = {.tv_sec = SILENCE_S};
    struct io_uring_cqe *cqe;
    int n;
    do
        n = io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &timeout, NULL);
    while (n == -EINTR);
    if (n < 0) {
        fprintf(stderr, n == -ETIME ? "answers missing after %d s\n" : "io_uring fails\n", SILENCE_S);
        exit(1);
    }
    now = now_ns();
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: commit_load HOST PORT TOPIC CLIENTS INFLIGHT PARTITIONS SECONDS\n");
        return 2;
    }
    if (getenv("GROUPS"))
        groups = (uint32_t)atoi(getenv("GROUPS"));
    uint64_t most = getenv("COUNT") ? strtoull(getenv("COUNT"), NULL, 10) : UINT64_MAX;
    int clients = atoi(argv[4]), inflight = atoi(argv[5]), partitions = atoi(argv[6]);
    if (clients < 1 || inflight < 1 || inflight > INFLIGHT_MAX || groups < 1 || groups > 100000 || partitions < 1 || partitions > 1000)
        return 2;
    struct client *all = calloc((size_t)clients, sizeof *all);
    make_ring();
    now = now_ns();
    for (int i = 0; i < clients; i++) {
        all[i].fd = dial(argv[1], atoi(argv[2]));
        make_request(&all[i], i, argv[3], partitions);
        if (i == 0)
            find_coordinator(&all[0]);
        prime(&all[i]);
        arm(&all[i]);
    }
    free(latencies.buckets);
    latencies = (struct latencies){0};
    const char *pid = getenv("SERVER_PID");
    double cpu = pid ? cpu_of(pid) : 0;
    int64_t start = now = now_ns(), end = start + (int64_t)(atof(argv[7]) * 1e9);
    uint64_t errors = 0;
    int waiting = clients * inflight;
    for (int i = 0; i < clients; i++)
        send_some(&all[i], inflight);
    while (waiting) {
        wait_some();
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        io_uring_for_each_cqe(&ring, head, cqe) {
            struct client *client = io_uring_cqe_get_data(cqe);
            int16_t error = 0;
            take_bytes(client, cqe);
            int answers = take_answers(client, &error);
            errors += answers && error;
            if (!answers) {
            } else if (most != UINT64_MAX ? latencies.count < most : now < end) {
                send_some(client, answers);
            } else {
                waiting -= answers;
            }
            seen++;
        }
        io_uring_cq_advance(&ring, seen);
    }
    double seconds = (double)(now_ns() - start) / 1e9;
    printf("commits clients=%d inflight=%d partitions=%d: commits_per_s=%.0f errors=%lu p50_ms=%.3f p99_ms=%.3f p999_ms=%.3f", clients, inflight,
           partitions, (double)latencies.count / seconds, (unsigned long)errors, latencies_ms(&latencies, .5), latencies_ms(&latencies, .99),
           latencies_ms(&latencies, .999));
    if (pid) {
        double used = cpu_of(pid) - cpu;
        printf(" server_cpu_s=%.2f server_cpu_us_per_commit=%.2f", used, used * 1e6 / (double)latencies.count);
    }
    printf("\n");
    return errors != 0;
}
