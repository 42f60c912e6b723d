#include "replica/partition.h"

#include "base/mem.h"

struct partition_key {
    struct uuid topic_id;
    int32_t index;
};

static bool partition_is(const struct map_node *node, const void *key) {
    const struct partition *partition = container_of(node, struct partition, node);
    const struct partition_key *k = key;
    return partition->index == k->index && uuid_eq(partition->topic_id, k->topic_id);
}

struct partition *partition_find(const struct map *partitions, struct uuid topic_id, int32_t index) {
    struct partition_key key = {topic_id, index};
    struct map_node *node = map_find(partitions, partition_hash(topic_id, index), partition_is, &key);
    return node ? container_of(node, struct partition, node) : NULL;
}

struct partition *partition_create(struct uuid topic_id, struct slice topic, int32_t index) {
    struct partition *partition = mem_new(struct partition);
    partition->topic_id = topic_id;
    partition->topic = slice_of(mem_strndup((const char *)topic.ptr, topic.size), topic.size);
    partition->index = index;
    partition->err = ERR_AGAIN;
    list_init(&partition->waiters);
    list_init(&partition->all);
    return partition;
}

void partition_free(struct partition *partition) {
    mem_free((void *)partition->topic.ptr);
    mem_free(partition);
}

void partition_wait(struct partition *partition, struct partition_waiter *waiter) {
    list_push_back(&partition->waiters, &waiter->node);
}

void partition_wake(struct partition *partition) {
    struct list woken;
    list_init(&woken);
    list_splice(&woken, &partition->waiters); /* who waits again, waits for the next time */
    struct list *node;
    while ((node = list_pop_front(&woken))) {
        struct partition_waiter *waiter = container_of(node, struct partition_waiter, node);
        list_push_back(&partition->waiters, node);
        waiter->wake(waiter, partition);
    }
}

enum err partition_check_leader(const struct partition *partition) {
    if (!partition || partition->deleting)
        return ERR_NOT_FOUND;
    if (partition->log)
        return log_state(partition->log) == ERR_OFFLINE ? ERR_OFFLINE : partition->leads ? ERR_OK : ERR_NOT_LEADER;
    return partition->err == ERR_AGAIN || partition->err == ERR_INCONSISTENT_TOPIC_ID ? ERR_NOT_LEADER : ERR_OFFLINE;
}

enum err partition_check_epoch(const struct partition *partition, int32_t epoch) {
    enum err err = partition_check_leader(partition);
    if (err == ERR_NOT_FOUND || err == ERR_OFFLINE || epoch < 0)
        return err;
    if (epoch < partition->leader_epoch)
        return ERR_FENCED_LEADER_EPOCH;
    if (epoch > partition->leader_epoch)
        return ERR_UNKNOWN_LEADER_EPOCH;
    return err;
}

int64_t partition_last_stable_offset(const struct partition *partition) {
    return log_last_stable_offset(partition->log);
}
