/* Small files beside the logs and the configuration: the first byte chooses which. */
#include "base/properties.h"
#include "broker/storage.h"
#include "log/checkpoint.h"
#include "log/epochs.h"
#include "metadata/config.h"
#include "raft/snapshot.h"
#include "tests/fuzz/fuzz.h"

static void no_offset(void *arg, struct slice topic, int32_t partition, int64_t offset) {
    (void)arg, (void)topic, (void)partition, (void)offset;
}

static void read_epochs(struct slice text) {
    struct epochs epochs = {0}, again = {0};
    struct buf out = {0};
    if (epochs_parse(&epochs, text) == ERR_OK) {
        epochs_format(&epochs, &out);
        check(epochs_parse(&again, buf_slice(&out)) == ERR_OK && again.count == epochs.count, "epochs do not come back");
    }
    epochs_deinit(&epochs);
    epochs_deinit(&again);
    buf_deinit(&out);
}

static void read_properties(struct slice text) {
    struct arena arena = {0};
    struct properties properties;
    int line;
    if (properties_parse(&arena, text, &properties, &line) == ERR_OK)
        properties_get(&properties, "node.id");
    arena_deinit(&arena);
}

static void read_meta_properties(struct slice text) {
    struct meta_properties meta;
    struct buf error = {0};
    mem_free(fuzz_file("meta.properties", text));
    if (meta_properties_read(fuzz_fs(), fuzz_dir, &meta, &error) == ERR_OK && meta.node_id >= 0) {
        check(meta_properties_write(fuzz_fs(), fuzz_dir, &meta) == ERR_OK, "cannot write");
        check(meta_properties_read(fuzz_fs(), fuzz_dir, &meta, &error) == ERR_OK, "what was written is refused: %s", buf_text(&error));
    }
    buf_deinit(&error);
}

static void read_config(struct slice text) {
    struct broker_config *config;
    struct buf error = {0};
    char *path = fuzz_file("server.properties", text);
    if (broker_config_load(path, NULL, 0, &config, &error) == ERR_OK)
        broker_config_free(config);
    else
        check(error.size > 0, "a configuration is refused without a reason");
    buf_deinit(&error);
    mem_free(path);
}

static void add_data(void *arg, struct slice value) {
    *(size_t *)arg += value.size;
}
static void add_control(void *arg, int type, struct slice value) {
    *(size_t *)arg += value.size + (size_t)(type >= 0);
}

static void read_snapshot(uint8_t *bytes, size_t size) {
    struct snapshot snapshot = {0};
    size_t sum = 0;
    fix_batches(bytes, size);
    (void)!snapshot_walk(slice_of(bytes, size), add_data, add_control, &sum);
    char *path = fuzz_file("00000000000000000001-0000000001.checkpoint", slice_of(bytes, size));
    if (snapshot_load(fuzz_fs(), path, &snapshot) == ERR_OK)
        buf_deinit(&snapshot.bytes);
    mem_free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = input_of(data, size);
    uint8_t choice = input_byte(&input);
    size = input_rest(&input).size;
    uint8_t *copy = copy_bytes(input_rest(&input));
    struct slice text = slice_of(copy, size);
    struct uuid id;
    struct quorum_state state;
    switch (choice % 8) {
    case 0:
        (void)!checkpoint_parse_offsets(text, no_offset, NULL);
        break;
    case 1:
        read_epochs(text);
        break;
    case 2:
        (void)!partition_metadata_parse(text, &id);
        break;
    case 3:
        read_properties(text);
        break;
    case 4:
        (void)!quorum_state_parse(text, &state);
        break;
    case 5:
        read_meta_properties(text);
        break;
    case 6:
        read_config(text);
        break;
    case 7:
        read_snapshot(copy, size);
        break;
    }
    mem_free(copy);
    return 0;
}
