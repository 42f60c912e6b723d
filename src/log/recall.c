#include "log/recall.h"

#include "log/scan.h"

struct recalled {
    int64_t id;
    int16_t epoch;
    struct producer_batch batch;
};

void producers_recall_from(struct producers *producers, struct file *file, int64_t pos, int64_t end, int64_t before) {
    struct recalled *found = NULL;
    int count = 0, capacity = 0;
    struct segment_scan scan;
    segment_scan_init(&scan, file, pos, end);
    scan.headers_only = true;
    while (!segment_scan_next(&scan) && batch_magic(scan.batch) == 2 && batch_last_offset(scan.batch) < before) {
        if (batch_producer_id(scan.batch) < 0 || batch_is_control(scan.batch))
            continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            found = mem_realloc(found, sizeof *found * (size_t)capacity);
        }
        found[count++] = (struct recalled){batch_producer_id(scan.batch), batch_producer_epoch(scan.batch),
                                           {batch_base_sequence(scan.batch), batch_last_sequence(scan.batch),
                                            batch_last_offset(scan.batch), batch_max_timestamp(scan.batch)}};
    }
    segment_scan_deinit(&scan);
    while (count--)
        producers_recall(producers, found[count].id, found[count].epoch, &found[count].batch);
    mem_free(found);
}
