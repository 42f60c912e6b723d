// commits: committed offsets per second, from clients that each wait for the answer before they commit again.
//
//   commits HOST PORT TOPIC CLIENTS PARTITIONS SECONDS [GROUPS]
//
// Each client commits one offset for each of PARTITIONS partitions of TOPIC in one OffsetCommit v7, as a consumer does that
// is in no group of members; client i takes the groups bench-i, bench-i+CLIENTS, ... of GROUPS in turn (default: one each).
// Prints requests and offsets a second, latency, and with SERVER_PID the server's CPU seconds and peak RSS.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint8_t *at;
static void i16(int v) {
    uint16_t x = htobe16((uint16_t)v);
    memcpy(at, &x, 2);
    at += 2;
}
static void i32(int32_t v) {
    uint32_t x = htobe32((uint32_t)v);
    memcpy(at, &x, 4);
    at += 4;
}
static void i64(int64_t v) {
    uint64_t x = htobe64((uint64_t)v);
    memcpy(at, &x, 8);
    at += 8;
}
static void str(const char *s) {
    i16((int)strlen(s));
    memcpy(at, s, strlen(s));
    at += strlen(s);
}
static int64_t now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}
static void die(const char *s) {
    perror(s);
    exit(1);
}
static double server_cpu(long *rss) {
    char path[64], line[256];
    double cpu = 0;
    *rss = 0;
    if (!getenv("SERVER_PID"))
        return 0;
    snprintf(path, sizeof path, "/proc/%s/stat", getenv("SERVER_PID"));
    FILE *f = fopen(path, "r");
    unsigned long user, sys;
    if (f && fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) == 2)
        cpu = (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
    if (f)
        fclose(f);
    snprintf(path, sizeof path, "/proc/%s/status", getenv("SERVER_PID"));
    for (f = fopen(path, "r"); f && fgets(line, sizeof line, f);)
        sscanf(line, "VmHWM: %ld", rss);
    if (f)
        fclose(f);
    return cpu;
}

enum { BUCKETS = 200000, US = 10 }; // of 10 us
static uint32_t histogram[BUCKETS];
static double percentile(uint64_t count, double p) {
    uint64_t want = (uint64_t)((double)count * p), seen = 0;
    for (int i = 0; i < BUCKETS; i++)
        if ((seen += histogram[i]) > want)
            return i * US / 1000.0;
    return BUCKETS * US / 1000.0;
}

struct client {
    int fd, group;
    uint8_t *request;
    size_t size, have;
    uint8_t answer[65536];
    int64_t sent;
};
static const char *topic;
static int partitions, clients, groups;
static int64_t offset;

static void commit(struct client *client) {
    char group[32];
    at = client->request + 4;
    i16(8), i16(7), i32(1), str("bench");
    snprintf(group, sizeof group, "bench-%d", client->group);
    client->group = (client->group + clients) % groups;
    str(group), i32(-1), str(""), i16(-1), i32(1), str(topic), i32(partitions);
    for (int p = 0; p < partitions; p++)
        i32(p), i64(offset), i32(-1), i16(0);
    offset++;
    client->size = (size_t)(at - client->request);
    at = client->request;
    i32((int32_t)client->size - 4);
    client->sent = now();
    if (send(client->fd, client->request, client->size, MSG_NOSIGNAL) != (ssize_t)client->size)
        die("send");
}

static int dial(const char *host, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (connect(fd, (struct sockaddr *)&a, sizeof a))
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

int main(int argc, char **argv) {
    if (argc < 7)
        return fprintf(stderr, "commits HOST PORT TOPIC CLIENTS PARTITIONS SECONDS [GROUPS]\n"), 1;
    topic = argv[3];
    clients = atoi(argv[4]);
    partitions = atoi(argv[5]);
    groups = argc > 7 ? atoi(argv[7]) : clients;
    struct client *all = calloc((size_t)clients, sizeof *all);
    int ep = epoll_create1(0);
    for (int i = 0; i < clients; i++) {
        all[i].fd = dial(argv[1], atoi(argv[2]));
        all[i].group = i % groups;
        all[i].request = malloc(256 + strlen(topic) + 18 * (size_t)partitions);
        struct epoll_event event = {EPOLLIN, {.ptr = &all[i]}};
        epoll_ctl(ep, EPOLL_CTL_ADD, all[i].fd, &event);
    }
    long rss;
    double cpu = server_cpu(&rss);
    int64_t begun = now(), end = begun + (int64_t)(atof(argv[6]) * 1e9);
    uint64_t requests = 0, errors = 0;
    int live = clients;
    for (int i = 0; i < clients; i++)
        commit(&all[i]);
    while (live) {
        struct epoll_event events[256];
        int count = epoll_wait(ep, events, 256, 20000);
        if (count <= 0)
            return fprintf(stderr, "answers are missing\n"), 1;
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            ssize_t got = recv(client->fd, client->answer + client->have, sizeof client->answer - client->have, 0);
            if (got <= 0)
                die("recv");
            client->have += (size_t)got;
            uint32_t size;
            memcpy(&size, client->answer, 4);
            if (client->have < 4 || client->have < 4 + be32toh(size))
                continue;
            int16_t error;
            memcpy(&error, client->answer + client->have - 2, 2); // of the last partition
            errors += error != 0;
            client->have = 0;
            requests++;
            int64_t took = (now() - client->sent) / 1000 / US;
            histogram[took < BUCKETS ? took : BUCKETS - 1]++;
            if (now() < end)
                commit(client);
            else
                live--;
        }
    }
    double seconds = (double)(now() - begun) / 1e9;
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    printf("commits clients=%d partitions=%d groups=%d: requests_per_s=%.0f offsets_per_s=%.0f errors=%lu p50_ms=%.2f p99_ms=%.2f "
           "p999_ms=%.2f client_cpu_s=%.2f",
           clients, partitions, groups, (double)requests / seconds, (double)requests * partitions / seconds, errors,
           percentile(requests, .5), percentile(requests, .99), percentile(requests, .999),
           (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) + (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6);
    double after = server_cpu(&rss);
    printf(" server_cpu_s=%.2f server_rss_mb=%.1f\n", after - cpu, (double)rss / 1024);
    return errors != 0;
}
