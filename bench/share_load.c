/* Members of a share group: each connection fetches as many records as it may and acknowledges them with its next fetch.
 * Records are not looked at. Prints records and answers a second.
 *
 *     build/bench/share_load HOST PORT GROUP TOPIC_ID_HEX PARTITIONS CONNECTIONS MAX_RECORDS SECONDS */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint8_t *put(uint8_t *at, uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; i--)
        *at++ = (uint8_t)(value >> (8 * i));
    return at;
}
static uint8_t *put_uvar(uint8_t *at, uint32_t value) {
    for (; value >= 128; value >>= 7)
        *at++ = (uint8_t)(value | 128);
    *at++ = (uint8_t)value;
    return at;
}
static uint8_t *put_text(uint8_t *at, const char *text) {
    at = put_uvar(at, (uint32_t)strlen(text) + 1);
    memcpy(at, text, strlen(text));
    return at + strlen(text);
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

static size_t request(uint8_t *out, const char *id, int32_t epoch, const struct range *ranges, int count) {
    uint8_t *at = put(out + 4, 78, 2);
    at = put(put(at, 1, 2), (uint64_t)epoch, 4);
    at = put(at, 5, 2);
    memcpy(at, "bench", 5);
    at = put_uvar(at + 5, 0);
    at = put_text(put_text(at, group), id);
    at = put(put(put(put(put(put(at, (uint64_t)epoch, 4), 500, 4), 1, 4), 50 << 20, 4), (uint64_t)max_records, 4), (uint64_t)max_records, 4);
    at = put_uvar(at, 2);
    memcpy(at, topic_id, 16);
    at = put_uvar(at + 16, (uint32_t)partitions + 1);
    for (int p = 0; p < partitions; p++) {
        int mine = 0;
        for (int i = 0; i < count; i++)
            mine += ranges[i].partition == p;
        at = put_uvar(put(at, (uint64_t)p, 4), (uint32_t)mine + 1);
        for (int i = 0; i < count; i++)
            if (ranges[i].partition == p) {
                at = put(put(at, (uint64_t)ranges[i].first, 8), (uint64_t)ranges[i].last, 8);
                at = put_uvar(put(put_uvar(at, 2), 1, 1), 0);
            }
        at = put_uvar(at, 0);
    }
    at = put_uvar(put_uvar(put_uvar(at, 0), 1), 0);
    put(out, (uint64_t)(at - out - 4), 4);
    return (size_t)(at - out);
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
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        exit((perror("connect"), 1));
    uint8_t *answer = malloc(ANSWER_MAX), *out = malloc((size_t)(RANGES_MAX + partitions) * 32 + 4096);
    struct range *ranges = malloc(sizeof *ranges * RANGES_MAX);
    char id[32];
    snprintf(id, sizeof id, "member-%d", member->index);
    for (int32_t epoch = 0, count = 0; now() < until; epoch++) {
        size_t size = request(out, id, epoch, ranges, count);
        if (send(fd, out, size, MSG_NOSIGNAL) != (ssize_t)size)
            exit((perror("send"), 1));
        uint32_t length;
        receive(fd, &length, 4);
        length = ntohl(length);
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
