/* A formatted log directory: `meta.properties`, the records that a new cluster begins with, and the lock that keeps a
 * second process out. What `myelin storage` and the start of a node share. All calls block. */
#ifndef BROKER_STORAGE_H
#define BROKER_STORAGE_H

#include "base/buf.h"
#include "metadata/config.h"

struct meta_properties {
    int version;
    char cluster_id[128];
    int32_t node_id;
    struct uuid directory_id; /* zero: not there */
};
/* NOT_FOUND: not formatted. INVALID: *ret_error says what is wrong with the file. */
enum err meta_properties_read(struct fs *fs, const char *dir, struct meta_properties *ret_meta, struct buf *ret_error) MUST_USE;
enum err meta_properties_write(struct fs *fs, const char *dir, const struct meta_properties *meta) MUST_USE;

struct storage_voter {
    int32_t id;
    char host[256];
    uint16_t port;
    struct uuid directory;
};
struct storage_format {
    struct slice cluster_id;     /* null: a random one */
    bool standalone;             /* this node is the only voter of a dynamic quorum (kraft.version 1) */
    const struct storage_voter *voters; /* the dynamic quorum when it is given; else voter_count is 0 */
    int voter_count;
    bool ignore_formatted;
    int16_t metadata_version;    /* 0: the latest */
    const char *const *features; /* "name=level" */
    int feature_count;
};
/* Formats all directories of the configuration, making them where they are missing. One line a directory into ret_text
 * as Kafka's tool prints it. */
enum err storage_format(struct runtime *runtime, const struct broker_config *config, const struct storage_format *format,
                        struct buf *ret_text, struct buf *ret_error) MUST_USE;
/* Locks the directories and reads who they belong to; directories without an id get one. ids has one for each of
 * log_dirs, zero for a directory that cannot be read. locks take the files that hold the locks. */
enum err storage_open(struct runtime *runtime, const struct broker_config *config, char cluster_id[128], struct uuid *ids,
                      struct file **locks, struct buf *ret_error) MUST_USE;

struct uuid storage_random_uuid(struct runtime *runtime);

#endif
