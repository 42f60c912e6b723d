/* A log directory with a journal that a crash left, and the checkpoints beside it. Pieces of the input become the groups
 * of the ring, each on a block of its own, with checksums made right unless the first byte says otherwise, in the format that it says. */
#include "base/crc32c.h"
#include "log/internal.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t zeros[FILE_DIRECT_ALIGN];
    struct input input = input_of(data, size);
    uint8_t choice = input_byte(&input);
    struct buf ring = {0};
    struct uuid id = UUID_ZERO;
    for (struct slice piece; (piece = input_piece(&input)).ptr;) {
        size_t start = ring.size;
        buf_add_slice(&ring, piece);
        if (piece.size >= JOURNAL_HEADER && !(choice & 1)) {
            uint8_t *p = ring.ptr + start;
            size_t head = choice & 2 ? JOURNAL_HEADER + load_be32(p + 44) % (piece.size - JOURNAL_HEADER + 1) : piece.size;
            memcpy(p, choice & 4 ? JOURNAL_MAGIC : JOURNAL_MAGIC_1, 8);
            memset(p + 16, 0, 16);
            store_be32(p + 40, (uint32_t)piece.size);
            store_be32(p + 44, (uint32_t)head);
            if (!(choice & 4))
                head = piece.size;
            store_be32(p + 52, crc32c(crc32c(0, p, 52), p + JOURNAL_HEADER, head - JOURNAL_HEADER));
            if (piece.size >= JOURNAL_HEADER + JOURNAL_ENTRY_HEADER)
                id = uuid_load(p + JOURNAL_HEADER);
        }
        if (ring.size % FILE_DIRECT_ALIGN)
            buf_add(&ring, zeros, FILE_DIRECT_ALIGN - ring.size % FILE_DIRECT_ALIGN);
    }
    fuzz_fs();
    mem_free(fuzz_file(JOURNAL_PREFIX "0-0000000000000001", buf_slice(&ring)));
    const char *dir = fuzz_dir;
    struct log_inventory *inventory = log_inventory_create(fuzz_runtime, &dir, 1);
    const struct journal_entry *entries;
    for (int32_t partition = 0; partition < 2; partition++) {
        int count = inventory_journal_entries(inventory, 0, id, partition, &entries);
        for (int i = 0; i < count; i++) {
            check(i == 0 || entries[i].base_offset >= entries[i - 1].base_offset, "entries are not in order");
            (void)crc32c(0, entries[i].bytes.ptr, entries[i].bytes.size);
        }
    }
    log_inventory_destroy(inventory);
    buf_deinit(&ring);
    return 0;
}
