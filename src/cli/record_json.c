#include "cli/record_json.h"

#include "base/mem.h"
#include "cli/output.h"
#include "protocol/end_txn_marker.h"
#include "protocol/kraft_version_record.h"
#include "protocol/leader_change_message.h"
#include "protocol/record_table.h"
#include "protocol/snapshot_footer_record.h"
#include "protocol/snapshot_header_record.h"
#include "protocol/voters_record.h"

static const struct {
    enum record_family family;
    const char *topic, *table;
} families[] = {
    {RECORDS_OF_METADATA, "__cluster_metadata", "metadata"},
    {RECORDS_OF_GROUPS, "__consumer_offsets", "group_coordinator"},
    {RECORDS_OF_TRANSACTIONS, "__transaction_state", "transaction_coordinator"},
    {RECORDS_OF_SHARE_GROUPS, "__share_group_state", "share_coordinator"},
    {RECORDS_OF_REMOTE_STORAGE, "__remote_log_metadata", "storage"},
};

enum record_family record_family_of(struct slice topic) {
    for (int i = 0; i < COUNT_OF(families); i++) {
        size_t size = strlen(families[i].topic);
        if (topic.size >= size && memcmp(topic.ptr, families[i].topic, size) == 0 && (topic.size == size || topic.ptr[size] == '-'))
            return families[i].family;
    }
    return RECORDS_OF_USERS;
}

static const struct record_type *find_type(enum record_family family, bool is_key, int type) {
    const char *table = "";
    for (int i = 0; i < COUNT_OF(families); i++)
        if (families[i].family == family)
            table = families[i].table;
    for (int i = 0; i < record_type_count; i++)
        if (record_types[i].type == type && record_types[i].is_key == is_key && strcmp(record_types[i].family, table) == 0)
            return &record_types[i];
    return NULL;
}

static json_t *undecoded(const char *why, struct slice bytes) {
    struct buf text = {0};
    base64_encode(&text, bytes);
    json_t *value = json_pack("{s:s,s:s}", "error", why, "base64", buf_text(&text));
    buf_deinit(&text);
    return value;
}

/* Decodes `body` and, when ret_json is set, gives {"type", "version", "data"}. */
static enum err decode(const struct record_type *type, int version, struct slice body, json_t **ret_json) {
    if (!type || version < type->version_min || version > type->version_max)
        return ERR_UNSUPPORTED;
    struct arena arena = {0};
    struct decoder d = decoder_of(body, &arena);
    void *x = mem_alloc(type->size);
    enum err err = type->decode(&d, version, x);
    if (!err && decoder_left(&d))
        err = ERR_CORRUPT;
    if (!err && ret_json) {
        struct buf text = {0};
        type->json(&text, version, x);
        json_t *data = json_loadb((const char *)text.ptr, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        *ret_json = json_pack("{s:s,s:i,s:o}", "type", type->name, "version", version, "data", data ? data : json_null());
        buf_deinit(&text);
    }
    mem_free(x);
    arena_deinit(&arena);
    return err;
}

/* uvar frame version 1, uvar type, uvar version, body: the metadata log's and the remote log metadata's. */
static enum err decode_framed(enum record_family family, struct slice value, json_t **ret_json) {
    if (!value.size)
        return ERR_CORRUPT;
    struct decoder d = decoder_of(value, NULL);
    uint32_t frame = decode_uvarint(&d), type = decode_uvarint(&d), version = decode_uvarint(&d);
    if (d.err)
        return ERR_CORRUPT;
    if (frame != 1 || type > INT16_MAX || version > INT16_MAX)
        return ERR_UNSUPPORTED;
    return decode(find_type(family, false, (int)type), (int)version, slice_of(d.ptr, decoder_left(&d)), ret_json);
}

enum err metadata_record_check(struct slice value) {
    return decode_framed(RECORDS_OF_METADATA, value, NULL);
}

static const char *why_not(enum err err) {
    return err == ERR_UNSUPPORTED ? "unknown type or version" : "not what its type says";
}

static json_t *coordinator_key(enum record_family family, struct slice key, int *ret_type) {
    *ret_type = -1;
    if (key.size < 2)
        return key.ptr ? undecoded("too short", key) : json_null();
    int type = (int16_t)load_be16(key.ptr);
    json_t *json = NULL;
    enum err err = decode(find_type(family, true, type), 0, slice_of(key.ptr + 2, key.size - 2), &json);
    if (err)
        return undecoded(why_not(err), key);
    *ret_type = type;
    json_object_del(json, "version"); /* of the key it is the type */
    return json;
}

static json_t *coordinator_value(enum record_family family, int type, struct slice value) {
    if (value.size < 2)
        return value.ptr ? undecoded("too short", value) : json_null();
    /* The keys of both offset commits go with one kind of value. */
    if (family == RECORDS_OF_GROUPS && type == 0)
        type = 1;
    json_t *json = NULL;
    int version = (int16_t)load_be16(value.ptr);
    enum err err = decode(find_type(family, false, type), version, slice_of(value.ptr + 2, value.size - 2), &json);
    return err ? undecoded(why_not(err), value) : json;
}

#define DECODE_CONTROL(c_name)                                                             \
    do {                                                                                   \
        struct c_name x;                                                                   \
        struct decoder d = decoder_of(body, &arena);                                       \
        if (!c_name##_decode(&d, 0, &x))                                                   \
            c_name##_json(&text, 0, &x);                                                   \
    } while (0)

static json_t *control_json(const struct record *record) {
    static const char *const names[] = {"ABORT", "COMMIT", "LEADER_CHANGE", "SNAPSHOT_HEADER", "SNAPSHOT_FOOTER", "KRAFT_VERSION", "KRAFT_VOTERS"};
    int type = control_type_of(record->key);
    struct slice value = record->value, body = value;
    if (type <= CONTROL_COMMIT && value.size >= 2) /* their version goes before them */
        body = slice_of(value.ptr + 2, value.size - 2);
    struct arena arena = {0};
    struct buf text = {0};
    switch (type) {
    case CONTROL_ABORT:
    case CONTROL_COMMIT:
        DECODE_CONTROL(end_txn_marker);
        break;
    case CONTROL_LEADER_CHANGE:
        DECODE_CONTROL(leader_change_message);
        break;
    case CONTROL_SNAPSHOT_HEADER:
        DECODE_CONTROL(snapshot_header_record);
        break;
    case CONTROL_SNAPSHOT_FOOTER:
        DECODE_CONTROL(snapshot_footer_record);
        break;
    case CONTROL_KRAFT_VERSION:
        DECODE_CONTROL(kraft_version_record);
        break;
    case CONTROL_KRAFT_VOTERS:
        DECODE_CONTROL(voters_record);
        break;
    }
    json_t *data = text.size ? json_loadb((const char *)text.ptr, text.size, JSON_ALLOW_NUL, NULL) : NULL;
    json_t *json = json_pack("{s:I,s:I}", "offset", (json_int_t)record->offset, "timestamp", (json_int_t)record->timestamp);
    json_object_set_new(json, "control", type >= 0 && type < COUNT_OF(names) ? json_string(names[type]) : json_integer(type));
    json_object_set_new(json, "value", data ? data : undecoded(why_not(ERR_CORRUPT), value));
    buf_deinit(&text);
    arena_deinit(&arena);
    return json;
}

json_t *record_json(enum record_family family, const struct record *record, bool is_control) {
    if (is_control)
        return control_json(record);
    json_t *json = json_pack("{s:I,s:I}", "offset", (json_int_t)record->offset, "timestamp", (json_int_t)record->timestamp);
    json_t *key, *value = NULL;
    int type;
    switch (family) {
    case RECORDS_OF_METADATA:
    case RECORDS_OF_REMOTE_STORAGE: {
        key = json_bytes(record->key);
        enum err err = decode_framed(family, record->value, &value);
        if (err)
            value = undecoded(why_not(err), record->value);
        break;
    }
    case RECORDS_OF_GROUPS:
    case RECORDS_OF_TRANSACTIONS:
    case RECORDS_OF_SHARE_GROUPS:
        key = coordinator_key(family, record->key, &type);
        value = coordinator_value(family, type, record->value);
        break;
    default:
        key = json_bytes(record->key);
        value = json_bytes(record->value);
    }
    json_object_set_new(json, "key", key);
    json_object_set_new(json, "value", value);
    if (record->header_count > 0) {
        struct record walk = *record;
        struct slice header_key, header_value;
        json_t *headers = json_array();
        while (header_next(&walk, &header_key, &header_value))
            json_array_append_new(headers, json_pack("{s:o,s:o}", "key", json_slice(header_key), "value", json_bytes(header_value)));
        json_object_set_new(json, "headers", headers);
    }
    return json;
}
