/* Bits of segment files that flip while the log is open, under a cache that is cold at times: reads at each offset give the
 * batches that were written, or CORRUPT for the one that is wrong, whose place is said; those around it are served.
 * Then memory that reads use again. */
#include "tests/unit/log/world.h"

enum { BATCHES = 60, FLIPS = 1500 };

static struct written {
    int64_t base, last, pos, size;
    uint8_t *bytes;
} written[BATCHES];
static int count;
static char said[4096];

static int64_t clock_ms(void *arg) {
    (void)arg;
    static int64_t now;
    return now += 60000; /* no two lines are near each other */
}

static void hear(void *arg, const char *line, size_t size) {
    (void)arg;
    size_t at = strlen(said);
    if (at + size < sizeof said)
        memcpy(said + at, line, size), said[at + size] = '\0';
}

static bool answered;
static int64_t wanted_bytes;

static void got(struct log_read *read) {
    (void)read;
    answered = true;
}
static void read_now(void) {
    answered = false;
    f.read = (struct log_read){.log = f.log, .offset = f.read_offset, .bound = INT64_MAX, .bytes_max = wanted_bytes, .whole_first_batch = true,
                               .contiguous = true, .done = got};
    if (log_read(&f.read))
        answered = true;
}
static void release_now(void) {
    log_read_release(&f.read);
}
static void read_at(int64_t offset, int64_t bytes) {
    f.read_offset = offset;
    wanted_bytes = bytes;
    in_shard(read_now);
    wait_for(&answered);
}

static const char *const segment_path_of_all = "/log/topic-0/00000000000000000000.log";

static void note_all(void) {
    struct file *file;
    static uint8_t all[1 << 16];
    size_t size;
    EXPECT_INT(fs_open(f.disk, segment_path_of_all, FILE_READ, &file), ERR_OK);
    EXPECT_INT(file_pread(file, all, sizeof all, 0, 0, &size), ERR_OK);
    file_unref(file);
    count = 0;
    for (size_t at = 0; at < size; at += batch_size(all + at)) {
        struct written *batch = &written[count++];
        *batch = (struct written){batch_base_offset(all + at), batch_last_offset(all + at), (int64_t)at, (int64_t)batch_size(all + at), NULL};
        batch->bytes = mem_alloc((size_t)batch->size);
        memcpy(batch->bytes, all + at, (size_t)batch->size);
    }
}

/* As it was written, but for the leader epoch, which nothing covers. */
static bool is_as_written(const struct written *batch, const uint8_t *bytes) {
    return memcmp(batch->bytes, bytes, 12) == 0 && memcmp(batch->bytes + 16, bytes + 16, (size_t)batch->size - 16) == 0;
}

static int batch_of(int64_t offset) {
    int i = 0;
    while (written[i].last < offset)
        i++;
    return i;
}

/* What a read at the offset gives, when bit `pos` of the file, in batch `flipped`, is wrong. *ret_said: the place was. */
static void check_read(int64_t offset, int64_t bytes, int flipped, int64_t pos) {
    said[0] = '\0';
    read_at(offset, bytes);
    int i = batch_of(offset);
    int64_t in_batch = pos - written[flipped].pos;
    bool covered = in_batch >= 17, frame = in_batch == 0 || (in_batch >= 8 && in_batch < 12) || in_batch == 16, epoch = in_batch >= 12 && in_batch < 16;
    bool may_fail = !epoch && (i == flipped || (frame && i > flipped && i < flipped + 12));
    if (f.read.err && !may_fail)
        TEST_FAIL("bit at %lld, in %d at %lld: a read of %lld in batch %d fails: %s; %s", (long long)pos, flipped, (long long)in_batch,
                  (long long)offset, i, err_text(f.read.err), said);
    if (f.read.err) {
        char place[64];
        snprintf(place, sizeof place, "position=%lld", (long long)written[flipped].pos);
        EXPECT_INT(f.read.err, ERR_CORRUPT);
        if (!strstr(said, "00000000000000000000.log") || (covered && !strstr(said, place)))
            TEST_FAIL("bit at %lld, in batch %d at %lld: said was %s", (long long)pos, flipped, (long long)written[flipped].pos, said);
    } else {
        const uint8_t *bytes_read = f.read.pieces[0].ptr;
        EXPECT_INT(f.read.first_batch_size, written[i].size);
        EXPECT(f.read.size >= (size_t)written[i].size);
        for (size_t at = 0; f.read.size - at >= BATCH_HEADER_SIZE && batch_size(bytes_read + at) <= f.read.size - at; at += (size_t)written[i++].size)
            if (i == count || !is_as_written(&written[i], bytes_read + at) || (i == flipped && !epoch))
                TEST_FAIL("bit at %lld, in batch %d at %lld: a read at %lld is given batch %d", (long long)pos, flipped, (long long)in_batch,
                          (long long)offset, i);
    }
    in_shard(release_now);
}

static void fill(bool gaps) {
    f.settings.index_interval_bytes = 500;
    f.settings.compact_policy = gaps;
    EXPECT(open_log());
    for (int i = 0; i < BATCHES; i++) {
        char text[200];
        snprintf(text, sizeof text, "a%d=%d b%d=1 %s", i % (gaps ? 20 : 1000), i, i, i % 3 ? "cccccccccccccccccccccccc=ddddddddddddd" : "e=f g=h");
        put(text);
    }
    roll();
    put("last=1");
    if (gaps)
        EXPECT_INT(clean(), ERR_OK);
    reopen(true);
    struct trace_options heard = {.level = TRACE_ERROR, .now_ms = clock_ms, .write = hear};
    trace_setup(&heard);
    note_all();
    EXPECT(count > BATCHES / 2);
}

static void empty(void) {
    for (int i = 0; i < count; i++)
        mem_free(written[i].bytes);
    struct trace_options quiet = {.level = TRACE_ERROR + 1};
    trace_setup(&quiet);
    end_world();
}

static uint64_t draw(uint64_t *state, uint64_t below) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % below;
}

TEST(no_bit_that_flips_in_a_file_is_served_and_only_its_batch_is_refused) {
    begin_world(21);
    fill(false);
    sim_disk_set_cold(f.disk, 3);
    uint64_t random = 5;
    int64_t end = written[count - 1].pos + written[count - 1].size;
    for (int i = 0; i < FLIPS; i++) {
        int flipped = (int)draw(&random, (uint64_t)count);
        int64_t size = draw(&random, 2) ? BATCH_HEADER_SIZE : written[flipped].size;
        int64_t pos = written[flipped].pos + (int64_t)draw(&random, (uint64_t)size);
        int bit = (int)draw(&random, 8);
        EXPECT_INT(sim_disk_flip_bit(f.disk, segment_path_of_all, pos, bit), ERR_OK);
        for (int k = -3; k <= 14; k++) {
            int at = flipped + k;
            if (at < 0 || at >= count || (k > 3 && draw(&random, 3)))
                continue;
            int64_t range = written[at].last - written[at].base + 1;
            check_read(written[at].base + (int64_t)draw(&random, (uint64_t)range), 1 + (int64_t)draw(&random, (uint64_t)end / (draw(&random, 2) ? 1 : 20)),
                       flipped, pos);
        }
        EXPECT_INT(sim_disk_flip_bit(f.disk, segment_path_of_all, pos, bit), ERR_OK);
    }
    empty();
}

/* Where offsets have gaps a base offset may have moved inside one, which nobody can know; else nothing wrong is served. */
TEST(in_a_compacted_log_what_flips_is_refused_or_lies_in_a_gap) {
    begin_world(22);
    fill(true);
    sim_disk_set_cold(f.disk, 3);
    uint64_t random = 9;
    for (int i = 0; i < FLIPS; i++) {
        int flipped = (int)draw(&random, (uint64_t)count), bit = (int)draw(&random, 8);
        int64_t pos = written[flipped].pos + 8 + (int64_t)draw(&random, (uint64_t)written[flipped].size - 8);
        EXPECT_INT(sim_disk_flip_bit(f.disk, segment_path_of_all, pos, bit), ERR_OK);
        for (int at = flipped ? flipped - 1 : 0; at <= flipped + 1 && at < count; at++)
            check_read(written[at].base, 1 << 20, flipped, pos);
        EXPECT_INT(sim_disk_flip_bit(f.disk, segment_path_of_all, pos, bit), ERR_OK);
    }
    empty();
}

/* An index that leads too far would let reads pass over batches. */
TEST(an_index_that_leads_too_far_is_not_followed) {
    begin_world(23);
    fill(false);
    uint64_t random = 3;
    struct segment *segment = f.log->segments[0];
    read_at(written[count - 1].base, 1); /* loads it */
    in_shard(release_now);
    EXPECT(segment->index_loaded && segment->index.count > 4);
    for (int i = 0; i < FLIPS; i++) {
        struct index_entry *entry = &segment->index.entries[draw(&random, segment->index.count)], old = *entry;
        entry->offset = (uint32_t)draw(&random, old.offset + 1);
        int at = (int)draw(&random, (uint64_t)count);
        read_at(written[at].base, 1);
        if (f.read.err || f.read.first_batch_size != written[at].size || !is_as_written(&written[at], f.read.pieces[0].ptr))
            TEST_FAIL("entry %u says %u: batch %d is not what is read: %s %s", old.offset, entry->offset, at, err_text(f.read.err), said);
        in_shard(release_now);
        *entry = old;
    }
    empty();
}

enum { APPENDS = 120 };

/* Batches of one size, written one by one: they lie in small blocks, of which the first are gone. */
static int64_t fill_slowly(void) {
    f.settings.flush_ms = 1;
    EXPECT(open_log());
    for (int i = 0; i < APPENDS; i++) {
        char value[1000], text[1100];
        memset(value, 'v', sizeof value);
        snprintf(text, sizeof text, "k=%.*s", (int)sizeof value, value);
        put(text);
        while (f.log->segments[0]->written < f.log->segments[0]->size)
            EXPECT(sim_step(f.sim));
    }
    return f.log->segments[0]->size / APPENDS;
}

/* There are more than a read has pieces for. */
TEST(a_tail_of_many_small_blocks_is_read_to_its_end) {
    enum { READ = 56 };
    begin_world(24);
    int64_t batch = fill_slowly();
    EXPECT(READ * batch > LOG_READ_PIECES * TAIL_BLOCK_MIN);
    read_at(APPENDS - READ, 1 << 20);
    EXPECT_INT(f.read.err, ERR_OK);
    EXPECT_INT(f.read.size, READ * batch);
    in_shard(release_now);
    read_at(APPENDS - READ, 50000);
    EXPECT_INT(f.read.size, 50000);
    in_shard(release_now);
    end_world();
}

TEST(a_batch_that_the_file_has_in_part_is_read_with_the_tail_s) {
    begin_world(25);
    int64_t batch = fill_slowly();
    struct segment *segment = f.log->segments[0];
    const struct tail_block *block = container_of(f.log->blocks.next, struct tail_block, node);
    int64_t tail = block->pos + block->start;
    EXPECT(tail > 0 && tail % batch);
    segment->written = tail; /* a write may end so */
    read_at(tail / batch, 1 << 20);
    EXPECT_INT(f.read.err, ERR_OK);
    EXPECT_INT(f.read.first_batch_size, batch);
    EXPECT(f.read.size >= (size_t)batch && batch_base_offset(f.read.pieces[0].ptr) == tail / batch);
    in_shard(release_now);
    segment->written = segment->size;
    end_world();
}

TEST_MAIN
