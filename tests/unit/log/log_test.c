/* A log on real files: append, wait for durability, read back; stop cleanly or as a crash would, and open again. */
#include "tests/unit/test.h"

#include <unistd.h>
#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "log/internal.h"
#include "log/journal_read.h"
#include "protocol/batch.h"

enum { LOGS = 4 };

struct fixture {
    struct runtime *runtime;
    struct log_inventory *inventory;
    struct log_store *store;
    struct log *logs[LOGS];
    int opened, closed;
    char dir[64];
    bool crash;
    enum runtime_backend backend;
    int32_t segment_bytes;
    /* the work of a run */
    int appends; /* batches for each log */
    size_t record_size;
    int64_t expected[LOGS]; /* end offsets */
    int reading;
    int64_t read_next;
    struct log_read read;
    int verified;
};
static struct fixture f;

static void value_of(int log, int64_t offset, uint8_t *ptr, size_t size) {
    for (size_t i = 0; i < size; i++)
        ptr[i] = (uint8_t)(log * 31 + offset * 7 + (int64_t)i);
}

static void append_batch(int which, size_t size) {
    static uint8_t value[300000];
    struct buf bytes = {0};
    struct batch_builder builder;
    int64_t offset = log_offsets(f.logs[which]).end;
    batch_builder_init(&builder, &bytes, 0);
    value_of(which, offset, value, size);
    batch_builder_add(&builder, 0, 1000 + offset, SLICE_NULL, slice_of(value, size), NULL, 0);
    check(batch_builder_finish(&builder, 0, CODEC_NONE, 0, NULL, -1, -1, -1) == ERR_OK);
    struct log_append_result result;
    struct arena arena = {0};
    enum err err = log_append(f.logs[which], bytes.ptr, bytes.size, APPEND_CLIENT, 0, &arena, &result);
    check(err == ERR_OK, "%s", err_text(err));
    check(result.base_offset == offset);
    arena_deinit(&arena);
    buf_deinit(&bytes);
}

static void store_stopped(struct log_store *store, void *arg) {
    (void)arg;
    log_store_destroy(store);
    runtime_stop(f.runtime);
}
static void log_closed(enum err err, void *arg) {
    (void)arg;
    check(err == ERR_OK, "%s", err_text(err));
    if (++f.closed == LOGS)
        log_store_stop(f.store, store_stopped, NULL);
}
static void finish(void) {
    if (f.crash) {
        runtime_stop(f.runtime);
        return;
    }
    for (int i = 0; i < LOGS; i++)
        log_close(f.logs[i], log_closed, NULL);
}

static void read_more(void);
static void read_checked(struct log_read *read) {
    check(read->err == ERR_OK, "%s", err_text(read->err));
    check(read->piece_count == 1 && read->pieces[0].ptr, "not contiguous: %d", read->piece_count);
    const uint8_t *p = read->pieces[0].ptr;
    static uint8_t value[300000];
    size_t left = read->size;
    while (left >= BATCH_HEADER_SIZE && batch_size(p) <= left) {
        check(batch_check(slice_of(p, left)) == ERR_OK);
        if (batch_base_offset(p) >= f.read_next) {
            check(batch_base_offset(p) == f.read_next, "%lld after %lld", (long long)batch_base_offset(p), (long long)f.read_next);
            struct record_iterator it;
            struct record record;
            record_iterator_init(&it, p, slice_of(p + BATCH_HEADER_SIZE, batch_size(p) - BATCH_HEADER_SIZE));
            check(record_next(&it, &record) == ERR_OK);
            value_of(f.reading, record.offset, value, record.value.size);
            check(memcmp(value, record.value.ptr, record.value.size) == 0);
            f.read_next++;
            f.verified++;
        }
        left -= batch_size(p);
        p += batch_size(p);
    }
    log_read_release(read);
    read_more();
}
static void read_more(void) {
    while (f.read_next == f.expected[f.reading]) {
        f.reading++;
        f.read_next = 0;
        if (f.reading == LOGS) {
            finish();
            return;
        }
    }
    f.read = (struct log_read){.log = f.logs[f.reading],
                               .offset = f.read_next,
                               .bound = log_durable_end(f.logs[f.reading]),
                               .bytes_max = 400000,
                               .whole_first_batch = true,
                               .contiguous = true,
                               .done = read_checked};
    if (log_read(&f.read))
        read_checked(&f.read);
}

static void on_progress(struct log *log, void *user) {
    (void)log, (void)user;
    if (f.reading >= 0)
        return;
    for (int i = 0; i < LOGS; i++)
        if (!f.logs[i] || log_durable_end(f.logs[i]) < f.expected[i])
            return;
    f.reading = 0;
    f.read_next = 0;
    read_more();
}

static void log_opened(struct log *log, enum err err, void *user) {
    check(err == ERR_OK, "%s", err_text(err));
    int which = (int)(intptr_t)user;
    f.logs[which] = log;
    check(log_offsets(log).end == f.expected[which], "log %d ends at %lld, not %lld", which, (long long)log_offsets(log).end,
          (long long)f.expected[which]);
    if (++f.opened < LOGS)
        return;
    check(log_inventory_retire_journals(f.inventory, 0) == ERR_OK);
    for (int i = 0; i < f.appends; i++)
        for (int l = 0; l < LOGS; l++) {
            append_batch(l, f.record_size + (size_t)(i * 37 % 1000));
            f.expected[l]++;
        }
    if (!f.appends)
        on_progress(NULL, NULL);
}

static void start(struct shard *shard, void *arg) {
    (void)arg;
    struct log_store_options options = {.inventory = f.inventory, .journal_flush = true, .journal_bytes = 8 << 20};
    check(log_store_create(shard, &options, &f.store) == ERR_OK);
    for (int i = 0; i < LOGS; i++) {
        char name[32];
        snprintf(name, sizeof name, "topic%d", i);
        struct log_open_options open = {.topic_id = {7, (uint64_t)i + 10},
                                        .topic = slice_str(name),
                                        .user = (void *)(intptr_t)i,
                                        .on_progress = on_progress};
        log_settings_default(&open.settings);
        open.settings.segment_bytes = f.segment_bytes;
        log_open(f.store, &open, log_opened);
    }
}

static void run(int appends, size_t record_size, bool crash) {
    f.appends = appends;
    f.record_size = record_size;
    f.crash = crash;
    f.opened = f.closed = f.verified = 0;
    f.reading = -1;
    memset(f.logs, 0, sizeof f.logs);
    struct runtime_options options = {.shard_count = 1, .backend = f.backend, .blocking_threads = 2};
    check(runtime_create(&options, &f.runtime) == ERR_OK);
    const char *dirs[] = {f.dir};
    f.inventory = log_inventory_create(f.runtime, dirs, 1);
    runtime_run(f.runtime, start, NULL, NULL);
    int64_t total = 0;
    for (int i = 0; i < LOGS; i++)
        total += f.expected[i];
    EXPECT_INT(f.verified, total);
    runtime_destroy(f.runtime);
    log_inventory_destroy(f.inventory);
}

static void mark_clean(void) {
    char path[128];
    snprintf(path, sizeof path, "%s/.kafka_cleanshutdown", f.dir);
    FILE *file = fopen(path, "w");
    fputs("{\"version\":0,\"brokerEpoch\":7}", file);
    fclose(file);
}

static void on(enum runtime_backend backend, int32_t segment_bytes, void (*body)(void)) {
    memset(&f, 0, sizeof f);
    strcpy(f.dir, "/tmp/myelin-log-XXXXXX");
    check(mkdtemp(f.dir));
    f.backend = backend;
    f.segment_bytes = segment_bytes;
    body();
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", f.dir);
    EXPECT_INT(system(command), 0);
}

/* The last segments end with their last batch, and so do their indexes: a program that trusts the clean stop finds nothing
 * behind them. */
static void expect_whole_files(void) {
    char command[256];
    snprintf(command, sizeof command, "for f in %s/topic*/*.log; do tail -c 16 $f | od -An -v -tx1 | grep -q '[1-9a-f]' || exit 1; done", f.dir);
    EXPECT_INT(system(command), 0);
}
static void clean_stops(void) {
    run(200, 100, false);
    expect_whole_files();
    mark_clean();
    run(200, 100, false);
    expect_whole_files();
    mark_clean();
    run(200, 3000, false);
    expect_whole_files();
    run(0, 0, false);
}
TEST(small_appends_survive_a_clean_stop) {
    on(RUNTIME_IO_URING, 1 << 20, clean_stops);
    on(RUNTIME_EPOLL, 1 << 20, clean_stops);
}
static void large(void) {
    run(60, 90000, false);
    mark_clean();
    run(20, 250000, false);
    run(0, 0, false);
}
TEST(large_appends_go_straight_to_segments_that_roll) {
    on(RUNTIME_IO_URING, 1 << 20, large);
    on(RUNTIME_EPOLL, 1 << 20, large);
}
/* A crash here is the process's memory going away: each run is a process of its own that ends without closing. */
#include <sys/wait.h>
static void crash_run(int appends, size_t record_size) {
    fflush(stdout);
    int pipe_fds[2];
    check(pipe(pipe_fds) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        f.crash = true;
        run(appends, record_size, true);
        check(write(pipe_fds[1], f.expected, sizeof f.expected) == sizeof f.expected);
        _exit(0);
    }
    int status;
    check(waitpid(pid, &status, 0) == pid && status == 0, "status %d", status);
    check(read(pipe_fds[0], f.expected, sizeof f.expected) == sizeof f.expected);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}
static void crashes(void) {
    crash_run(100, 100);
    crash_run(100, 3000);
    crash_run(30, 70000);
    crash_run(400, 5000);
    crash_run(10, 10);
    run(10, 10, false);
    run(0, 0, false);
}
TEST(durable_appends_survive_crashes) {
    on(RUNTIME_IO_URING, 1 << 20, crashes);
    on(RUNTIME_EPOLL, 1 << 20, crashes);
}


static uint8_t journal_bytes[4 << 20];
/* The one journal that a crash left, in journal_bytes. */
static size_t read_journal(char *ret_name, size_t name_size) {
    char command[256];
    snprintf(command, sizeof command, "ls %s/myelin-journal-*", f.dir);
    FILE *list = popen(command, "r");
    check(fgets(ret_name, (int)name_size, list));
    pclose(list);
    ret_name[strcspn(ret_name, "\n")] = 0;
    FILE *journal = fopen(ret_name, "r");
    size_t size = fread(journal_bytes, 1, sizeof journal_bytes, journal);
    fclose(journal);
    check(size > 4096 && memcmp(journal_bytes, JOURNAL_MAGIC, 8) == 0);
    return size;
}

/* Writes the journal anew as earlier versions did. */
static void make_journal_old(void) {
    char name[256] = "";
    struct journal_group *groups;
    int count = journal_find_groups(slice_of(journal_bytes, read_journal(name, sizeof name)), &groups), entries = 0;
    check(count > 0);
    struct buf old = {0};
    for (int i = 0; i < count; i++) {
        size_t start = old.size;
        memcpy(buf_extend(&old, JOURNAL_HEADER), journal_bytes + groups[i].pos, JOURNAL_HEADER);
        struct journal_group_entry entry;
        enum err err;
        while (!(err = journal_next_entry(&groups[i], &entry))) {
            uint8_t *p = buf_extend(&old, JOURNAL_ENTRY_HEADER_1);
            uuid_store(entry.topic_id, p);
            store_be32(p + 16, (uint32_t)entry.partition);
            store_be32(p + 20, (uint32_t)entry.batches.size);
            store_be64(p + 24, (uint64_t)entry.base_offset);
            buf_add_slice(&old, entry.batches);
            while ((old.size - start - JOURNAL_HEADER) % 8)
                buf_add_byte(&old, 0);
            entries++;
        }
        check(err == ERR_NOT_FOUND);
        uint8_t *p = old.ptr + start;
        size_t size = old.size - start;
        memcpy(p, JOURNAL_MAGIC_1, 8);
        store_be32(p + 40, (uint32_t)size);
        store_be32(p + 44, 0);
        store_be32(p + 52, crc32c(crc32c(0, p, 52), p + JOURNAL_HEADER, size - JOURNAL_HEADER));
        while (old.size % FILE_DIRECT_ALIGN)
            buf_add_byte(&old, 0);
    }
    check(entries > 0);
    FILE *journal = fopen(name, "w");
    check(fwrite(old.ptr, 1, old.size, journal) == old.size);
    fclose(journal);
    buf_deinit(&old);
    mem_free(groups);
}
static void old_journal(void) {
    crash_run(20, 100);
    make_journal_old();
    crash_run(3, 70000); /* large entries, each in blocks of its own */
    make_journal_old();
    run(0, 0, false);
}
TEST(a_journal_of_an_earlier_version_is_replayed) {
    on(RUNTIME_EPOLL, 1 << 20, old_journal);
}

/* A group whose large entry did not reach the device whole is no group: it was never acknowledged. */
static void torn_large_entry(void) {
    crash_run(1, 70000);
    char name[256] = "";
    struct slice bytes = slice_of(journal_bytes, read_journal(name, sizeof name));
    struct journal_group *groups;
    int count = journal_find_groups(bytes, &groups);
    check(count > 0 && groups[count - 1].blocks.size > 2 * FILE_DIRECT_ALIGN);
    ((uint8_t *)(uintptr_t)groups[count - 1].blocks.ptr)[FILE_DIRECT_ALIGN] ^= 1;
    mem_free(groups);
    int left = journal_find_groups(bytes, &groups);
    check(left == count - 1, "%d of %d groups", left, count);
    mem_free(groups);
}
TEST(a_torn_large_entry_makes_its_group_invalid) {
    on(RUNTIME_EPOLL, 1 << 20, torn_large_entry);
}

TEST(a_journal_of_a_later_version_is_known_as_such) {
    EXPECT(journal_is_of_later_version(SLICE_LIT("MYELINJ3...")));
    EXPECT(!journal_is_of_later_version(SLICE_LIT("MYELINJ2...")));
    EXPECT(!journal_is_of_later_version(SLICE_LIT("MYELINJ1...")));
    EXPECT(!journal_is_of_later_version(SLICE_LIT("MYELIN")));
}

/* What a write behind that was cut short leaves: the segment has the first batches of a journal entry. */
static void give_segment_part_of_its_entry(void) {
    char name[256] = "";
    read_journal(name, sizeof name);
    const uint8_t *entry = journal_bytes + JOURNAL_HEADER, *batch = entry + JOURNAL_ENTRY_HEADER; /* the first of the first group */
    check(load_be64(entry + 24) == 0 && load_be32(entry + 20) > 2 * batch_size(batch));
    char path[128];
    snprintf(path, sizeof path, "%s/topic%d-0/00000000000000000000.log", f.dir, (int)load_be64(entry + 8) - 10);
    FILE *segment = fopen(path, "w");
    size_t part = batch_size(batch) + batch_size(batch + batch_size(batch)) + 7; /* two, and the begin of a third */
    check(fwrite(batch, 1, part, segment) == part);
    fclose(segment);
}
static void partial_entry(void) {
    crash_run(20, 100);
    give_segment_part_of_its_entry();
    run(0, 0, false);
}
TEST(a_journal_entry_that_the_segment_has_in_part_is_completed) {
    on(RUNTIME_EPOLL, 1 << 20, partial_entry);
}

TEST_MAIN
