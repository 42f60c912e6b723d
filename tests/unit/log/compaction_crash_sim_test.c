/* Compaction of one log beside others and in bad times: neither readers, nor a stop, nor a crash or a fault at any operation of
 * the disk loses what is newest. */
#include "tests/unit/log/world.h"

/* ---- others at the same time ------------------------------------------------------------------------------------ */

static void fill(int count, int keys) {
    char text[1300];
    for (int i = 0; i < count && !stop_waiting(); i++) {
        snprintf(text, sizeof text, "k%d=%d.%0*d", i % keys, i, i % 7 * 100 + 1, 0);
        put(text);
        if (i % 40 == 39)
            roll();
    }
}

TEST(a_close_stops_a_cleaning_and_leaves_nothing_behind) {
    for (int steps = 0; steps < 60; steps += 3) {
        begin_world((uint64_t)steps + 100);
        EXPECT(open_log());
        fill(160, 10);
        in_shard(clean_now);
        for (int i = 0; i < steps; i++)
            EXPECT(sim_step(f.sim));
        close_log();
        EXPECT(!f.failed && f.cleaned);
        struct fs_entry *entries;
        int count;
        EXPECT(fs_list(f.disk, "/log/topic-0", &entries, &count) == ERR_OK);
        for (int i = 0; i < count; i++)
            EXPECT(!strstr(entries[i].name, ".cleaned") && !strstr(entries[i].name, ".swap"));
        fs_list_free(entries, count);
        sim_node_kill(f.runtime);
        EXPECT(open_log());
        EXPECT(strstr(read_all(), "159:k9=159."));
        end_world();
    }
}

static bool deleted;
static void log_deleted(enum err err, void *arg) {
    (void)arg;
    deleted = err == ERR_OK;
    f.log = NULL;
}
static void delete_now(void) {
    log_delete(f.log, 1000, log_deleted, NULL);
}

TEST(a_deletion_stops_a_cleaning) {
    for (int steps = 0; steps < 30; steps += 3) {
        begin_world((uint64_t)steps + 200);
        EXPECT(open_log());
        fill(160, 10);
        in_shard(clean_now);
        for (int i = 0; i < steps; i++)
            EXPECT(sim_step(f.sim));
        deleted = false;
        in_shard(delete_now);
        wait_for(&deleted);
        EXPECT(f.cleaned);
        struct fs_stat stat;
        EXPECT(fs_stat(f.disk, "/log/topic-0", &stat) == ERR_NOT_FOUND);
        end_world();
    }
}

/* The disk is cold, so that reads go to the pool and open files by name. */
TEST(a_reader_sees_rising_offsets_and_every_newest_record_through_a_swap) {
    for (uint64_t seed = 300; seed < 330; seed++) {
        begin_world(seed);
        f.settings.segment_bytes = 8000;
        EXPECT(open_log());
        fill(200, 10);
        reopen(true);
        sim_disk_set_cold(f.disk, 2);
        f.text_size = 0;
        f.reading = true;
        in_shard(read_start);
        for (uint64_t i = 0; i < sim_below(f.sim, 60) && f.reading; i++)
            EXPECT(sim_step(f.sim));
        in_shard(clean_now);
        for (int i = 0; i < EVENTS_MAX && (f.reading || !f.cleaned) && !stop_waiting(); i++)
            EXPECT(sim_step(f.sim));
        EXPECT(!f.failed && f.cleaned);
        EXPECT_INT(f.clean.err, ERR_OK);
        long long last = -1;
        for (const char *p = f.text; (p = strchr(p, '[')); p++) {
            long long base = strtoll(p + 1, NULL, 10);
            if (base <= last)
                TEST_FAIL("seed %d: %lld comes after %lld", (int)seed, base, last);
            last = base;
        }
        char wanted[32];
        for (int i = 190; i < 200; i++) {
            snprintf(wanted, sizeof wanted, " %d:k%d=%d.", i, i % 10, i);
            if (!strstr(f.text, wanted))
                TEST_FAIL("seed %d: no%s", (int)seed, wanted);
        }
        end_world();
    }
}

/* ---- crashes ---------------------------------------------------------------------------------------------------- */

enum way { FAILS, NO_SPACE, DIES, LOSES_POWER };
enum { KEYS = 6, VALUES = 48, OPERATIONS_MAX = 2000 };

/* Aborted data, tombstones and overwritten keys in several segments; merges and empties some. */
static void fill_mixed(void) {
    char text[200];
    int32_t sequence = 0;
    for (int i = 0; i < VALUES && !stop_waiting(); i++) {
        snprintf(text, sizeof text, "k%d=%d.%0*d", i % KEYS, i, i % 5 * 20 + 1, 0);
        append((struct batch_spec){.records = text, .codec = i % 3 == 2 ? CODEC_LZ4 : CODEC_NONE});
        if (i % 10 == 3) {
            append((struct batch_spec){.records = "k1=aborted", .producer_id = 9, .sequence = sequence++, .transactional = true});
            append((struct batch_spec){.marker = CONTROL_ABORT + 1, .producer_id = 9, .transactional = true});
        }
        if (i % 7 == 6 && !stop_waiting())
            roll();
    }
}

static void check_newest(const char *what, uint64_t operation, enum way way) {
    const char *text = read_all();
    if (f.failed)
        TEST_FAIL("operation %d, way %d, %s: the log cannot be read: %s", (int)operation, way, what, text);
    long long last = -1;
    for (const char *p = text; (p = strchr(p, '[')); p++) {
        char *end;
        long long base = strtoll(p + 1, &end, 10), until = strtoll(end + 1, NULL, 10);
        if (base <= last || until < base)
            TEST_FAIL("operation %d, way %d, %s: %lld comes after %lld: %s", (int)operation, way, what, base, last, text);
        last = until;
    }
    for (int i = VALUES - KEYS; i < VALUES; i++) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, ":k%d=%d.", i % KEYS, i);
        if (!strstr(text, wanted))
            TEST_FAIL("operation %d, way %d, %s: no %s in %s", (int)operation, way, what, wanted, text);
    }
}

/* True: the fault was met while the log was being cleaned. */
static bool crash_at(uint64_t operation, enum way way) {
    begin_world(operation * 4 + way + 1000);
    f.settings.segment_bytes = 1500;
    EXPECT(open_log());
    fill_mixed();
    roll();
    int64_t end = log_offsets(f.log).end;
    if (way == FAILS || way == NO_SPACE)
        sim_disk_fail_after(f.disk, operation, way == FAILS ? ERR_IO : ERR_NO_SPACE);
    else
        sim_disk_die_after(f.disk, operation);
    in_shard(clean_now);
    if (!stop_waiting())
        wait_for(&f.cleaned);
    bool met = sim_disk_failure_was_met(f.disk) || sim_disk_is_dead(f.disk);
    if (!met)
        EXPECT_INT(f.clean.err, ERR_OK);
    sim_disk_fail_after(f.disk, 0, ERR_OK);
    if (way == NO_SPACE && met && !f.failed && f.clean.err != ERR_IO) { /* the log is as it was, and can be cleaned when there is room */
        check_newest("after no space", operation, way);
        measure();
        EXPECT_INT(dirt.due ? clean() : ERR_OK, ERR_OK);
        check_newest("cleaned after no space", operation, way);
    }
    sim_node_kill(f.runtime);
    if (way == LOSES_POWER)
        sim_disk_lose_power(f.disk);
    if (!open_log())
        TEST_FAIL("operation %d, way %d: the log does not open", (int)operation, way);
    EXPECT_INT(log_offsets(f.log).end, end);
    check_newest("after the start", operation, way);
    measure();
    if (dirt.due)
        EXPECT_INT(clean(), ERR_OK);
    check_newest("cleaned again", operation, way);
    end_world();
    return met;
}

static void sweep(enum way way) {
    uint64_t operation = 1;
    while (crash_at(operation, way))
        EXPECT(++operation < OPERATIONS_MAX);
    EXPECT(operation > 30);
}

TEST(each_operation_of_the_disk_may_fail_in_a_cleaning) {
    sweep(FAILS);
}
TEST(each_operation_of_a_cleaning_may_find_no_space) {
    sweep(NO_SPACE);
}
TEST(the_process_may_die_at_each_operation_of_a_cleaning) {
    sweep(DIES);
}
TEST(the_power_may_go_at_each_operation_of_a_cleaning) {
    sweep(LOSES_POWER);
}

TEST_MAIN
