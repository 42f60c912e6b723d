#include "log/epochs.h"

#include <inttypes.h>
#include "base/mem.h"
#include "log/checkpoint.h"

void epochs_deinit(struct epochs *epochs) {
    mem_free(epochs->entries);
    *epochs = (struct epochs){0};
}

static void add(struct epochs *epochs, int32_t epoch, int64_t start_offset) {
    if (epochs->count == epochs->capacity) {
        epochs->capacity = epochs->capacity ? epochs->capacity * 2 : 1;
        epochs->entries = mem_realloc(epochs->entries, sizeof *epochs->entries * (size_t)epochs->capacity);
    }
    epochs->entries[epochs->count++] = (struct epoch_entry){epoch, start_offset};
}

bool epochs_assign(struct epochs *epochs, int32_t epoch, int64_t start_offset) {
    if (epoch < 0 || epoch <= epochs_latest(epochs))
        return false;
    epochs_truncate_end(epochs, start_offset);
    add(epochs, epoch, start_offset);
    return true;
}

int32_t epochs_latest(const struct epochs *epochs) {
    return epochs->count ? epochs->entries[epochs->count - 1].epoch : -1;
}

int32_t epochs_of(const struct epochs *epochs, int64_t offset) {
    for (int i = epochs->count; i-- > 0;)
        if (epochs->entries[i].start_offset <= offset)
            return epochs->entries[i].epoch;
    return -1;
}

void epochs_end_offset(const struct epochs *epochs, int32_t epoch, int64_t log_end, int32_t *ret_epoch,
                       int64_t *ret_end_offset) {
    *ret_epoch = -1;
    *ret_end_offset = -1;
    if (epoch == -1 || !epochs->count || epoch > epochs_latest(epochs))
        return;
    if (epoch == epochs_latest(epochs)) {
        *ret_epoch = epoch;
        *ret_end_offset = log_end;
        return;
    }
    if (epoch < epochs->entries[0].epoch) { /* older than all: it ends where the first known one begins */
        *ret_epoch = epoch;
        *ret_end_offset = epochs->entries[0].start_offset;
        return;
    }
    for (int i = epochs->count - 1; i-- > 0;)
        if (epochs->entries[i].epoch <= epoch) {
            *ret_epoch = epochs->entries[i].epoch;
            *ret_end_offset = epochs->entries[i + 1].start_offset;
            return;
        }
}

bool epochs_truncate_end(struct epochs *epochs, int64_t end_offset) {
    int count = epochs->count;
    while (epochs->count && epochs->entries[epochs->count - 1].start_offset >= end_offset)
        epochs->count--;
    return count != epochs->count;
}

bool epochs_truncate_start(struct epochs *epochs, int64_t start_offset) {
    int drop = 0;
    while (drop + 1 < epochs->count && epochs->entries[drop + 1].start_offset <= start_offset)
        drop++;
    if (!epochs->count || (!drop && epochs->entries[0].start_offset >= start_offset))
        return false;
    memmove(epochs->entries, epochs->entries + drop, sizeof *epochs->entries * (size_t)(epochs->count - drop));
    epochs->count -= drop;
    if (epochs->entries[0].start_offset < start_offset)
        epochs->entries[0].start_offset = start_offset;
    return true;
}

void epochs_format(const struct epochs *epochs, struct buf *buf) {
    buf_printf(buf, "0\n%d\n", epochs->count);
    for (int i = 0; i < epochs->count; i++)
        buf_printf(buf, "%" PRId32 " %" PRId64 "\n", epochs->entries[i].epoch, epochs->entries[i].start_offset);
}

static enum err take_line(void *arg, const struct slice *fields, int count) {
    struct epochs *epochs = arg;
    int64_t epoch, start;
    if (count != 2 || !checkpoint_number(fields[0], &epoch) || !checkpoint_number(fields[1], &start) || epoch < 0 ||
        epoch > INT32_MAX || start < 0)
        return ERR_CORRUPT;
    if (epochs->count && (epoch <= epochs_latest(epochs) || start < epochs->entries[epochs->count - 1].start_offset))
        return ERR_CORRUPT;
    add(epochs, (int32_t)epoch, start);
    return ERR_OK;
}

enum err epochs_parse(struct epochs *epochs, struct slice text) {
    enum err err = checkpoint_parse(text, take_line, epochs);
    if (err)
        epochs_deinit(epochs);
    return err;
}
