#include "cli/log_dump.h"

#include "base/mem.h"
#include "base/properties.h"
#include "cli/output.h"
#include "log/checkpoint.h"
#include "log/journal_read.h"
#include "log/producers.h"
#include "log/txn_index.h"

enum { INDEX_ENTRY = 8, TIME_ENTRY = 12 };

/* Whole entries, without the zeros that a file of a crashed Kafka is preallocated with. */
static size_t used_entries(struct slice bytes, size_t entry) {
    size_t count = bytes.size / entry;
    while (count) {
        const uint8_t *p = bytes.ptr + (count - 1) * entry;
        for (size_t i = 0; i < entry; i++)
            if (p[i])
                return count;
        count--;
    }
    return 0;
}

void dump_index(struct dump *dump, struct slice bytes, int64_t base) {
    size_t count = used_entries(bytes, INDEX_ENTRY);
    if (bytes.size % INDEX_ENTRY)
        dump_bad(dump, "the size is no multiple of %d", INDEX_ENTRY);
    for (size_t i = 0; i < count; i++)
        dump_item(dump, "", json_pack("{s:I,s:I}", "offset", (json_int_t)(base + load_be32(bytes.ptr + i * INDEX_ENTRY)),
                                      "position", (json_int_t)load_be32(bytes.ptr + i * INDEX_ENTRY + 4)));
}

void dump_time_index(struct dump *dump, struct slice bytes, int64_t base) {
    size_t count = used_entries(bytes, TIME_ENTRY);
    if (bytes.size % TIME_ENTRY)
        dump_bad(dump, "the size is no multiple of %d", TIME_ENTRY);
    for (size_t i = 0; i < count; i++)
        dump_item(dump, "", json_pack("{s:I,s:I}", "timestamp", (json_int_t)load_be64(bytes.ptr + i * TIME_ENTRY), "offset",
                                      (json_int_t)(base + load_be32(bytes.ptr + i * TIME_ENTRY + 8))));
}

void dump_txn_index(struct dump *dump, struct slice bytes) {
    struct txn_index index = {0};
    if (txn_index_decode(&index, bytes)) {
        dump_bad(dump, "not a transaction index");
        return;
    }
    for (int i = 0; i < index.count; i++)
        dump_item(dump, "", json_pack("{s:I,s:I,s:I,s:I}", "producer_id", (json_int_t)index.entries[i].producer_id, "first_offset",
                                      (json_int_t)index.entries[i].first_offset, "last_offset", (json_int_t)index.entries[i].last_offset,
                                      "last_stable_offset", (json_int_t)index.entries[i].last_stable_offset));
    txn_index_deinit(&index);
}

void dump_producers(struct dump *dump, struct slice bytes) {
    struct producers producers = {0};
    if (producers_decode(&producers, bytes)) {
        dump_bad(dump, "not a snapshot of producers, or its CRC is wrong");
        return;
    }
    map_each(node, &producers.map) {
        const struct producer *producer = container_of(node, struct producer, node);
        json_t *item = json_pack("{s:I,s:i}", "producer_id", (json_int_t)producer->id, "producer_epoch", producer->epoch);
        if (producer->batch_count) {
            const struct producer_batch *last = &producer->batches[producer->batch_count - 1];
            json_object_set_new(item, "first_sequence", json_integer(last->first_sequence));
            json_object_set_new(item, "last_sequence", json_integer(last->last_sequence));
            json_object_set_new(item, "last_offset", json_integer(last->last_offset));
        }
        json_object_set_new(item, "last_timestamp", json_integer(producer->last_timestamp));
        json_object_set_new(item, "coordinator_epoch", json_integer(producer->coordinator_epoch));
        if (producer->txn_first_offset >= 0)
            json_object_set_new(item, "open_transaction_first_offset", json_integer(producer->txn_first_offset));
        dump_item(dump, "", item);
    }
    producers_clear(&producers);
}

struct checkpoint_dump {
    struct dump *dump;
    bool epochs;
};
static enum err checkpoint_entry(void *arg, const struct slice *fields, int count) {
    const struct checkpoint_dump *c = arg;
    int64_t a, b;
    if (count != (c->epochs ? 2 : 3) || !checkpoint_number(fields[count - 2], &a) || !checkpoint_number(fields[count - 1], &b))
        return ERR_CORRUPT;
    dump_item(c->dump, "", c->epochs ? json_pack("{s:I,s:I}", "epoch", (json_int_t)a, "start_offset", (json_int_t)b)
                                     : json_pack("{s:o,s:I,s:I}", "topic", json_slice(fields[0]), "partition", (json_int_t)a,
                                                 "offset", (json_int_t)b));
    return ERR_OK;
}

void dump_checkpoint(struct dump *dump, struct slice bytes, bool epochs) {
    struct checkpoint_dump arg = {dump, epochs};
    if (checkpoint_parse(bytes, checkpoint_entry, &arg))
        dump_bad(dump, "not a checkpoint, or it does not hold as many entries as it says");
}

void dump_properties(struct dump *dump, struct slice bytes) {
    struct arena arena = {0};
    struct properties properties;
    int line;
    if (properties_parse(&arena, bytes, &properties, &line)) {
        dump_bad(dump, "line %d: not a property", line);
    } else {
        json_t *item = json_object();
        for (int i = 0; i < properties.count; i++)
            json_object_set_new(item, (const char *)properties.items[i].key.ptr, json_slice(properties.items[i].value));
        dump_item(dump, "", item);
    }
    arena_deinit(&arena);
}

void dump_partition_metadata(struct dump *dump, struct slice bytes) {
    struct uuid id;
    char text[UUID_TEXT_SIZE];
    if (partition_metadata_parse(bytes, &id))
        dump_bad(dump, "not a partition.metadata");
    else
        dump_item(dump, "", json_pack("{s:s}", "topic_id", uuid_text(id, text)));
}

void dump_quorum_state(struct dump *dump, struct slice bytes) {
    json_t *state = json_loadb((const char *)bytes.ptr, bytes.size, 0, NULL);
    if (json_is_object(state)) {
        dump_item(dump, "", state);
    } else {
        json_decref(state);
        dump_bad(dump, "not a quorum-state");
    }
}

void dump_journal(struct dump *dump, struct slice bytes) {
    struct journal_group *groups;
    int count = journal_find_groups(bytes, &groups);
    uint64_t needed = count ? groups[count - 1].oldest : 0;
    for (int i = 0; i < count; i++) {
        dump_item(dump, "", json_pack("{s:I,s:I,s:i,s:b}", "group", (json_int_t)groups[i].number, "position", (json_int_t)groups[i].pos,
                                      "entries", (int)groups[i].entry_count, "needed", groups[i].number >= needed));
        struct journal_group_entry entry;
        enum err err;
        while (!(err = journal_next_entry(&groups[i], &entry))) {
            char id[UUID_TEXT_SIZE];
            dump_item(dump, "  ", json_pack("{s:s,s:i,s:I,s:I}", "topic_id", uuid_text(entry.topic_id, id), "partition",
                                            (int)entry.partition, "base_offset", (json_int_t)entry.base_offset, "size",
                                            (json_int_t)entry.batches.size));
            enum record_family family = uuid_eq(entry.topic_id, UUID_METADATA_TOPIC) ? RECORDS_OF_METADATA : dump->family;
            struct slice rest = entry.batches;
            while (rest.size && !batch_check(rest)) {
                size_t size = batch_size(rest.ptr);
                dump_batch(dump, family, slice_of(rest.ptr, size), (int64_t)(rest.ptr - bytes.ptr), "    ");
                rest = slice_of(rest.ptr + size, rest.size - size);
            }
            if (rest.size)
                dump_bad(dump, "position %lld: not a batch, in group %llu", (long long)(rest.ptr - bytes.ptr), (unsigned long long)groups[i].number);
        }
        if (err != ERR_NOT_FOUND)
            dump_bad(dump, "group %llu: its entries do not add up", (unsigned long long)groups[i].number);
    }
    mem_free(groups);
}
