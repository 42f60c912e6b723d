/* Members of a share group: each connection fetches as many records as it may and acknowledges them with its next fetch.
 * Records are not looked at. Prints records and answers a second.
 *
 *     build/bench/share_load HOST PORT GROUP TOPIC_ID_HEX PARTITIONS CONNECTIONS MAX_RECORDS SECONDS */
#define _GNU_SOURCE
#include <pthread.h>

#include "client.h"

enum { RANGES_MAX = 4096, ANSWER_MAX = 64 << 20 };
struct range {
    int32_t partition;
    int64_t first, last;
};
struct member {
    pthread_t thread;
    int index;
    uint64_t records, answers, errors;
};
static const char *host, *group;
static int port, partitions, max_records;
static uint8_t topic_id[16];
static double until;

static double now(void) {
    return (double)now_ns() / 1e9;
}

static void put_uvarint(struct bytes *b, uint32_t x) {
    for (; x >= 128; x >>= 7)
        put8(b, (int)(x | 128));
    put8(b, (int)x);
}
static void put_compact(struct bytes *b, const char *text) {
    put_uvarint(b, (uint32_t)strlen(text) + 1);
    put(b, text, strlen(text));
}
static uint64_t get(const uint8_t **at, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | *(*at)++;
    return value;
}
static uint32_t get_uvar(const uint8_t **at) {
    uint32_t value = 0;
    for (int shift = 0;; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint32_t)(byte & 127) << shift;
        if (byte < 128)
            return value;
    }
}
static void skip_bytes(const uint8_t **at) { /* compact, nullable */
    uint32_t size = get_uvar(at);
    *at += size ? size - 1 : 0;
}

static void make_request(struct bytes *b, const char *id, int32_t epoch, const struct range *ranges, int count) {
    b->size = 0;
    put32(b, 0); /* the frame's size */
    put16(b, 78);
    put16(b, 1);
    put32(b, epoch);
    put_text(b, "bench");
    put8(b, 0);
    put_compact(b, group);
    put_compact(b, id);
    put32(b, epoch);
    put32(b, 500);
    put32(b, 1);
    put32(b, 50 << 20);
    put32(b, max_records);
    put32(b, max_records);
    put_uvarint(b, 2);
    put(b, topic_id, sizeof topic_id);
    put_uvarint(b, (uint32_t)partitions + 1);
    for (int p = 0; p < partitions; p++) {
        uint32_t mine = 0;
        for (int i = 0; i < count; i++)
            mine += ranges[i].partition == p;
        put32(b, p);
        put_uvarint(b, mine + 1);
        for (int i = 0; i < count; i++) {
            if (ranges[i].partition != p)
                continue;
            put64(b, ranges[i].first);
            put64(b, ranges[i].last);
            put_uvarint(b, 2); /* one type, accepted, for all of them */
            put8(b, 1);
            put8(b, 0);
        }
        put8(b, 0);
    }
    put8(b, 0);
    put_uvarint(b, 1); /* nothing forgotten */
    put8(b, 0);
    store32(b->ptr, (uint32_t)b->size - 4);
}

static void note(struct member *member, int16_t error, const char *where) {
    if (error && !member->errors++)
        fprintf(stderr, "error %d of %s\n", error, where);
}

static int read_answer(struct member *member, const uint8_t *at, struct range *ranges) {
    int count = 0;
    at += 4; /* correlation id */
    get_uvar(&at);
    get(&at, 4);
    note(member, (int16_t)get(&at, 2), "the answer");
    skip_bytes(&at);
    get(&at, 4);
    for (uint32_t topics = get_uvar(&at); topics > 1; topics--) {
        at += 16;
        for (uint32_t parts = get_uvar(&at); parts > 1; parts--) {
            int32_t partition = (int32_t)get(&at, 4);
            note(member, (int16_t)get(&at, 2), "a partition");
            skip_bytes(&at);
            note(member, (int16_t)get(&at, 2), "acknowledgements");
            skip_bytes(&at);
            get(&at, 8);
            get_uvar(&at);
            skip_bytes(&at);
            for (uint32_t acquired = get_uvar(&at); acquired > 1; acquired--) {
                struct range range = {partition, (int64_t)get(&at, 8), 0};
                range.last = (int64_t)get(&at, 8);
                get(&at, 2);
                get_uvar(&at);
                if (count < RANGES_MAX)
                    ranges[count++] = range;
                member->records += (uint64_t)(range.last - range.first + 1);
            }
            get_uvar(&at);
        }
        get_uvar(&at);
    }
    return count;
}

static void receive(int fd, void *to, size_t size) {
    for (size_t have = 0; have < size;) {
        ssize_t got = recv(fd, (char *)to + have, size - have, 0);
        if (got <= 0)
            exit((fprintf(stderr, "the server closed the connection\n"), 1));
        have += (size_t)got;
    }
}

static void *run(void *arg) {
    struct member *member = arg;
    int fd = dial(host, port);
    uint8_t *answer = malloc(ANSWER_MAX);
    struct bytes out = {0};
    struct range *ranges = malloc(sizeof *ranges * RANGES_MAX);
    char id[32];
    snprintf(id, sizeof id, "member-%d", member->index);
    for (int32_t epoch = 0, count = 0; now() < until; epoch++) {
        make_request(&out, id, epoch, ranges, count);
        send_all(fd, &out);
        uint8_t prefix[4];
        receive(fd, prefix, sizeof prefix);
        uint32_t length = (uint32_t)get32(prefix);
        if (length > ANSWER_MAX)
            exit((fprintf(stderr, "an answer of %u bytes\n", length), 1));
        receive(fd, answer, length);
        count = read_answer(member, answer, ranges);
        member->answers++;
    }
    close(fd);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 9)
        exit((fprintf(stderr, "share_load HOST PORT GROUP TOPIC_ID_HEX PARTITIONS CONNECTIONS MAX_RECORDS SECONDS\n"), 2));
    host = argv[1];
    port = atoi(argv[2]);
    group = argv[3];
    for (int i = 0; i < 16; i++)
        sscanf(argv[4] + 2 * i, "%2hhx", &topic_id[i]);
    partitions = atoi(argv[5]);
    int connections = atoi(argv[6]);
    max_records = atoi(argv[7]);
    double start = now(), seconds = atof(argv[8]);
    until = start + seconds;
    struct member *members = calloc((size_t)connections, sizeof *members);
    for (int i = 0; i < connections; i++) {
        members[i].index = i;
        pthread_create(&members[i].thread, NULL, run, &members[i]);
    }
    uint64_t records = 0, answers = 0, errors = 0;
    for (int i = 0; i < connections; i++) {
        pthread_join(members[i].thread, NULL);
        records += members[i].records;
        answers += members[i].answers;
        errors += members[i].errors;
    }
    double took = now() - start;
    printf("records_per_s %.0f answers_per_s %.0f errors %llu\n", (double)records / took, (double)answers / took, (unsigned long long)errors);
}
