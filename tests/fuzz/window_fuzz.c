/* The window of a share partition over a log that somebody else wrote: batches whose headers say anything are acquired from,
 * acknowledged, released, archived, by three members. Whatever they say, the window stays what window_check() wants. */
#include "share/window.h"
#include "tests/fuzz/fuzz.h"

enum { OPS_MAX = 200, DELIVERIES = 5, BATCHES = 8, ABORTED = 4 };
static const struct slice members[3] = {SLICE_LIT("a"), SLICE_LIT("b"), SLICE_LIT("c")};

static uint64_t take(struct input *input, int size) {
    uint64_t x = 0;
    while (size--)
        x = x << 8 | input_byte(input);
    return x;
}

/* A batch, mostly near the offset; the byte before it says which of its fields are drawn. */
static void add_batch(struct input *input, struct buf *buf, int64_t *offset) {
    uint8_t what = input_byte(input);
    size_t payload = what & 1 ? input_byte(input) : 8;
    uint8_t *batch = buf_extend(buf, BATCH_HEADER_SIZE + payload);
    memset(batch, 0, BATCH_HEADER_SIZE + payload);
    int64_t base = what & 2 ? *offset + (int8_t)input_byte(input) : *offset;
    batch_set_base_offset(batch, what & 4 ? (int64_t)take(input, 8) : base);
    batch_set_length(batch, (int32_t)(BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE + payload));
    batch[16] = what & 8 ? input_byte(input) % 3 : 2;
    batch_set_last_offset_delta(batch, what & 16 ? (int32_t)take(input, 4) : input_byte(input) % 16);
    batch_set_producer_id(batch, what & 32 ? input_byte(input) % 3 : -1);
    batch_set_attributes(batch, what & 64 ? (int16_t)input_byte(input) : 0);
    batch_set_count(batch, input_byte(input));
    for (size_t i = 0; what & 128 && i < payload; i++)
        batch[BATCH_HEADER_SIZE + i] = input_byte(input);
    *offset = any_last_offset(batch) < INT64_MAX / 4 && any_last_offset(batch) >= 0 ? any_last_offset(batch) + 1 : *offset;
}

static void acquire(struct share_window *window, struct input *input, struct arena *arena, uint64_t now) {
    struct buf buf = {0};
    int64_t offset = window_next_fetch_offset(window);
    uint8_t flags = input_byte(input), cut = input_byte(input);
    struct share_aborted aborted[ABORTED];
    struct share_acquire acquire = {.member = members[flags % 3], .record_limit = flags & 4, .batch_size = 1 + input_byte(input) % 8,
                                    .records_max = input_byte(input) % 64, .fetch_offset = offset, .aborted = aborted, .deadline_ns = now + 10,
                                    .deliveries_max = DELIVERIES, .in_flight_max = 1 + input_byte(input), .arena = arena};
    int64_t at = flags & 8 ? offset - input_byte(input) : offset;
    for (int i = flags >> 4 & (ABORTED - 1); i > 0; i--)
        aborted[acquire.aborted_count++] = (struct share_aborted){input_byte(input) % 3, offset + (int8_t)input_byte(input)};
    for (int i = input_byte(input) % BATCHES; i >= 0; i--)
        add_batch(input, &buf, &at);
    acquire.size = buf.size - (cut < buf.size ? cut : 0);
    uint8_t *exact = copy_bytes(slice_of(buf.ptr, acquire.size));
    acquire.bytes = exact;
    window_acquire(window, &acquire);
    struct slice bytes = window_acquired_bytes(&acquire);
    check(!bytes.size || (bytes.ptr >= exact && bytes.ptr + bytes.size <= exact + acquire.size));
    for (int i = 0; i < acquire.acquired_count; i++)
        check(acquire.acquired[i].first <= acquire.acquired[i].last && acquire.acquired[i].count > 0);
    mem_free(exact);
    buf_deinit(&buf);
    (void)window_advance(window);
}

static void acknowledge(struct share_window *window, struct input *input, struct arena *arena, uint64_t now, uint32_t *ret_transition) {
    int8_t types[16];
    struct share_ack ack = {.first = window->start + input_byte(input), .types = types};
    uint8_t flags = input_byte(input);
    ack.last = ack.first + (flags & 15);
    ack.type_count = flags & 16 ? 1 : (flags & 15) + 1;
    for (int i = 0; i < ack.type_count; i++)
        types[i] = (int8_t)(input_byte(input) % SHARE_TYPES);
    struct share_change change = {.arena = arena};
    const char *why = NULL;
    if (window_acknowledge(window, members[flags >> 5 & 1], &ack, 1, flags & 64, now + 10, DELIVERIES, &change, &why) == SHARE_ACK_OK)
        *ret_transition = change.transition;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = input_of(data, size);
    struct share_window window = {0};
    struct arena arena = {0};
    uint32_t transition = 0;
    uint64_t now = 1;
    struct share_batch stored[2] = {{10, 12, (int8_t)(input_byte(&input) & 6), 1}, {20, 24, SHARE_AVAILABLE, (int16_t)(input_byte(&input) % DELIVERIES)}};
    if (window_load(&window, input_byte(&input) % 11, stored, input_byte(&input) % 3))
        window_deinit(&window);
    for (int i = 0; i < OPS_MAX && input.ptr < input.end; i++, now++) {
        struct share_change change = {.arena = &arena};
        switch (input_byte(&input) % 8) {
        default: acquire(&window, &input, &arena, now); break;
        case 1: acknowledge(&window, &input, &arena, now, &transition); break;
        case 2: window_release(&window, members[input_byte(&input) % 3], DELIVERIES, &change); transition = change.transition; break;
        case 3: window_expire(&window, now, DELIVERIES, &change); break;
        case 4: (void)window_complete(&window, transition, input_byte(&input) & 1, now, DELIVERIES); break;
        case 5: window_raise_start(&window, window.start + input_byte(&input) % 32); break;
        }
        window_check(&window);
        (void)window_can_acquire(&window, 200);
        (void)window_complete_count(&window);
    }
    window_deinit(&window);
    arena_deinit(&arena);
    return 0;
}
