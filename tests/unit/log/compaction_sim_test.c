/* Compaction of one log: what stays, batch by batch; when; and that readers see rising offsets meanwhile. See
 * compaction_crash_sim_test.c for faults. */
#include "tests/unit/log/world.h"

#include <zlib.h>

/* ---- what stays ------------------------------------------------------------------------------------------------- */

TEST(the_newest_record_of_each_key_stays_with_its_offset) {
    begin_world(1);
    EXPECT(open_log());
    put("a=1 b=1 c=1");
    put("d=1");
    put("b=2");
    roll();
    put("a=2");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-2 0:a=1 2:c=1][3-3 3:d=1][4-4 4:b=2][5-5 5:a=2]");
    EXPECT_INT(f.clean.end_offset, 5);
    roll();
    put("x=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-2 2:c=1][3-3 3:d=1][4-4 4:b=2][5-5 5:a=2][6-6 6:x=1]");
    EXPECT_INT(f.log->segment_count, 2);
    reopen(true);
    EXPECT_STR(read_all(), "[0-2 2:c=1][3-3 3:d=1][4-4 4:b=2][5-5 5:a=2][6-6 6:x=1]");
    end_world();
}

TEST(a_segment_in_which_nothing_changes_is_left_alone) {
    begin_world(2);
    EXPECT(open_log());
    put("a=1 b=1");
    put("c=1");
    roll();
    put("d=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_INT(f.clean.bytes_written, 0);
    EXPECT_INT(log_cleaned_end(f.log), 3);
    f.settings.segment_bytes = 200; /* none that may be joined */
    reopen(true);
    roll();
    put("c=2");
    roll();
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-1 0:a=1 1:b=1][3-3 3:d=1][4-4 4:c=2]");
    end_world();
}

TEST(a_segment_of_an_empty_batch_is_left_alone_the_next_time) {
    begin_world(17);
    f.settings.segment_bytes = 100; /* none that may be joined */
    EXPECT(open_log());
    append((struct batch_spec){.records = "a=1", .producer_id = 9});
    roll();
    put("a=2");
    roll();
    put("x=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-0][1-1 1:a=2][2-2 2:x=1]");
    roll();
    put("y=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_INT(f.clean.bytes_written, 0);
    EXPECT_STR(read_all(), "[0-0][1-1 1:a=2][2-2 2:x=1][3-3 3:y=1]");
    end_world();
}

TEST(the_last_batch_of_a_round_stays_empty_so_that_the_end_is_known) {
    begin_world(3);
    EXPECT(open_log());
    put("a=1");
    roll();
    put("b=1");
    put("a=2");
    roll();
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[1-1 1:b=1][2-2 2:a=2]");
    put("b=2 a=3");
    roll();
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[3-4 3:b=2 4:a=3]");
    put("a=4 b=3");
    put("a-");
    roll();
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[5-6 6:b=3][7-7h 7:a-]");
    pass_time(2000000);
    put("b-");
    roll();
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[8-8h 8:b-]");
    pass_time(4000000);
    put("z=1");
    roll();
    put("z=2");
    put("z=3");
    roll();
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[11-11 11:z=3]");
    reopen(false);
    EXPECT_STR(read_all(), "[11-11 11:z=3]");
    EXPECT_INT(log_offsets(f.log).end, 12);
    end_world();
}

TEST(tombstones_stay_until_their_horizon_which_never_moves) {
    begin_world(4);
    EXPECT(open_log());
    put("a=1 b=1");
    put("a- c=1");
    roll();
    put("k=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-1 1:b=1][2-3h 2:a- 3:c=1][4-4 4:k=1]");
    roll();
    put("k=2");
    pass_time(900000); /* not yet */
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-1 1:b=1][2-3h 2:a- 3:c=1][4-4 4:k=1][5-5 5:k=2]");
    roll();
    put("k=3");
    pass_time(1100000);
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-1 1:b=1][2-3h 3:c=1][5-5 5:k=2][6-6 6:k=3]");
    end_world();
}

TEST(times_of_records_stay_when_the_base_becomes_a_horizon) {
    begin_world(5);
    EXPECT(open_log());
    append((struct batch_spec){.records = "a=1 b- c=1", .time = 1234567});
    roll();
    put("x=1");
    EXPECT_INT(clean(), ERR_OK);
    f.read = (struct log_read){.log = f.log, .offset = 0, .bound = 4, .bytes_max = 1 << 20, .whole_first_batch = true, .contiguous = true};
    struct segment *segment = f.log->segments[0];
    char *path = segment_path(segment, ".log");
    uint8_t *bytes = NULL;
    size_t size = 0;
    EXPECT(fs_read_whole(f.disk, path, 1 << 20, &bytes, &size) == ERR_OK);
    EXPECT(batch_check(slice_of(bytes, size)) == ERR_OK);
    struct record_iterator it;
    struct record record;
    record_iterator_init(&it, bytes, slice_of(bytes + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE));
    for (int i = 0; i < 3; i++) {
        EXPECT(record_next(&it, &record) == ERR_OK);
        EXPECT_INT(record.timestamp, 1234567 + i);
        EXPECT_INT(record.offset, i);
    }
    EXPECT_INT(batch_max_timestamp(bytes), 1234569);
    EXPECT(batch_base_timestamp(bytes) > start_ms / 1000);
    mem_free(bytes);
    mem_free(path);
    end_world();
}

TEST(compressed_batches_are_written_in_their_codec) {
    for (enum codec codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        begin_world(6);
        EXPECT(open_log());
        append((struct batch_spec){.records = "a=1 b=1 c=1 d=1", .codec = codec});
        append((struct batch_spec){.records = "e=1 f=1", .codec = codec});
        append((struct batch_spec){.records = "b=2 d-", .codec = codec});
        roll();
        put("x=1");
        EXPECT_INT(clean(), ERR_OK);
        EXPECT_STR(read_all(), "[0-3z 0:a=1 2:c=1][4-5z 4:e=1 5:f=1][6-7hz 6:b=2 7:d-][8-8 8:x=1]");
        end_world();
    }
}

TEST(the_last_batch_of_a_producer_stays_and_its_duplicate_is_known_after_a_start) {
    begin_world(7);
    EXPECT(open_log());
    append((struct batch_spec){.records = "a=1", .producer_id = 5, .sequence = 0});
    append((struct batch_spec){.records = "a=2", .producer_id = 5, .sequence = 1});
    put("a=3");
    put("b=1");
    roll();
    put("x=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[1-1][2-2 2:a=3][3-3 3:b=1][4-4 4:x=1]");
    EXPECT(fs_unlink(f.disk, "/log/topic-0/00000000000000000004.snapshot") == ERR_OK);
    reopen(false);
    append((struct batch_spec){.records = "a=2", .producer_id = 5, .sequence = 1});
    EXPECT(append_was_duplicate);
    append((struct batch_spec){.records = "a=4", .producer_id = 5, .sequence = 2});
    EXPECT(!append_was_duplicate);
    end_world();
}

static struct log_aborted *aborted;
static int aborted_count;
static struct arena aborted_arena;
static void find_aborted(void) {
    aborted_count = log_aborted(f.log, 0, f.log->end, &aborted_arena, &aborted);
}

TEST(aborted_data_goes_and_then_its_marker_after_the_horizon) {
    begin_world(8);
    EXPECT(open_log());
    append((struct batch_spec){.records = "a=1", .producer_id = 5, .sequence = 0, .transactional = true});
    append((struct batch_spec){.records = "b=1", .producer_id = 6, .sequence = 0, .transactional = true});
    append((struct batch_spec){.marker = CONTROL_ABORT + 1, .producer_id = 5, .transactional = true});
    append((struct batch_spec){.marker = CONTROL_COMMIT + 1, .producer_id = 6, .transactional = true});
    append((struct batch_spec){.records = "p=1", .producer_id = 5, .sequence = 1});
    append((struct batch_spec){.records = "p=1", .producer_id = 6, .sequence = 1});
    roll();
    put("x=1");
    EXPECT_INT(clean(), ERR_OK);
    /* The aborted data is gone; its marker was met with it, and stays once more, as does its entry. */
    EXPECT_STR(read_all(), "[1-1t 1:b=1][2-2tc abort][3-3tc commit][4-4][5-5 5:p=1][6-6 6:x=1]");
    in_shard(find_aborted);
    EXPECT_INT(aborted_count, 1);
    roll();
    put("b=2");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[1-1t 1:b=1][2-2tch abort][3-3tc commit][4-4][5-5 5:p=1][6-6 6:x=1][7-7 7:b=2]");
    in_shard(find_aborted);
    EXPECT_INT(aborted_count, 0);
    pass_time(2000000);
    roll();
    put("x=2");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[3-3tc commit][4-4][5-5 5:p=1][6-6 6:x=1][7-7 7:b=2][8-8 8:x=2]");
    roll();
    put("x=3");
    EXPECT_INT(clean(), ERR_OK); /* nothing of the committed one is left either */
    EXPECT_STR(read_all(), "[3-3tch commit][4-4][5-5 5:p=1][7-7 7:b=2][8-8 8:x=2][9-9 9:x=3]");
    reopen(true);
    EXPECT_STR(read_all(), "[3-3tch commit][4-4][5-5 5:p=1][7-7 7:b=2][8-8 8:x=2][9-9 9:x=3]");
    arena_deinit(&aborted_arena);
    end_world();
}

TEST(an_aborted_value_does_not_replace_an_older_one) {
    begin_world(9);
    EXPECT(open_log());
    put("a=1");
    append((struct batch_spec){.records = "a=2", .producer_id = 5, .sequence = 0, .transactional = true});
    append((struct batch_spec){.marker = CONTROL_ABORT + 1, .producer_id = 5, .transactional = true});
    roll();
    put("x=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-0 0:a=1][1-1t][2-2tc abort][3-3 3:x=1]");
    end_world();
}

TEST(a_full_map_ends_a_round_early_and_the_next_goes_on) {
    begin_world(10);
    EXPECT(open_log());
    char text[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 100; i++) {
            snprintf(text, sizeof text, "k%d=%d", i, round);
            put(text);
            if (i % 30 == 29)
                roll();
        }
    roll();
    put("x=1");
    map_bytes = 64 * 24;
    int rounds = 0;
    for (measure(); dirt.due; measure()) {
        EXPECT_INT(clean(), ERR_OK);
        EXPECT(++rounds < 20);
    }
    EXPECT(rounds > 2);
    map_bytes = 1 << 20;
    EXPECT_INT(log_cleaned_end(f.log), 200);
    const char *all = read_all();
    EXPECT(strncmp(all, "[100-100 100:k0=1][101-101 101:k1=1]", 36) == 0);
    EXPECT(!strstr(all, "=0]"));
    end_world();
}

TEST(a_batch_of_more_keys_than_the_map_holds_is_cleaned_in_several_rounds) {
    begin_world(18);
    EXPECT(open_log());
    char text[4000] = "";
    for (int i = 0; i < 200; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%sk%d=%d", i ? " " : "", i % 199, i);
    put(text);
    put(text);
    roll();
    put("x=1");
    map_bytes = 64 * 24;
    int rounds = 0;
    for (measure(); dirt.due; measure()) {
        int64_t cleaned = log_cleaned_end(f.log);
        EXPECT_INT(clean(), ERR_OK);
        EXPECT(log_cleaned_end(f.log) > cleaned && ++rounds < 20);
    }
    map_bytes = 1 << 20;
    EXPECT(rounds > 4);
    EXPECT_INT(log_cleaned_end(f.log), 400);
    const char *all = read_all(); /* k0 of the second batch was written twice */
    EXPECT(strncmp(all, "[200-399 201:k1=1 202:k2=2", 26) == 0);
    EXPECT(strstr(all, " 398:k198=198 399:k0=199][400-400 400:x=1]"));
    reopen(true);
    EXPECT_INT(log_is_uncleanable(f.log), false);
    end_world();
}

TEST(small_segments_become_one_up_to_segment_bytes) {
    begin_world(11);
    f.settings.segment_bytes = 1200;
    EXPECT(open_log());
    char text[300];
    for (int i = 0; i < 12; i++) {
        snprintf(text, sizeof text, "k%d=%0200d", i % 4, i);
        put(text);
        if (i % 2)
            roll();
    }
    put("x=1");
    int before = f.log->segment_count;
    EXPECT_INT(clean(), ERR_OK); /* no more than 1200 bytes of sources each */
    EXPECT(f.log->segment_count < before);
    EXPECT(f.log->segment_count > 2);
    for (int i = 0; i < f.log->segment_count; i++)
        EXPECT(f.log->segments[i]->size <= 1200);
    roll();
    put("x=2");
    EXPECT_INT(clean(), ERR_OK); /* empty ones join their neighbours */
    EXPECT_INT(f.log->segment_count, 2);
    EXPECT_INT(f.log->segments[0]->base_offset, 0);
    reopen(true);
    EXPECT(strstr(read_all(), "[11-11 11:k3="));
    end_world();
}

TEST(what_is_dirty_depends_on_ratio_lags_and_open_transactions) {
    begin_world(12);
    f.settings.min_cleanable_dirty_ratio = 0.5;
    EXPECT(open_log());
    int64_t now = sim_wall_ms(f.sim);
    append((struct batch_spec){.records = "a=1 b=1 c=1", .time = now});
    measure();
    EXPECT(!dirt.due); /* the active segment is never cleaned */
    roll();
    measure();
    EXPECT(dirt.due && dirt.ratio == 1.0 && dirt.end == 3);
    EXPECT_INT(clean(), ERR_OK);
    append((struct batch_spec){.records = "a=2", .time = now + 10});
    roll();
    measure();
    EXPECT(!dirt.due && dirt.ratio > 0 && dirt.ratio <= 0.5 && dirt.start == 3 && dirt.end == 4);
    f.log->settings.max_compaction_lag_ms = 50000;
    measure();
    EXPECT(!dirt.due && dirt.delay_ms == 0);
    pass_time(60000);
    measure();
    EXPECT(dirt.due && dirt.delay_ms > 0);
    f.log->settings.max_compaction_lag_ms = INT64_MAX;
    f.log->settings.min_cleanable_dirty_ratio = 0.1;
    measure();
    EXPECT(dirt.due);
    f.log->settings.min_compaction_lag_ms = 3600000;
    measure();
    EXPECT(!dirt.due && dirt.end == 3);
    f.log->settings.min_compaction_lag_ms = 0;
    append((struct batch_spec){.records = "t=1", .producer_id = 5, .transactional = true});
    roll();
    put("x=1");
    roll();
    measure();
    EXPECT_INT(dirt.end, 4);
    append((struct batch_spec){.marker = CONTROL_COMMIT + 1, .producer_id = 5, .transactional = true});
    roll();
    measure();
    EXPECT_INT(dirt.end, 7);
    end_world();
}

TEST(a_rate_makes_a_cleaning_take_its_time) {
    begin_world(13);
    EXPECT(open_log());
    char text[3000];
    for (int i = 0; i < 400; i++) {
        snprintf(text, sizeof text, "k%d=%01000d", i % 10, i);
        put(text);
    }
    roll();
    put("x=1");
    bytes_per_second = 200000;
    uint64_t before = sim_now_ns(f.sim);
    EXPECT_INT(clean(), ERR_OK);
    bytes_per_second = 0;
    double seconds = (double)(sim_now_ns(f.sim) - before) / 1e9;
    if (seconds < 3.5 || seconds > 8)
        TEST_FAIL("%.1f s for some 850 KB at 200 KB/s", seconds);
    end_world();
}

/* Steps keep a thread of the pool, and who wants the cleaning to stop waits for the end of one. */
TEST(a_step_is_short_also_where_the_first_change_comes_late) {
    begin_world(16);
    EXPECT(open_log());
    char text[3000];
    for (int i = 0; i < 400; i++) {
        snprintf(text, sizeof text, "k%d=%02900d", i, i);
        put(text);
    }
    put("k399=2");
    roll();
    put("x=1");
    bytes_per_second = 4 * 100000; /* a quarter of it a step */
    in_shard(clean_now);
    int64_t before = 0, most = 0;
    for (int i = 0; i < EVENTS_MAX && !f.cleaned; i++) {
        EXPECT(sim_step(f.sim));
        int64_t step = f.clean.bytes_written - before;
        most = step > most ? step : most;
        before = f.clean.bytes_written;
    }
    bytes_per_second = 0;
    EXPECT_INT(f.clean.err, ERR_OK);
    EXPECT(f.clean.bytes_written > 1000000);
    if (most > 100000 + (512 << 10))
        TEST_FAIL("%lld bytes in one step", (long long)most);
    end_world();
}

/* ---- what cannot be read ---------------------------------------------------------------------------------------- */

TEST(a_damaged_batch_makes_a_log_uncleanable_and_changes_nothing) {
    begin_world(14);
    EXPECT(open_log());
    put("a=1");
    put("a=2");
    roll();
    put("x=1");
    EXPECT(sim_disk_flip_bit(f.disk, "/log/topic-0/00000000000000000000.log", 66, 3) == ERR_OK);
    EXPECT_INT(clean(), ERR_CORRUPT);
    EXPECT(log_is_uncleanable(f.log));
    measure();
    EXPECT(!dirt.due);
    EXPECT_INT(f.log->segment_count, 2);
    end_world();
}

/* ---- magic 0 and 1 ---------------------------------------------------------------------------------------------- */

static void add_old(struct buf *buf, int64_t offset, int magic, const char *key, const char *value) {
    struct buf body = {0};
    buf_add_byte(&body, (uint8_t)magic);
    buf_add_byte(&body, 0);
    if (magic == 1)
        store_be64(buf_extend(&body, 8), (uint64_t)(start_ms + offset));
    store_be32(buf_extend(&body, 4), key ? (uint32_t)strlen(key) : UINT32_MAX);
    buf_add_str(&body, key ? key : "");
    store_be32(buf_extend(&body, 4), value ? (uint32_t)strlen(value) : UINT32_MAX);
    buf_add_str(&body, value ? value : "");
    store_be64(buf_extend(buf, 8), (uint64_t)offset);
    store_be32(buf_extend(buf, 4), (uint32_t)body.size + 4);
    store_be32(buf_extend(buf, 4), (uint32_t)crc32(0, body.ptr, (uInt)body.size));
    buf_add_slice(buf, buf_slice(&body));
    buf_deinit(&body);
}

TEST(messages_of_old_formats_become_batches) {
    begin_world(15);
    struct buf bytes = {0};
    add_old(&bytes, 0, 0, "a", "1");
    add_old(&bytes, 1, 0, "b", "1");
    add_old(&bytes, 2, 1, "a", "2");
    add_old(&bytes, 3, 1, "c", NULL);
    EXPECT(fs_mkdir(f.disk, dir) == ERR_OK && fs_mkdir(f.disk, "/log/topic-0") == ERR_OK);
    EXPECT(fs_write_whole(f.disk, "/log/topic-0/00000000000000000000.log", buf_slice(&bytes)) == ERR_OK);
    buf_deinit(&bytes);
    EXPECT(open_log());
    EXPECT_INT(log_offsets(f.log).end, 4);
    roll();
    put("b=2");
    roll();
    put("x=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[2-2 2:a=2][3-3h 3:c-][4-4 4:b=2][5-5 5:x=1]");
    reopen(true);
    EXPECT_STR(read_all(), "[2-2 2:a=2][3-3h 3:c-][4-4 4:b=2][5-5 5:x=1]");
    end_world();
}

TEST_MAIN
