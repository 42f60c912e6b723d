#include "cli/sources.h"

#include "base/mem.h"

int sources_add(struct sources *sources, struct client *client, const char *name, const char *text, struct place from,
                const struct place *until, bool committed) {
    const struct metadata_response_metadata_response_topic *topic;
    int *partitions = NULL, count = 0;
    int status = client_topic(client, name, &topic);
    if (!status)
        status = choose_partitions(topic, text, &partitions, &count);
    if (status)
        return status;
    int64_t *first = arena_array(&client->arena, int64_t, count), *end = arena_array(&client->arena, int64_t, count);
    status = offsets_of_place(client, name, partitions, count, from, committed, first);
    if (!status && until)
        status = offsets_of_place(client, name, partitions, count, *until, committed, end);
    sources->items = mem_realloc(sources->items, sizeof *sources->items * (size_t)(sources->count + count + 1));
    for (int i = 0; i < count && !status; i++)
        sources->items[sources->count++] =
            (struct source){.name = name, .partition = partitions[i], .first = first[i], .end = until ? end[i] : SOURCE_END_NONE};
    mem_free(partitions);
    return status;
}

int sources_start(struct sources *sources, rd_kafka_t *rk) {
    sources->queue = rd_kafka_queue_new(rk);
    for (int i = 0; i < sources->count; i++) {
        struct source *source = &sources->items[i];
        source->topic = rd_kafka_topic_new(rk, source->name, NULL); /* one object a topic, a reference a source */
        source->done = source->end != SOURCE_END_NONE && source->first >= source->end;
        if (source->done)
            continue;
        if (rd_kafka_consume_start_queue(source->topic, source->partition, source->first, sources->queue))
            return cli_fail("%s, partition %d cannot be read: %s", source->name, source->partition, rd_kafka_err2str(rd_kafka_last_error()));
        source->started = true;
        sources->open_count++;
    }
    return CLI_OK;
}

void sources_stop(struct sources *sources) {
    for (int i = 0; i < sources->count; i++) {
        struct source *source = &sources->items[i];
        if (source->started)
            rd_kafka_consume_stop(source->topic, source->partition);
        if (source->topic)
            rd_kafka_topic_destroy(source->topic);
    }
    if (sources->queue)
        rd_kafka_queue_destroy(sources->queue);
    mem_free(sources->items);
}

static struct source *find_source(struct sources *sources, const rd_kafka_message_t *message) {
    if (!message->rkt)
        return NULL;
    const char *name = rd_kafka_topic_name(message->rkt);
    for (int i = 0; i < sources->count; i++)
        if (sources->items[i].partition == message->partition && strcmp(sources->items[i].name, name) == 0)
            return &sources->items[i];
    return NULL;
}

static void finish(struct sources *sources, struct source *source) {
    sources->open_count -= !source->done;
    source->done = true;
}

static int fail(const struct source *source, const rd_kafka_message_t *message) {
    if (!source)
        return cli_fail("%s", rd_kafka_message_errstr(message));
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        return cli_fail("%s, partition %d has no offset %lld; `myelin topic offsets %s` shows where it ends, with --time earliest where it begins",
                        source->name, source->partition, (long long)source->first, source->name);
    return cli_fail("%s, partition %d: %s; `myelin topic describe %s` shows its leader", source->name, source->partition,
                    rd_kafka_err2str(message->err), source->name);
}

bool sources_take(struct sources *sources, const rd_kafka_message_t *message, const struct source **ret_source, int *ret_status) {
    struct source *source = find_source(sources, message);
    *ret_source = source;
    if (source && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        /* The last offsets before the end may hold no record: compacted, aborted, or a transaction's marker. */
        if (source->end != SOURCE_END_NONE && message->offset >= source->end)
            finish(sources, source);
        return false;
    }
    if (message->err) {
        *ret_status = fail(source, message);
        return false;
    }
    if (!source || source->done)
        return false;
    if (source->end != SOURCE_END_NONE && message->offset + 1 >= source->end)
        finish(sources, source);
    return source->end == SOURCE_END_NONE || message->offset < source->end;
}
