/* What the files of myelin-sim share. A reading order: main.c (seeds, processes), cluster.c (the node, its disk, the faults),
 * model.c (what was promised, and the checks), client.c (a connection), producer.c, consumer.c, admin.c, transactor.c,
 * txn_reader.c, member.c, share_writer.c, sharer.c, keeper.c (who uses it).
 *
 * One seed is one process: a broker that crashes there ends only that seed, and what a killed node had allocated goes
 * with the process. */
#ifndef TESTS_SIM_SIM_TEST_H
#define TESTS_SIM_SIM_TEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "protocol/api.h"
#include "protocol/batch.h"
#include "protocol/compress.h"
#include "protocol/errors.h"
#include "runtime/sim/sim.h"

enum { PARTITIONS_MAX = 16, PRODUCERS_MAX = 8, CONSUMERS_MAX = 4, TOPICS_MAX = 5 };
#define BROKER_HOST "10.0.0.1"
#define CLIENT_HOST "10.0.0.9"
enum { BROKER_PORT = 9092 };

struct world;

/* ---- model.c: what was promised ------------------------------------------------------------------------------- */

struct topic {
    char name[32];
    struct uuid id;
    bool created, has_id;
    bool compacted;
    bool retention;      /* records may go by themselves */
    int partition_count;
    int64_t segment_bytes, segment_ms, flush_messages;
};

struct record_id { /* which record of which producer; count from 1, 0: none */
    uint32_t producer, number;
};

struct ledger { /* of one partition */
    struct world *world;
    struct topic *topic;
    int32_t index;
    struct record_id *promised; /* by offset: acknowledged there, or shown there */
    int64_t promised_count, promised_capacity;
    int64_t high;        /* the largest end that was told to a client */
    int64_t deleted_to;  /* DeleteRecords was asked for up to here */
    bool damaged;        /* a bit of it was flipped: records may be gone, but none may be wrong */
    bool cut;            /* and the node has started since: what was wrong may have been cut off, and its offsets given anew */
};

/* The seed has failed: says so, with the command that repeats it, and ends the process. */
void violation(struct world *world, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));

void model_acknowledged(struct ledger *partition, int64_t base_offset, uint32_t producer, uint32_t first, int count);
void model_shown(struct ledger *partition, int64_t offset, struct record_id id);
void model_end_told(struct ledger *partition, int64_t end);
/* The broker said where the log starts and ends, to a question asked when `high` was the largest end told. */
void model_check_end(struct ledger *partition, int64_t end, int64_t high, const char *who);
void model_check_start(struct ledger *partition, int64_t start);

/* The value of a record, from what it is. */
void record_value(struct record_id id, uint8_t *ptr, size_t size);
enum { RECORD_VALUE_MIN = 12 };
/* Which record it is; ends the seed when the bytes are not what was sent. */
struct record_id record_check(struct ledger *partition, int64_t offset, struct slice value);
/* Walks the records of one whole batch. False: the CRC is wrong. */
bool model_walk_batch(struct ledger *partition, const uint8_t *batch,
                      void (*fn)(void *arg, struct ledger *partition, int64_t offset, struct record_id id), void *arg);

/* What becomes of the transactions of one transactor. */
#define TXN_TOPIC "txn"
enum { TXN_PARTITIONS = 4, TXNS_MAX = 4000, TRANSACTORS_MAX = 3, TRANSACTOR_ID = 1000 }; /* the id of the first, as a producer of records */
enum txn_outcome { TXN_OPEN, TXN_COMMITTED, TXN_ABORTED, TXN_UNKNOWN };
struct txn {
    enum txn_outcome outcome;
    bool with_offset;                /* its number is the offset of its group in partition 0 */
    bool shown;                      /* to a reader of committed data */
    uint8_t records[TXN_PARTITIONS]; /* that it writes */
    uint8_t read[TXN_PARTITIONS];    /* that the last full read found */
};
struct txns {
    struct txn all[TXNS_MAX]; /* from 1 */
    int count;
};

/* What a group promised. */
enum { GROUPS_MAX = 3, MEMBERS_MAX = 9 };
struct group_owner {
    int32_t generation;
    char member[64];
};
struct sim_group {
    char name[24];
    enum { GROUP_CLASSIC, GROUP_CONSUMER, GROUP_STREAMS, GROUP_PROTOCOLS } protocol;
    int32_t synced;                     /* the last generation that somebody got an assignment of */
    int64_t next_offset;                /* commits rise over the whole group */
    int64_t committed[TXN_PARTITIONS];  /* acknowledged */
    struct group_owner owners[TXN_PARTITIONS];
};

/* What a share group promised, by offset. */
#define SHARE_TOPIC "shared"
#define SHARE_GROUP "sharers"
enum { SHARE_PARTITIONS = 2, SHARE_OFFSETS_MAX = 3000, SHARERS_MAX = 3, SHARE_WRITER_ID = 2000, SHARE_LOCK_MS = 1500 };
struct share_record {
    uint32_t number;       /* acknowledged there, or shown there; 0: neither */
    bool acknowledged;     /* to its producer */
    bool unsure;           /* it was accepted or rejected, and the answer was lost */
    uint64_t settled_ns;   /* when its accept or reject was answered; 0: it was not */
    int16_t deliveries;    /* the most that were told */
    uint32_t lost_before;  /* sim_share.lost_fetches, then */
    uint32_t hold;         /* of the last delivery; 0: nobody has it, or it is not known who */
    int8_t holder;
    uint64_t held_ns;
};
struct sim_share {
    bool configured;
    int32_t delivery_limit;
    uint32_t lost_fetches, last_hold; /* lost: those whose answer was, which may have delivered something */
    struct share_record records[SHARE_PARTITIONS][SHARE_OFFSETS_MAX];
};

/* ---- client.c: a connection that comes back -------------------------------------------------------------------- */

struct client {
    struct world *world;
    struct shard *shard;
    struct sock *sock;
    bool connecting, closing, sending;
    struct buf out, out_sending, in;
    size_t in_taken;
    uint8_t chunk[16384];
    int32_t next_correlation;
    struct { /* requests not answered, in order */
        int32_t correlation;
        int16_t key, version;
    } waiting[16];
    int waiting_first, waiting_count;
    struct piece piece;
    struct timer retry, timeout;
    void (*on_connected)(struct client *client);
    /* body: at the first byte after the header */
    void (*on_answer)(struct client *client, int32_t correlation, int16_t key, int16_t version, struct decoder *body);
    void (*on_lost)(struct client *client); /* all that waits is lost; it connects again by itself */
};
void client_start(struct client *client, struct world *world);
bool client_is_ready(const struct client *client); /* connected, and there is room for one more request */
/* Encodes with the generated function and sends. */
#define client_send(client, key, version, name, message, ret_correlation)                                      \
    do {                                                                                                       \
        struct encoder encoder_;                                                                               \
        size_t start_ = client_begin((client), (key), (version), &encoder_);                                   \
        enum err err_ = name##_request_encode(&encoder_, (version), (message));                                \
        check(err_ == ERR_OK, #name " cannot be encoded: %s", err_text(err_));                                 \
        *(ret_correlation) = client_end((client), start_, (key), (version));                                   \
    } while (0)
size_t client_begin(struct client *client, int16_t key, int16_t version, struct encoder *encoder);
int32_t client_end(struct client *client, size_t start, int16_t key, int16_t version);
/* Asks for a coordinator (0: of a group, 1: of a transactional id): the first who asks has its topic made. */
void client_find_coordinator(struct client *client, int8_t type, const char *key);
void client_reset(struct client *client); /* drops the connection */

/* ---- who uses it ------------------------------------------------------------------------------------------------ */

struct producer;
struct producer *producer_create(struct world *world, int id);
void producer_finish(struct producer *producer); /* nothing new from now on */
bool producer_is_idle(const struct producer *producer);
void producer_describe(const struct producer *producer);
bool producer_is_idempotent(const struct producer *producer);
uint64_t producer_acknowledged(const struct producer *producer);

struct consumer;
struct consumer *consumer_create(struct world *world);
/* Reads every partition from its start to its end, and checks that all that was promised is there. */
void consumer_verify(struct consumer *consumer);
bool consumer_is_idle(const struct consumer *consumer);

struct admin;
struct admin *admin_create(struct world *world); /* makes the topics; then alters, deletes records, comes and goes */
bool admin_is_ready(const struct admin *admin);
void admin_finish(struct admin *admin);
bool admin_is_idle(const struct admin *admin);

struct transactor;
struct transactor *transactor_create(struct world *world, int index);
void transactor_finish(struct transactor *transactor);
bool transactor_is_idle(const struct transactor *transactor);
uint64_t transactor_committed(const struct transactor *transactor);
void transactor_describe(const struct transactor *transactor);

struct txn_reader;
struct txn_reader *txn_reader_create(struct world *world);
void txn_reader_verify(struct txn_reader *reader); /* when all transactors are idle */
bool txn_reader_is_idle(const struct txn_reader *reader);

struct member;
struct member *member_create(struct world *world, int index, struct sim_group *group);
void member_finish(struct member *member); /* commits once more */
bool member_is_idle(const struct member *member);
void member_describe(const struct member *member);

struct share_writer;
struct share_writer *share_writer_create(struct world *world);
void share_writer_finish(struct share_writer *writer);
bool share_writer_is_idle(const struct share_writer *writer);
uint64_t share_writer_acknowledged(const struct share_writer *writer);

struct sharer;
struct sharer *sharer_create(struct world *world, int index);
void sharer_finish(struct sharer *sharer); /* accepts all that is left */
void sharer_verify(struct sharer *sharer); /* fetches a few times more: nothing that is settled may come */
bool sharer_is_idle(const struct sharer *sharer);
void sharer_describe(const struct sharer *sharer);
/* Nothing says that it was accepted, rejected, or delivered as often as may be. */
bool share_is_open(const struct world *world, const struct share_record *record);

#define KEPT_TOPIC "kept"
struct keeper;
struct keeper *keeper_create(struct world *world);
void keeper_finish(struct keeper *keeper); /* writes no more */
void keeper_verify(struct keeper *keeper);
bool keeper_has_written(const struct keeper *keeper);
bool keeper_is_quiet(const struct keeper *keeper);
bool keeper_is_idle(const struct keeper *keeper);
void keeper_describe(const struct keeper *keeper);

/* ---- cluster.c: the whole ----------------------------------------------------------------------------------------- */

struct world {
    uint64_t seed;
    bool verbose;
    struct sim *sim;
    struct fs *disk;
    struct runtime *clients, *broker;
    struct node *node;
    struct broker_config *config;
    int dir_count;
    char dirs[256];
    struct topic topics[TOPICS_MAX + 3];
    int topic_count;      /* without those of their own users, which are behind them */
    int made_count;       /* with them */
    struct topic *txn_topic, *share_topic, *kept_topic;
    struct ledger partitions[PARTITIONS_MAX];
    int partition_count;
    struct producer *producers[PRODUCERS_MAX];
    int producer_count;
    struct consumer *consumers[CONSUMERS_MAX];
    int consumer_count;
    struct admin *admin;
    struct txns txns[TRANSACTORS_MAX];
    struct transactor *transactors[TRANSACTORS_MAX];
    int transactor_count;
    struct txn_reader *txn_reader;
    struct sim_group groups[GROUPS_MAX];
    struct member *members[MEMBERS_MAX];
    int member_count;
    struct sim_share share;
    struct share_writer *share_writer; /* NULL: no share group in this world */
    struct sharer *sharers[SHARERS_MAX];
    int sharer_count;
    struct keeper *keeper; /* NULL: no compacted topic in this world */
    struct compressor *compressor;
    bool relaxed;         /* answers mean "written": only kill -9, no loss of power */
    bool broken;          /* the disk failed an operation in this life: a directory is offline until the next */
    bool calm;            /* no more faults: what fails now does not recover by itself */
    int lives, flips;
    uint64_t acknowledged, shown; /* records */
    const char *last_event;
};
struct world *world_create(uint64_t seed, bool verbose);
void world_run(struct world *world); /* returns when all promises were kept */
void world_destroy(struct world *world);

static inline uint64_t world_random(struct world *world, uint64_t limit) {
    return sim_below(world->sim, limit);
}
static inline bool world_chance(struct world *world, uint32_t one_in) {
    return sim_chance(world->sim, one_in);
}

#endif
