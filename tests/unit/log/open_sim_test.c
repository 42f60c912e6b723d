/* Opening one log: what was left half done, by a crash of the start itself too, and files that somebody damaged. */
#include "tests/unit/log/world.h"

#include "log/leftovers.h"

#define TOPIC_DIR "/log/topic-0"

static void write_file(const char *name, const char *text) {
    char *path = mem_printf(TOPIC_DIR "/%s", name);
    EXPECT(fs_write_whole(f.disk, path, slice_str(text)) == ERR_OK);
    mem_free(path);
}

static bool file_is(const char *name, const char *text) {
    char *path = mem_printf(TOPIC_DIR "/%s", name);
    uint8_t *bytes = NULL;
    size_t size = 0;
    bool is = fs_read_whole(f.disk, path, 1000, &bytes, &size) == ERR_OK && slice_eq_str(slice_of(bytes, size), text);
    mem_free(bytes);
    mem_free(path);
    return is;
}

static enum err settle(void) {
    struct fs_entry *entries;
    int count;
    bool changed;
    enum err err = fs_list(f.disk, TOPIC_DIR, &entries, &count);
    if (err)
        return err;
    err = leftovers_settle(f.disk, TOPIC_DIR, entries, count, &changed);
    fs_list_free(entries, count);
    return err;
}

/* A cleaner that was stopped while it gave its output's files the suffix .swap; then the power goes at the start's operation of
 * that number. False: the start did not come so far. */
static bool die_while_settling(uint64_t operation) {
    begin_world(operation);
    f.runtime = sim_node_create(f.sim, f.disk, "10.0.0.1", 1);
    EXPECT(fs_mkdir(f.disk, "/log") == ERR_OK && fs_mkdir(f.disk, TOPIC_DIR) == ERR_OK);
    write_file("00000000000000000000.log", "old batches");
    write_file("00000000000000000000.index", "old index");
    write_file("00000000000000000000.txnindex", "old transactions");
    write_file("00000000000000000000.log.cleaned", "batches");
    write_file("00000000000000000000.txnindex.cleaned", "transactions");
    write_file("00000000000000000000.index.swap", "index");
    EXPECT(fs_sync_dir(f.disk, "/") == ERR_OK && fs_sync_dir(f.disk, "/log") == ERR_OK && fs_sync_dir(f.disk, TOPIC_DIR) == ERR_OK);
    sim_disk_die_after(f.disk, operation);
    (void)!settle();
    bool died = sim_disk_is_dead(f.disk);
    sim_node_kill(f.runtime);
    sim_disk_lose_power(f.disk);
    f.runtime = sim_node_create(f.sim, f.disk, "10.0.0.1", 1);
    EXPECT(settle() == ERR_OK);
    if (!file_is("00000000000000000000.log", "old batches") || !file_is("00000000000000000000.index", "old index") ||
        !file_is("00000000000000000000.txnindex", "old transactions"))
        TEST_FAIL("operation %d: a file of the output that was not whole has come in", (int)operation);
    struct fs_entry *entries;
    int count;
    EXPECT(fs_list(f.disk, TOPIC_DIR, &entries, &count) == ERR_OK);
    EXPECT_INT(count, 3);
    fs_list_free(entries, count);
    end_world();
    return died;
}

TEST(half_an_output_of_a_cleaner_goes_though_the_power_goes_again) {
    uint64_t operation = 1;
    while (die_while_settling(operation))
        operation++;
    EXPECT(operation > 5);
}

TEST(what_is_no_batch_is_cut_when_the_index_of_its_segment_is_made_anew) {
    begin_world(1);
    EXPECT(open_log());
    put("a=1");
    close_log();
    EXPECT(fs_write_whole(f.disk, "/log/.kafka_cleanshutdown", SLICE_LIT("{\"version\":0,\"brokerEpoch\":1}")) == ERR_OK);
    write_file("00000000000000000000.log", "this is no batch, and there is none behind it, however far one goes on looking for it");
    EXPECT(fs_unlink(f.disk, TOPIC_DIR "/00000000000000000000.index") == ERR_OK);
    sim_node_kill(f.runtime);
    EXPECT(open_log());
    EXPECT_INT(log_offsets(f.log).end, 0);
    EXPECT_INT(log_size(f.log), 0);
    put("b=1");
    EXPECT_STR(read_all(), "[0-0 0:b=1]");
    reopen(true);
    EXPECT_STR(read_all(), "[0-0 0:b=1]");
    end_world();
}

TEST_MAIN
