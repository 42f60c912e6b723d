/* The window of a share partition. Goal: who gets which records, when, how often, as Kafka gives them.
 * Method: a log of empty batches; text of what was acquired; and random members that check what they hold. */
#include "base/mem.h"
#include "protocol/batch.h"
#include "share/internal.h"
#include "share/window.h"
#include "tests/unit/test.h"

static struct share_window window;
static struct arena arena;
static struct buf bytes, text;
static uint64_t now, lock_ns = 1000;
static int64_t limit_in_flight = 2000;
static int deliveries_max = 5;

static void add_batch(int64_t first, int64_t last) {
    uint8_t *batch = buf_extend(&bytes, BATCH_HEADER_SIZE);
    memset(batch, 0, BATCH_HEADER_SIZE);
    batch_set_base_offset(batch, first);
    batch_set_length(batch, BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE);
    batch[16] = 2;
    batch_set_last_offset_delta(batch, (int32_t)(last - first));
    batch_set_producer_id(batch, -1);
}

static void begin(const int64_t *ends, int count) { /* batches that end there, without */
    window_deinit(&window);
    arena_reset(&arena);
    buf_clear(&bytes);
    now = 0;
    limit_in_flight = 2000;
    deliveries_max = 5;
    int64_t first = 0;
    for (int i = 0; i < count; i++) {
        add_batch(first, ends[i] - 1);
        first = ends[i];
    }
    EXPECT(window_load(&window, 0, NULL, 0) == ERR_OK);
}
#define BEGIN(...) begin((int64_t[]){__VA_ARGS__}, COUNT_OF(((int64_t[]){__VA_ARGS__})))

/* The log from the batch that holds the offset. */
static struct slice read_from(int64_t offset) {
    size_t at = 0;
    while (at < bytes.size && batch_last_offset(bytes.ptr + at) < offset)
        at += batch_size(bytes.ptr + at);
    return slice_of(bytes.ptr + at, bytes.size - at);
}

static struct share_acquire acquire_as(const char *member, int max, int batch_size, bool record_limit, const struct share_aborted *aborted, int aborted_count) {
    struct share_acquire acquire = {.member = slice_str(member), .record_limit = record_limit, .batch_size = batch_size, .records_max = max,
                                    .deadline_ns = now + lock_ns, .deliveries_max = deliveries_max, .in_flight_max = limit_in_flight,
                                    .arena = &arena, .aborted = aborted, .aborted_count = aborted_count};
    if (!window_can_acquire(&window, limit_in_flight))
        return acquire;
    acquire.fetch_offset = window_next_fetch_offset(&window);
    struct slice read = read_from(acquire.fetch_offset);
    acquire.bytes = read.ptr;
    acquire.size = read.size;
    window_acquire(&window, &acquire);
    window_check(&window);
    return acquire;
}

static const char *text_of(const struct share_acquire *acquire) {
    buf_clear(&text);
    for (int i = 0; i < acquire->acquired_count; i++)
        buf_printf(&text, "%s%lld-%lld:%d", i ? " " : "", (long long)acquire->acquired[i].first, (long long)acquire->acquired[i].last,
                   acquire->acquired[i].count);
    return buf_text(&text);
}
static const char *get(const char *member, int max, int batch_size) {
    struct share_acquire acquire = acquire_as(member, max, batch_size, false, NULL, 0);
    return text_of(&acquire);
}
static const char *get_exactly(const char *member, int max) {
    struct share_acquire acquire = acquire_as(member, max, max, true, NULL, 0);
    return text_of(&acquire);
}

static struct share_change change;
static const char *changes(void) {
    buf_clear(&text);
    for (int i = 0; i < change.count; i++)
        buf_printf(&text, "%s%lld-%lld:%d:%d", i ? " " : "", (long long)change.batches[i].first, (long long)change.batches[i].last,
                   change.batches[i].state, change.batches[i].count);
    return buf_text(&text);
}
static enum share_ack_error ack_types(const char *member, int64_t first, int64_t last, const int8_t *types, int count) {
    struct share_ack ack = {first, last, types, count};
    const char *why = NULL;
    change = (struct share_change){.arena = &arena};
    enum share_ack_error error =
        window_acknowledge(&window, slice_str(member), &ack, 1, true, now + lock_ns, deliveries_max, &change, &why);
    EXPECT(!error == !why);
    window_check(&window);
    return error;
}
static enum share_ack_error ack(const char *member, int64_t first, int64_t last, int type) {
    int8_t types[] = {(int8_t)type};
    enum share_ack_error error = ack_types(member, first, last, types, 1);
    if (!error)
        window_complete(&window, change.transition, true, now, deliveries_max);
    window_check(&window);
    return error;
}
static const char *expire(uint64_t at) {
    now = at;
    change = (struct share_change){.arena = &arena};
    window_expire(&window, now, deliveries_max, &change);
    window_advance(&window);
    window_check(&window);
    return changes();
}

TEST(whole_batches_are_acquired_beyond_the_limit) {
    BEGIN(10, 20, 21, 22, 27);
    EXPECT_STR(get("a", 3, 3), "0-9:1");
    EXPECT_STR(get("a", 12, 5), "10-19:1 20-21:1");
    EXPECT_STR(get("b", 500, 500), "22-26:1");
    EXPECT_STR(get("b", 500, 500), "");
}

TEST(a_record_limit_is_exact) {
    BEGIN(10, 17);
    EXPECT_STR(get_exactly("a", 2), "0-1:1");
    EXPECT_STR(get_exactly("b", 3), "2-4:1");
    EXPECT_STR(get_exactly("a", 3), "5-7:1");
    EXPECT_STR(get_exactly("a", 9), "8-9:1 10-16:1");
}

TEST(start_moves_past_what_is_done_when_it_is_stored) {
    BEGIN(10, 20);
    EXPECT_STR(get("a", 3, 100), "0-9:1");
    int8_t types[] = {1, 1, 2, 3, 0, 1, 1, 1, 1, 1};
    EXPECT_INT(ack_types("a", 0, 9, types, 10), SHARE_ACK_OK);
    EXPECT_STR(changes(), "0-1:2:1 2-2:0:1 3-4:4:1 5-9:2:1");
    EXPECT_INT(window.start, 0);
    EXPECT_INT(window_complete_count(&window), 9);
    EXPECT_INT(window_next_fetch_offset(&window), 10); /* under way: not to be had yet */
    EXPECT(window_complete(&window, change.transition, true, now, 5));
    EXPECT_INT(window.start, 2);
    EXPECT_INT(window_complete_count(&window), 7);
    EXPECT_STR(get("b", 1, 100), "2-2:2");
    EXPECT_INT(ack("b", 2, 2, SHARE_TYPE_ACCEPT), SHARE_ACK_OK);
    EXPECT_INT(window.start, 10);
    EXPECT_INT(window.end, 10);
    EXPECT_INT(window.count, 0);
}

TEST(what_was_not_stored_is_taken_back) {
    BEGIN(10);
    get("a", 10, 10);
    int8_t accept = 1;
    EXPECT_INT(ack_types("a", 0, 9, &accept, 1), SHARE_ACK_OK);
    EXPECT_INT(ack_types("a", 0, 9, &accept, 1), SHARE_ACK_INVALID_STATE);
    EXPECT(!window_complete(&window, 1, false, now, 5));
    EXPECT_INT(ack_types("a", 0, 3, &accept, 1), SHARE_ACK_OK);
    now = 1000;
    EXPECT(window_complete(&window, change.transition, false, now, 5)); /* the lock ended meanwhile */
    EXPECT_STR(get("b", 4, 10), "0-3:2");
    EXPECT_INT(ack("a", 4, 9, 1), SHARE_ACK_OK);
}

TEST(bad_acknowledgements_change_nothing) {
    BEGIN(10, 20);
    get("a", 1, 10);
    EXPECT_INT(ack("a", 10, 12, 1), SHARE_ACK_INVALID_REQUEST);
    EXPECT_INT(ack("a", 5, 12, 1), SHARE_ACK_INVALID_REQUEST);
    EXPECT_INT(ack("b", 0, 9, 1), SHARE_ACK_INVALID_STATE);
    EXPECT_INT(ack("b", 0, 3, 1), SHARE_ACK_INVALID_STATE);
    EXPECT_INT(ack("a", 0, 4, 1), SHARE_ACK_OK);
    EXPECT_INT(ack("a", 0, 3, 3), SHARE_ACK_OK); /* below the start: fine, ignored */
    EXPECT_INT(ack("a", 3, 9, 1), SHARE_ACK_OK);
    EXPECT_INT(window.start, 10);
    EXPECT_INT(ack("a", 10, 19, 1), SHARE_ACK_INVALID_STATE);
    get("a", 1, 10);
    int8_t release = 2, accept = 1;
    struct share_ack acks[] = {{10, 12, &release, 1}, {13, 25, &accept, 1}};
    const char *why;
    change = (struct share_change){.arena = &arena};
    EXPECT_INT(window_acknowledge(&window, SLICE_LIT("a"), acks, 2, true, 0, 5, &change, &why), SHARE_ACK_INVALID_REQUEST);
    window_check(&window);
    EXPECT_INT(ack("a", 10, 19, 1), SHARE_ACK_OK);
}

TEST(records_come_again_when_their_lock_ends_until_the_limit) {
    BEGIN(20);
    EXPECT_STR(get("a", 20, 20), "0-19:1");
    EXPECT_STR(expire(999), "");
    EXPECT_STR(expire(1000), "0-19:0:1");
    EXPECT_STR(get("a", 20, 20), "0-19:2");
    EXPECT_STR(expire(2000), "0-19:0:2");
    EXPECT_STR(get("a", 20, 20), "0-19:3");
    EXPECT_STR(expire(3000), "0-19:0:3");
    EXPECT_STR(get("a", 20, 20), "0-9:4"); /* half of it */
    EXPECT_STR(expire(4000), "0-9:0:4");
    EXPECT_STR(get("a", 20, 20), "0-0:5"); /* its last time, alone */
    EXPECT_STR(get("a", 20, 20), "1-1:5");
    EXPECT_STR(expire(5000), "0-1:4:5");
    EXPECT_INT(window.start, 2);
    EXPECT_INT(ack("a", 1, 1, 1), SHARE_ACK_OK); /* too late */
}

TEST(a_renewed_lock_holds_longer) {
    BEGIN(10);
    get("a", 10, 10);
    now = 900;
    EXPECT_INT(ack("a", 2, 3, SHARE_TYPE_RENEW), SHARE_ACK_OK);
    EXPECT_STR(changes(), "");
    EXPECT_STR(expire(1000), "0-1:0:1 4-9:0:1");
    EXPECT_INT(ack("a", 2, 3, SHARE_TYPE_ACCEPT), SHARE_ACK_OK);
    EXPECT_INT(window_deadline(&window) == UINT64_MAX, 1);
}

TEST(the_window_is_limited) {
    BEGIN(10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120);
    limit_in_flight = 100;
    EXPECT_STR(get("a", 95, 1000), "0-99:1");
    EXPECT_STR(get("a", 95, 1000), "");
    EXPECT_INT(ack("a", 20, 29, SHARE_TYPE_RELEASE), SHARE_ACK_OK);
    EXPECT_STR(get("b", 95, 1000), "20-29:2");
    EXPECT_INT(ack("a", 0, 9, 1), SHARE_ACK_OK);
    EXPECT_STR(get("b", 95, 1000), "100-109:1");
}

TEST(what_a_member_holds_is_released_whole) {
    BEGIN(10, 20);
    get("a", 1, 10);
    get("b", 1, 10);
    EXPECT_INT(ack("a", 3, 3, 1), SHARE_ACK_OK);
    change = (struct share_change){.arena = &arena};
    window_release(&window, SLICE_LIT("a"), 5, &change);
    EXPECT_STR(changes(), "0-2:0:1 4-9:0:1");
    EXPECT_STR(get("b", 20, 20), "");
    EXPECT(window_complete(&window, change.transition, true, now, 5));
    EXPECT_STR(get("b", 20, 20), "0-2:2 4-9:2");
}

TEST(stored_state_comes_back_with_its_holes) {
    BEGIN(10, 20, 30, 40);
    struct share_batch stored[] = {{5, 9, SHARE_AVAILABLE, 2}, {15, 19, SHARE_ACKNOWLEDGED, 1}};
    EXPECT(window_load(&window, 3, stored, 2) == ERR_OK);
    EXPECT_INT(window.end, 19);
    EXPECT_STR(get("a", 100, 100), "3-4:1 5-9:3 10-14:1 20-39:1");
    EXPECT_INT(ack("a", 3, 14, 1), SHARE_ACK_OK);
    EXPECT_INT(window.start, 20);
    struct share_batch bad[] = {{2, 9, 0, 1}};
    EXPECT(window_load(&(struct share_window){0}, 3, bad, 1) == ERR_CORRUPT);
    struct share_batch done[] = {{3, 9, SHARE_ACKNOWLEDGED, 1}};
    EXPECT(window_load(&(struct share_window){0}, 4, done, 1) == ERR_CORRUPT);
    EXPECT(window_load(&(struct share_window){0}, INT64_MAX, NULL, 0) == ERR_CORRUPT);
    EXPECT(window_load(&(struct share_window){0}, INT64_MIN, NULL, 0) == ERR_CORRUPT);
    window_deinit(&window);
    EXPECT(window_load(&window, 3, done, 1) == ERR_OK);
    EXPECT_INT(window.start, 10);
    EXPECT_STR(get("a", 100, 100), "10-39:1");
}

TEST(the_log_start_takes_records_away) {
    BEGIN(10, 20, 30);
    get("a", 1, 10);
    get("b", 1, 10);
    EXPECT_INT(ack("a", 0, 9, SHARE_TYPE_RELEASE), SHARE_ACK_OK);
    window_raise_start(&window, 15);
    window_check(&window);
    EXPECT_INT(window.start, 15);
    EXPECT_INT(ack("b", 10, 19, 1), SHARE_ACK_OK);
    EXPECT_INT(window.start, 20);
    window_raise_start(&window, 25);
    EXPECT_STR(get("a", 100, 100), "25-29:1");
}

TEST(compacted_records_are_done_with) {
    BEGIN(10, 20, 30);
    get("a", 30, 30);
    EXPECT_INT(ack("a", 0, 29, SHARE_TYPE_RELEASE), SHARE_ACK_OK);
    buf_clear(&bytes);
    add_batch(12, 19);
    add_batch(20, 29);
    EXPECT_STR(get("a", 100, 100), "12-29:2");
    window_advance(&window);
    EXPECT_INT(window.start, 12);
}

TEST(aborted_records_are_not_given_out) {
    BEGIN(5, 9, 15);
    uint8_t *aborted = bytes.ptr + BATCH_HEADER_SIZE;
    batch_set_producer_id(aborted, 7);
    batch_set_attributes(aborted, BATCH_TRANSACTIONAL);
    struct share_aborted list[] = {{7, 5}};
    struct share_acquire acquire = acquire_as("a", 100, 100, false, list, 1);
    EXPECT_STR(text_of(&acquire), "0-4:1 9-14:1");
    EXPECT_INT(ack("a", 0, 4, 1), SHARE_ACK_OK);
    EXPECT_INT(window.start, 9);
    BEGIN(5);
    batch_set_producer_id(bytes.ptr, 7);
    batch_set_attributes(bytes.ptr, BATCH_TRANSACTIONAL);
    acquire = acquire_as("a", 100, 100, false, (struct share_aborted[]){{7, 0}}, 1);
    EXPECT_INT(acquire.acquired_count, 0);
    EXPECT(acquire.archived && window_advance(&window));
    EXPECT_INT(window.start, 5);
}

/* ---- random ------------------------------------------------------------------------------------------------------------- */

enum { RECORDS = 300 };
static uint64_t seed;
static int roll(int n) {
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (int)((seed >> 33) % (uint64_t)n);
}
static struct {
    int holder, count;
    uint64_t deadline;
    bool done;
} records[RECORDS];
static const char *const names[] = {"", "ann", "bob", "cyd"};

static void random_acquire(int member) {
    struct share_acquire acquire = acquire_as(names[member], 1 + roll(30), 1 + roll(30), roll(2), NULL, 0);
    for (int i = 0; i < acquire.acquired_count; i++)
        for (int64_t at = acquire.acquired[i].first; at <= acquire.acquired[i].last; at++) {
            EXPECT(!records[at].done && !records[at].holder);
            EXPECT_INT(acquire.acquired[i].count, records[at].count + 1);
            records[at].count++;
            records[at].holder = member;
            records[at].deadline = now + lock_ns;
        }
}

static void random_ack(int member) {
    int first = roll(RECORDS), last = first + roll(20), type = roll(5);
    if (last >= RECORDS)
        return;
    bool mine = true;
    for (int at = first; at <= last; at++)
        mine &= records[at].holder == member;
    if (type == SHARE_TYPE_RENEW && !mine)
        return; /* up to the first of another's they would be renewed */
    enum share_ack_error error = ack(names[member], first, last, type);
    if (mine)
        EXPECT_INT(error, SHARE_ACK_OK);
    if (error)
        return;
    for (int at = first; at <= last; at++) {
        if (!mine) { /* accepted: then all of it lies below the start, or was done with */
            EXPECT(records[at].done || records[at].holder == member);
            if (records[at].holder != member)
                continue;
        }
        if (type == SHARE_TYPE_RENEW) {
            records[at].deadline = now + lock_ns;
            continue;
        }
        records[at].holder = 0;
        records[at].done = type != SHARE_TYPE_RELEASE || records[at].count >= deliveries_max;
    }
}

static void random_expire(void) {
    expire(now + (uint64_t)roll(700));
    for (int at = 0; at < RECORDS; at++)
        if (records[at].holder && records[at].deadline <= now) {
            records[at].holder = 0;
            records[at].done = records[at].count >= deliveries_max;
        }
}

TEST(random_members_get_each_record_until_it_is_done_and_never_two_at_a_time) {
    for (int round = 0; round < 300; round++) {
        seed = (uint64_t)round;
        begin(NULL, 0);
        memset(records, 0, sizeof records);
        for (int64_t first = 0; first < RECORDS;) {
            int64_t last = first + roll(25);
            last = last < RECORDS ? last : RECORDS - 1;
            add_batch(first, last);
            first = last + 1;
        }
        limit_in_flight = 100;
        int step = 0;
        for (; step < 20000 && window.start < RECORDS; step++) {
            int what = roll(10), member = 1 + roll(3);
            if (what < 3)
                random_acquire(member);
            else if (what < 9)
                random_ack(member);
            else
                random_expire();
        }
        EXPECT_INT(window.start, RECORDS);
        for (int at = 0; at < RECORDS; at++)
            EXPECT(records[at].done);
    }
}

TEST(random_batches_combine_as_record_for_record) {
    for (int round = 0; round < 20000; round++) {
        seed = (uint64_t)round * 77;
        struct share_batch in[8], out[17], best[64];
        int count = roll(9);
        int64_t start = roll(3) ? -1 : roll(40);
        memset(best, 0, sizeof best);
        for (int i = 0; i < count; i++) {
            int64_t first = roll(50);
            in[i] = (struct share_batch){first, first + roll(12), (int8_t)(2 * roll(3)), (int16_t)(1 + roll(3))};
            for (int64_t at = first; at <= in[i].last; at++)
                if (at >= start && (in[i].count > best[at].count || (in[i].count == best[at].count && in[i].state > best[at].state)))
                    best[at] = in[i];
        }
        int got = share_batches_combine(in, count, start, out);
        EXPECT(got <= share_batches_room(count));
        for (int i = 0; i < got; i++) {
            EXPECT(out[i].first <= out[i].last && (!i || out[i - 1].last < out[i].first));
            EXPECT(!i || out[i - 1].last + 1 < out[i].first || out[i - 1].state != out[i].state || out[i - 1].count != out[i].count);
            for (int64_t at = out[i].first; at <= out[i].last; at++) {
                EXPECT(best[at].count == out[i].count && best[at].state == out[i].state);
                best[at].count = 0;
            }
        }
        for (int at = 0; at < 64; at++)
            EXPECT_INT(best[at].count, 0);
    }
}

TEST_MAIN
