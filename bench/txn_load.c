/* Transactions put on a server of Kafka's protocol, at next to no cost of its own: each producer is a connection and a
 * thread that sends one Produce 12 (its records, one batch a partition) and one EndTxn 5, waits for both, and begins again.
 *
 *     txn_load HOST PORT TOPIC PRODUCERS PARTITIONS RECORDS RECORD_BYTES SECONDS
 *
 * PARTITIONS of the topic are in each transaction; the records are spread over them. A producer that is told to come again
 * (its last transaction is not over yet) does so at once. Printed: transactions a second, latency from the first byte of
 * Produce to the answer of EndTxn, and how often a request was repeated. */
#define _GNU_SOURCE
#include <pthread.h>

#include "client.h"

enum { FRAME_MAX = 8 << 20, SAMPLES_MAX = 4 << 20 };
static const char *host, *topic;
static int port, producers, partitions, records, record_bytes;
static double seconds;
static volatile int stop;
static uint64_t begin_us;

struct producer {
    pthread_t thread;
    int index, fd;
    struct bytes out, batch, front; /* a request; what is made for it: a batch, a record up to its value */
    uint8_t *in;
    int64_t id;
    int16_t epoch;
    uint64_t done, repeated;
    uint32_t *latency_us;
};

static uint64_t now_us(void) {
    return (uint64_t)now_ns() / 1000;
}

/* ---- encoding --------------------------------------------------------------------------------------------------------- */

static void put_uvarint(struct bytes *b, uint64_t x) {
    for (; x >= 0x80; x >>= 7)
        put8(b, (int)(x | 0x80));
    put8(b, (int)x);
}
static void put_compact(struct bytes *b, const char *text) {
    put_uvarint(b, strlen(text) + 1);
    put(b, text, strlen(text));
}
static void head(struct producer *p, int key, int version) {
    p->out.size = 0;
    put32(&p->out, 0); /* the frame's size */
    put16(&p->out, key);
    put16(&p->out, version);
    put32(&p->out, 7);
    put16(&p->out, 4);
    put(&p->out, "load", 4);
    put8(&p->out, 0);
}
static const char *id_of(const struct producer *p, char text[32]) {
    snprintf(text, 32, "load-%d", p->index);
    return text;
}

static void make_batch(struct producer *p, int count) {
    struct bytes *b = &p->batch, *front = &p->front;
    b->size = 0;
    put64(b, 0);
    put32(b, 0);
    put32(b, -1);
    put8(b, 2);
    put32(b, 0);
    put16(b, 0x10);
    put32(b, count - 1);
    put64(b, 1700000000000);
    put64(b, 1700000000000);
    put64(b, p->id);
    put16(b, p->epoch);
    put32(b, 0);
    put32(b, count);
    for (int i = 0; i < count; i++) {
        uint8_t key[2] = {(uint8_t)i, (uint8_t)p->index};
        front->size = 0;
        put8(front, 0);
        put_varint(front, 0);
        put_varint(front, i);
        put_varint(front, 2);
        put(front, key, 2);
        put_varint(front, record_bytes);
        put_varint(b, (int64_t)front->size + record_bytes + 1);
        put(b, front->ptr, front->size);
        memset(bytes_reserve(b, (size_t)record_bytes), 'a' + i % 26, (size_t)record_bytes);
        b->size += (size_t)record_bytes;
        put8(b, 0);
    }
    store32(b->ptr + 8, (uint32_t)(b->size - 12));
    store32(b->ptr + 17, crc32c(b->ptr + 21, b->size - 21));
}

/* ---- asking ----------------------------------------------------------------------------------------------------------------- */

static void receive(struct producer *p, void *ptr, size_t size) {
    for (size_t at = 0; at < size;) {
        ssize_t got = recv(p->fd, (uint8_t *)ptr + at, size - at, 0);
        if (got <= 0)
            die("recv");
        at += (size_t)got;
    }
}
/* The answer's body, behind correlation id and (flexible) header tags. */
static const uint8_t *ask(struct producer *p) {
    store32(p->out.ptr, (uint32_t)p->out.size - 4);
    send_all(p->fd, &p->out);
    uint8_t prefix[4];
    receive(p, prefix, sizeof prefix);
    size_t size = (size_t)get32(prefix);
    if (size > FRAME_MAX)
        die("frame");
    receive(p, p->in, size);
    return p->in + 5;
}

static int init(struct producer *p) {
    char id[32];
    head(p, 22, 4);
    put_compact(&p->out, id_of(p, id));
    put32(&p->out, 60000);
    put64(&p->out, -1);
    put16(&p->out, -1);
    put8(&p->out, 0);
    const uint8_t *a = ask(p);
    int error = get16(a + 4);
    p->id = get64(a + 6);
    p->epoch = get16(a + 14);
    return error;
}

static void find_coordinator(struct producer *p) {
    char id[32];
    head(p, 10, 4);
    put8(&p->out, 1);
    put_uvarint(&p->out, 2);
    put_compact(&p->out, id_of(p, id));
    put8(&p->out, 0);
    ask(p);
}

/* The first error of a partition; 0: none. */
static int produce(struct producer *p) {
    char id[32];
    head(p, 0, 12);
    put_compact(&p->out, id_of(p, id));
    put16(&p->out, -1);
    put32(&p->out, 30000);
    put_uvarint(&p->out, 2);
    put_compact(&p->out, topic);
    put_uvarint(&p->out, (uint64_t)partitions + 1);
    for (int i = 0; i < partitions; i++) {
        put32(&p->out, (p->index + i) % producers);
        make_batch(p, records / partitions);
        put_uvarint(&p->out, p->batch.size + 1);
        put(&p->out, p->batch.ptr, p->batch.size);
        put8(&p->out, 0);
    }
    put8(&p->out, 0);
    put8(&p->out, 0);
    const uint8_t *a = ask(p);
    a += 1 + 1 + strlen(topic) + 1; /* one topic, its name, its partitions */
    for (int i = 0; i < partitions; i++) {
        int error = get16(a + 4);
        if (error)
            return error;
        a += 4 + 2 + 8 + 8 + 8 + 1 + 1 + 1; /* no record errors, no message, no tags */
    }
    return 0;
}

static int end(struct producer *p) {
    char id[32];
    head(p, 26, 5);
    put_compact(&p->out, id_of(p, id));
    put64(&p->out, p->id);
    put16(&p->out, p->epoch);
    put8(&p->out, 1);
    put8(&p->out, 0);
    const uint8_t *a = ask(p);
    int error = get16(a + 4);
    if (!error) {
        p->id = get64(a + 6);
        p->epoch = get16(a + 14);
    }
    return error;
}

static void *run(void *arg) {
    struct producer *p = arg;
    p->fd = dial(host, port);
    p->in = malloc(FRAME_MAX);
    p->latency_us = malloc(sizeof *p->latency_us * SAMPLES_MAX);
    for (int tries = 0; init(p); tries++) {
        if (tries > 3000)
            die("no producer id");
        find_coordinator(p);
        usleep(20000);
    }
    while (now_us() < begin_us)
        usleep(1000);
    while (!stop && p->done < SAMPLES_MAX) {
        uint64_t at = now_us();
        int error;
        while ((error = produce(p)) == 51 || error == 19) /* CONCURRENT_TRANSACTIONS, NOT_ENOUGH_REPLICAS */
            p->repeated++;
        while (!error && (error = end(p)) == 51)
            p->repeated++;
        if (error) {
            fprintf(stderr, "error %d\n", error);
            exit(1);
        }
        p->latency_us[p->done++] = (uint32_t)(now_us() - at);
    }
    return NULL;
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 9) {
        fprintf(stderr, "usage: txn_load HOST PORT TOPIC PRODUCERS PARTITIONS RECORDS RECORD_BYTES SECONDS\n");
        return 2;
    }
    host = argv[1], port = atoi(argv[2]), topic = argv[3], producers = atoi(argv[4]), partitions = atoi(argv[5]);
    records = atoi(argv[6]), record_bytes = atoi(argv[7]), seconds = atof(argv[8]);
    struct producer *all = calloc((size_t)producers, sizeof *all);
    begin_us = now_us() + 2000000;
    for (int i = 0; i < producers; i++) {
        all[i].index = i;
        pthread_create(&all[i].thread, NULL, run, &all[i]);
    }
    while (now_us() < begin_us + (uint64_t)(seconds * 1e6))
        usleep(1000);
    stop = 1;
    uint64_t done = 0, repeated = 0;
    for (int i = 0; i < producers; i++) {
        pthread_join(all[i].thread, NULL);
        done += all[i].done;
        repeated += all[i].repeated;
    }
    uint32_t *latency = malloc(sizeof *latency * (done + 1));
    uint64_t at = 0;
    for (int i = 0; i < producers; i++) {
        memcpy(latency + at, all[i].latency_us, sizeof *latency * all[i].done);
        at += all[i].done;
    }
    qsort(latency, done, sizeof *latency, compare);
    if (!done)
        return 1;
    printf("txns_per_s=%.0f p50_ms=%.2f p99_ms=%.2f p999_ms=%.2f repeated=%llu\n", (double)done / seconds, latency[done / 2] / 1e3,
           latency[done * 99 / 100] / 1e3, latency[done * 999 / 1000] / 1e3, (unsigned long long)repeated);
    return 0;
}
