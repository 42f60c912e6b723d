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
#include <arpa/inet.h>
#include <endian.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { INFLIGHT_MAX = 64, BUCKETS = 1000000, RETRY_US = 100000, BUFFERS = 1024, BUFFER_SIZE = 4096, SILENCE_S = 180 };

struct client {
    int fd, out, head, tail;
    uint8_t *request;
    size_t size, digits; // digits: where the group's number is
    uint32_t next_group;
    int64_t when[INFLIGHT_MAX];
    uint8_t in[65536];
    size_t in_size;
};
static uint32_t *histogram; // 1 us buckets to 1 s
static uint64_t count;
static uint32_t groups = 1; // of each client
static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static uint8_t *buffer_memory;
static int64_t now; // when the loop woke: what had come by then has come

static void die(const char *what) {
    perror(what);
    exit(1);
}
static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}
static double percentile(double p) {
    uint64_t want = (uint64_t)((double)count * p), sum = 0;
    for (int i = 0; i < BUCKETS; i++)
        if ((sum += histogram[i]) > want)
            return i / 1000.0;
    return 1000;
}
static double cpu_of(const char *pid) {
    char path[64], line[2048] = "";
    unsigned long user, system;
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file))
        die(path);
    fclose(file);
    if (sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        die(path);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static uint8_t *put(uint8_t *p, uint64_t x, int bytes) {
    for (int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(x >> (8 * (bytes - 1 - i)));
    return p + bytes;
}
static uint8_t *put_string(uint8_t *p, const char *s) {
    p = put(p, strlen(s), 2);
    memcpy(p, s, strlen(s));
    return p + strlen(s);
}

static void make_request(struct client *client, int index, const char *topic, int partitions) {
    char group[32];
    snprintf(group, sizeof group, "commit-load-%05d-00000", index);
    client->request = malloc((256 + strlen(topic) + (size_t)partitions * 16) * INFLIGHT_MAX);
    uint8_t *p = client->request + 4;
    p = put(p, 8, 2);   // OffsetCommit
    p = put(p, 2, 2);
    p = put(p, 0, 4);
    p = put_string(p, "commit_load");
    p = put_string(p, group);
    client->digits = (size_t)(p - client->request) - 5;
    p = put(p, UINT32_MAX, 4); // generation -1
    p = put_string(p, "");
    p = put(p, UINT64_MAX, 8); // retention -1
    p = put(p, 1, 4);
    p = put_string(p, topic);
    p = put(p, (uint64_t)partitions, 4);
    for (int i = 0; i < partitions; i++) {
        p = put(p, (uint64_t)i, 4);
        p = put(p, (uint64_t)index, 8);
        p = put_string(p, "");
    }
    client->size = (size_t)(p - client->request);
    put(client->request, client->size - 4, 4);
    for (size_t i = 1; i < INFLIGHT_MAX; i++) // so that several go out at once
        memcpy(client->request + i * client->size, client->request, client->size);
}

static void send_some(struct client *client, int requests) {
    for (int i = 0; i < requests; i++) {
        client->when[client->tail++ % INFLIGHT_MAX] = now;
        uint8_t *digit = client->request + (size_t)i * client->size + client->digits + 5;
        for (uint32_t x = client->next_group, k = 0; k < 5; k++, x /= 10)
            *--digit = (uint8_t)('0' + x % 10);
        client->next_group = (client->next_group + 1) % groups;
    }
    client->out += requests;
    for (size_t sent = 0, size = client->size * (size_t)requests; sent < size;) {
        ssize_t n = send(client->fd, client->request + sent, size - sent, MSG_NOSIGNAL);
        if (n <= 0)
            die("send");
        sent += (size_t)n;
    }
}

static uint32_t get32(const uint8_t *p) {
    uint32_t x;
    memcpy(&x, p, 4);
    return be32toh(x);
}

// Takes the answers in client->in; the error code of the last one's first partition in *ret_error.
static int take_answers(struct client *client, int16_t *ret_error) {
    int answers = 0;
    size_t at = 0;
    while (client->in_size - at >= 4 && client->in_size - at >= 4 + get32(client->in + at)) {
        const uint8_t *p = client->in + at + 4 + 4 + 4; // correlation, topics
        p += 2 + (p[0] << 8 | p[1]) + 4 + 4;            // name, partitions, index
        *ret_error = (int16_t)(p[0] << 8 | p[1]);
        at += 4 + get32(client->in + at);
        int64_t us = (now - client->when[client->head++ % INFLIGHT_MAX]) / 1000;
        histogram[us < BUCKETS ? us : BUCKETS - 1]++;
        count++;
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
    uint8_t frame[128], *p = frame + 4;
    p = put(p, 10, 2);
    p = put(p, 0, 2);
    p = put(p, 0, 4);
    p = put_string(p, "commit_load");
    p = put_string(p, "commit-load-00000-00000");
    put(frame, (uint64_t)(p - frame - 4), 4);
    if (send(client->fd, frame, (size_t)(p - frame), MSG_NOSIGNAL) != p - frame || recv(client->fd, frame, sizeof frame, 0) <= 0)
        die("FindCoordinator");
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
    int clients = atoi(argv[4]), inflight = atoi(argv[5]), partitions = atoi(argv[6]), one = 1;
    if (clients < 1 || inflight < 1 || inflight > INFLIGHT_MAX || groups < 1 || groups > 100000 || partitions < 1 || partitions > 1000)
        return 2;
    histogram = calloc(BUCKETS, sizeof *histogram);
    struct client *all = calloc((size_t)clients, sizeof *all);
    make_ring();
    now = now_ns();
    for (int i = 0; i < clients; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
        all[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1 || connect(all[i].fd, (void *)&address, sizeof address))
            die("connect");
        setsockopt(all[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        make_request(&all[i], i, argv[3], partitions);
        if (i == 0)
            find_coordinator(&all[0]);
        prime(&all[i]);
        arm(&all[i]);
    }
    memset(histogram, 0, BUCKETS * sizeof *histogram);
    count = 0;
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
            } else if (most != UINT64_MAX ? count < most : now < end) {
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
           partitions, (double)count / seconds, (unsigned long)errors, percentile(.5), percentile(.99), percentile(.999));
    if (pid) {
        double used = cpu_of(pid) - cpu;
        printf(" server_cpu_s=%.2f server_cpu_us_per_commit=%.2f", used, used * 1e6 / (double)count);
    }
    printf("\n");
    return errors != 0;
}
