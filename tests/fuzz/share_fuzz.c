/* Records of the share coordinator, and windows from what they say: the input's pieces are keys and values in turn, as the log
 * has them. Whatever comes of it, a state that is read must either be refused by a window or be one that can be acquired from. */
#include "coordinator/share_state.h"
#include "share/window.h"
#include "tests/fuzz/fuzz.h"

static void read_back(struct share_states *states, struct slice key, struct arena *arena) {
    struct slice record_key, value;
    if (key.size < 24)
        return;
    struct share_call call = {.type = SHARE_READ, .leader_epoch = -1, .group = slice_of(key.ptr + 4, key.size - 24),
                              .topic_id = uuid_load(key.ptr + key.size - 20)};
    share_states_answer(states, &call, true, 1, arena, &record_key, &value);
    if (call.error)
        return;
    struct share_window window = {0};
    if (!window_load(&window, call.start_offset, call.batches, call.batch_count)) {
        window_check(&window);
        (void)window_next_fetch_offset(&window);
        struct share_change change = {.arena = arena};
        window_expire(&window, 1, 5, &change);
        window_check(&window);
    }
    window_deinit(&window);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = input_of(data, size);
    struct share_states *states = share_states_create(3);
    struct arena arena = {0};
    int64_t offset = 0;
    for (;;) {
        struct slice key = input_piece(&input), value = input_piece(&input);
        if (!key.ptr)
            break;
        uint8_t *exact_key = copy_bytes(key), *exact_value = value.size ? copy_bytes(value) : NULL;
        struct coordinator_record record = {.key = slice_of(exact_key, key.size), .value = slice_of(exact_value, value.size), .offset = offset++};
        if (!share_states_replay(states, &record))
            read_back(states, record.key, &arena);
        mem_free(exact_key);
        mem_free(exact_value);
    }
    arena_deinit(&arena);
    share_states_destroy(states);
    return 0;
}
