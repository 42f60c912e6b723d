/* Which snapshots of the metadata log a start takes, and which files go. */
#include "raft/snapshot.h"

#include <stdio.h>

#include "base/mem.h"
#include "runtime/sim/sim.h"
#include "tests/unit/test.h"

static struct sim *sim;
static struct fs *disk;
static const char DIR[] = "/metadata";

static void begin(void) {
    sim = sim_create(1);
    disk = sim_disk_create(sim, 1 << 20);
    EXPECT_INT(fs_mkdir(disk, DIR), ERR_OK);
}

static void end(void) {
    sim_disk_destroy(disk);
    sim_destroy(sim);
}

/* A snapshot of no records, or what a crash left of one. */
static void add(int64_t end_offset, const char *suffix, int64_t mtime_ms) {
    struct snapshot_writer writer;
    struct buf bytes = {0};
    snapshot_begin(&writer, &bytes, 1, 0, 0, SLICE_EMPTY);
    snapshot_end(&writer);
    char *path = mem_printf("%s/%020lld-0000000001.checkpoint%s", DIR, (long long)end_offset, suffix);
    EXPECT_INT(fs_write_whole(disk, path, buf_slice(&bytes)), ERR_OK);
    EXPECT_INT(fs_set_mtime(disk, path, mtime_ms), ERR_OK);
    mem_free(path);
    buf_deinit(&bytes);
}

/* "10 20.part": end offsets of the snapshots that are there. */
static const char *files(void) {
    static char text[200];
    struct fs_entry *entries;
    int count, size = 0;
    text[0] = 0;
    EXPECT_INT(fs_list(disk, DIR, &entries, &count), ERR_OK);
    for (int i = 0; i < count; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, "%s%lld%s", i ? " " : "", strtoll(entries[i].name, NULL, 10),
                         strstr(entries[i].name, ".checkpoint") + strlen(".checkpoint"));
    fs_list_free(entries, count);
    return text;
}

static int64_t clean(struct snapshot_limits limits) {
    int64_t first;
    EXPECT_INT(snapshot_clean(disk, DIR, &limits, &first), ERR_OK);
    return first;
}

TEST(the_newest_snapshot_is_taken_and_unfinished_ones_go_wherever_they_are) {
    struct snapshot snapshot = {0};
    begin();
    EXPECT_INT(snapshot_load_newest(disk, DIR, &snapshot), ERR_NOT_FOUND);
    add(5, ".part", 0);
    add(10, "", 0);
    add(15, ".deleted", 0);
    add(20, "", 0);
    add(30, ".part", 0);
    EXPECT_INT(snapshot_load_newest(disk, DIR, &snapshot), ERR_OK);
    EXPECT_INT(snapshot.end_offset, 20);
    EXPECT_INT(snapshot.epoch, 1);
    EXPECT_STR(files(), "10 20");
    buf_deinit(&snapshot.bytes);
    end();
}

TEST(snapshots_below_the_logs_start_go_but_for_the_newest) {
    begin();
    add(10, "", 0);
    add(20, "", 0);
    add(30, "", 0);
    struct snapshot_limits limits = {.log_start = 0, .bytes_max = -1, .age_max_ms = -1};
    EXPECT_INT(clean(limits), -1);
    EXPECT_STR(files(), "10 20 30");
    limits.log_start = 20; /* a log that began anew behind the second */
    EXPECT_INT(clean(limits), 20);
    EXPECT_STR(files(), "20 30");
    limits.log_start = 40;
    EXPECT_INT(clean(limits), 30);
    EXPECT_INT(clean(limits), -1);
    EXPECT_STR(files(), "30");
    end();
}

TEST(the_oldest_snapshots_go_by_age_and_by_size) {
    begin();
    add(10, "", 1000);
    add(20, "", 2000);
    add(30, "", 3000);
    EXPECT_INT(clean((struct snapshot_limits){.bytes_max = -1, .age_max_ms = 1500, .now_ms = 3000}), 20);
    EXPECT_STR(files(), "20 30");
    EXPECT_INT(clean((struct snapshot_limits){.log_bytes = 1 << 20, .bytes_max = 1 << 21, .age_max_ms = -1}), -1);
    EXPECT_INT(clean((struct snapshot_limits){.log_bytes = 1 << 20, .bytes_max = 1 << 20, .age_max_ms = -1}), 30);
    EXPECT_STR(files(), "30");
    end();
}

TEST_MAIN
