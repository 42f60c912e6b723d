#include "cli/client.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include "base/mem.h"
#include "cli/client_config.h"
#include "protocol/errors.h"
#include "protocol/find_coordinator_request.h"
#include "protocol/find_coordinator_response.h"
#include "protocol/metadata_request.h"

static int open_bootstrap(struct client *client) {
    struct buf error = {0};
    int tried = 0;
    const char *at = client->bootstrap;
    while (*at) {
        size_t size = strcspn(at, ",");
        struct slice text = slice_of(at, size);
        at += size + (at[size] == ',');
        if (text.size == 0)
            continue;
        struct client_node *node = arena_new(&client->arena, struct client_node);
        char host[256];
        int port;
        buf_clear(&error);
        if (!wire_parse_address(text, host, &port)) {
            buf_printf(&error, "'%.*s' is not HOST:PORT; check --bootstrap-server", SLICE_FMT(text));
            break;
        }
        tried++;
        wire_init(&node->wire, host, port, client->timeout_ms, client->security.tls || client->security.mechanism ? &client->security : NULL);
        node->node_id = CLIENT_ANY_NODE;
        if (!wire_open(&node->wire, &error)) {
            node->next = client->nodes;
            client->nodes = node;
            buf_deinit(&error);
            return CLI_OK;
        }
    }
    if (tried == 0 && error.size == 0)
        buf_printf(&error, "--bootstrap-server names no server; give HOST:PORT");
    int status = cli_fail("%s", buf_text(&error));
    buf_deinit(&error);
    return status;
}

int client_open(struct client *client, const struct options *options) {
    *client = (struct client){.options = options};
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to connections that were closed; they fail as others do */
    int64_t timeout_ms = options_int(options, "timeout", 30000);
    if (timeout_ms < 1 || timeout_ms > 24 * 3600 * 1000)
        return cli_usage(options, "--timeout is 1 to 86400000 milliseconds");
    client->timeout_ms = (int)timeout_ms;
    struct buf error = {0};
    enum err err = client_config_read(client, options_text(options, "command-config", NULL), &error);
    if (err)
        cli_fail("%s", buf_text(&error));
    buf_deinit(&error);
    if (err)
        return CLI_FAILED;
    const char *environment = getenv("MYELIN_BOOTSTRAP");
    struct slice in_file = properties_get(&client->properties, "bootstrap.servers");
    client->bootstrap = options_text(options, "bootstrap-server", NULL);
    if (!client->bootstrap)
        client->bootstrap = !slice_is_null(in_file)         ? (const char *)in_file.ptr
                            : environment && environment[0] ? environment
                                                            : "127.0.0.1:9092";
    return open_bootstrap(client);
}

void client_close(struct client *client) {
    for (struct client_node *node = client->nodes; node; node = node->next)
        wire_close(&node->wire);
    arena_deinit(&client->arena);
}

/* ---- calls --------------------------------------------------------------------------------------------------- */

static struct client_node *find_node(struct client *client, int node_id) {
    for (struct client_node *node = client->nodes; node; node = node->next)
        if (node->node_id == node_id)
            return node;
    return NULL;
}

static int get_node(struct client *client, int node_id, struct client_node **ret_node) {
    struct metadata_response metadata;
    *ret_node = find_node(client, node_id);
    if (*ret_node)
        return CLI_OK;
    int status = client_metadata(client, (const char *const[]){NULL}, 0, &metadata);
    if (status)
        return status;
    for (int i = 0; i < metadata.brokers_count; i++) {
        if (metadata.brokers[i].node_id != node_id)
            continue;
        struct client_node *node = arena_new(&client->arena, struct client_node);
        char *host = arena_printf(&client->arena, "%.*s", SLICE_FMT(metadata.brokers[i].host));
        wire_init(&node->wire, host, metadata.brokers[i].port, client->timeout_ms, client->nodes->wire.security);
        node->node_id = node_id;
        node->next = client->nodes->next; /* the bootstrap server stays first */
        client->nodes->next = node;
        *ret_node = node;
        return CLI_OK;
    }
    return cli_fail("there is no broker %d; `myelin cluster info` lists those there are", node_id);
}

int client_call(struct client *client, int node_id, enum api_key key, const void *request, void *response) {
    struct client_node *node;
    struct buf error = {0};
    int status = get_node(client, node_id, &node);
    if (status)
        return status;
    enum err err = node->wire.fd >= 0 ? ERR_OK : wire_open(&node->wire, &error);
    if (!err)
        err = wire_call(&node->wire, key, request, response, &client->arena, &error);
    if (err)
        status = cli_fail("%s", buf_text(&error));
    buf_deinit(&error);
    return status;
}

bool client_offers(struct client *client, enum api_key key) {
    return wire_version(&client->nodes->wire, key) >= 0;
}

int client_metadata(struct client *client, const char *const *names, int count, struct metadata_response *ret_metadata) {
    struct metadata_request request;
    metadata_request_init(&request);
    request.allow_auto_topic_creation = false;
    request.topics_count = -1;
    if (names) {
        request.topics = arena_array(&client->arena, struct metadata_request_metadata_request_topic, count);
        request.topics_count = count;
        for (int i = 0; i < count; i++) {
            metadata_request_metadata_request_topic_init(&request.topics[i]);
            request.topics[i].name = slice_str(names[i]);
        }
    }
    return client_call(client, CLIENT_ANY_NODE, API_METADATA, &request, ret_metadata);
}

int client_no_topic(struct client *client, const char *name) {
    struct metadata_response metadata;
    int status = client_metadata(client, NULL, 0, &metadata);
    if (status)
        return status;
    const char **names = arena_zalloc(&client->arena, sizeof *names * (size_t)(metadata.topics_count + 1));
    for (int i = 0; i < metadata.topics_count; i++)
        names[i] = arena_printf(&client->arena, "%.*s", SLICE_FMT(metadata.topics[i].name));
    const char *near = nearest(name, names);
    if (near)
        return cli_fail("there is no topic '%s'; did you mean '%s'?", name, near);
    return cli_fail("there is no topic '%s'; `myelin topic list` shows those there are, `myelin topic create %s` makes it", name, name);
}

int client_topic(struct client *client, const char *name, const struct metadata_response_metadata_response_topic **ret_topic) {
    struct metadata_response metadata;
    int status = client_metadata(client, &name, 1, &metadata);
    if (status)
        return status;
    if (metadata.topics_count != 1 || metadata.topics[0].error_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
        return client_no_topic(client, name);
    int16_t code = metadata.topics[0].error_code;
    if (code && !kafka_error_is_retriable(code)) {
        struct buf what = {0};
        buf_printf(&what, "topic '%s'", name);
        status = client_refused(buf_text(&what), code, SLICE_NULL);
        buf_deinit(&what);
        return status;
    }
    *ret_topic = &metadata.topics[0];
    return CLI_OK;
}

enum { CREATE_TRIES = 20, CREATE_WAIT_MS = 100 };

int client_topic_or_create(struct client *client, const char *name, const struct metadata_response_metadata_response_topic **ret_topic) {
    struct metadata_request_metadata_request_topic topic;
    struct metadata_request request;
    struct metadata_response metadata;
    metadata_request_init(&request);
    metadata_request_metadata_request_topic_init(&topic);
    topic.name = slice_str(name);
    request.topics = &topic;
    request.topics_count = 1;
    request.allow_auto_topic_creation = true;
    for (int i = 0; i < CREATE_TRIES; i++) {
        int status = client_call(client, CLIENT_ANY_NODE, API_METADATA, &request, &metadata);
        if (status)
            return status;
        if (metadata.topics_count == 1 && metadata.topics[0].error_code == 0) {
            *ret_topic = &metadata.topics[0];
            return CLI_OK;
        }
        if (metadata.topics_count == 1 && !kafka_error_is_retriable(metadata.topics[0].error_code))
            break;
        poll(NULL, 0, CREATE_WAIT_MS); /* it is being created, or is not and will not */
    }
    return client_topic(client, name, ret_topic);
}

/* ---- errors -------------------------------------------------------------------------------------------------- */

static const struct {
    int16_t code;
    const char *hint;
} hints[] = {
    {KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "`myelin topic list` shows the topics there are"},
    {KAFKA_TOPIC_ALREADY_EXISTS, "--if-not-exists takes that as done"},
    {KAFKA_INVALID_TOPIC_EXCEPTION, "a name has letters, digits, '.', '_' and '-', at most 249"},
    {KAFKA_INVALID_REPLICATION_FACTOR, "`myelin cluster info` lists the brokers there are"},
    {KAFKA_INVALID_CONFIG, "`myelin config describe topic NAME --all` shows keys and values"},
    {KAFKA_TOPIC_AUTHORIZATION_FAILED, "this user needs an ACL on the topic"},
    {KAFKA_CLUSTER_AUTHORIZATION_FAILED, "this user needs an ACL on the cluster"},
    {KAFKA_OFFSET_OUT_OF_RANGE, "`myelin topic offsets NAME` shows the range"},
    {KAFKA_REQUEST_TIMED_OUT, "it may have happened all the same: look before trying again"},
    {KAFKA_NOT_CONTROLLER, "the controller is changing: try again"},
    {KAFKA_KAFKA_STORAGE_ERROR, "`myelin cluster log-dirs` shows which directory failed"},
    {KAFKA_POLICY_VIOLATION, "the topic's cleanup.policy or the cluster's policy forbids it"},
    {KAFKA_LEADER_NOT_AVAILABLE, "no replica can lead now: is every broker up? try again"},
};

const char *client_hint(int16_t code) {
    for (int i = 0; i < COUNT_OF(hints); i++)
        if (hints[i].code == code)
            return hints[i].hint;
    return NULL;
}

int client_refused(const char *what, int16_t code, struct slice message) {
    struct buf text = {0};
    buf_printf(&text, "%s: %s", what, kafka_error_name(code));
    if (message.size) {
        size_t size = message.size;
        while (size && (message.ptr[size - 1] == '.' || isspace(message.ptr[size - 1])))
            size--;
        buf_printf(&text, ": %.*s", (int)size, (const char *)message.ptr);
    }
    const char *hint = client_hint(code);
    if (hint)
        buf_printf(&text, "; %s", hint);
    cli_fail("%s", buf_text(&text));
    buf_deinit(&text);
    return CLI_FAILED;
}

/* ---- coordinators -------------------------------------------------------------------------------------------- */

enum { ASK_AGAIN_MS = 100 };

int64_t client_deadline_us(const struct client *client) {
    return cli_now_us() + (int64_t)client->timeout_ms * 1000;
}

bool client_asks_again(int16_t code, int64_t deadline_us) {
    bool passes = code == KAFKA_COORDINATOR_NOT_AVAILABLE || code == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || code == KAFKA_NOT_COORDINATOR ||
                  code == KAFKA_CONCURRENT_TRANSACTIONS;
    if (!passes || cli_now_us() >= deadline_us)
        return false;
    poll(NULL, 0, ASK_AGAIN_MS);
    return true;
}

int client_find_coordinator(struct client *client, enum client_key type, const char *id, const char *what, int *ret_node) {
    int64_t deadline_us = client_deadline_us(client);
    struct slice key = slice_str(id);
    struct find_coordinator_request request;
    struct find_coordinator_response response;
    find_coordinator_request_init(&request);
    request.key_type = (int8_t)type;
    request.coordinator_keys = &key;
    request.coordinator_keys_count = 1;
    do {
        int status = client_call(client, CLIENT_ANY_NODE, API_FIND_COORDINATOR, &request, &response);
        if (status)
            return status;
        if (response.coordinators_count != 1)
            return cli_fail("the broker names no coordinator of %s; it may be too old for this command", what);
        if (!response.coordinators[0].error_code) {
            *ret_node = response.coordinators[0].node_id;
            return CLI_OK;
        }
    } while (client_asks_again(response.coordinators[0].error_code, deadline_us));
    return client_refused(what, response.coordinators[0].error_code, response.coordinators[0].error_message);
}

/* ---- librdkafka ---------------------------------------------------------------------------------------------- */

/* Its own log would mix with what the command prints; what matters comes back as errors. */
static void no_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    (void)rk;
    if (getenv("MYELIN_CLI_DEBUG"))
        fprintf(stderr, "%d %s %s\n", level, facility, text);
}

enum { SCRAM_REPAIRED_VERSION = 0x020601ff };

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *arg) {
    struct client *client = arg;
    (void)rk;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !client->down_since_us)
        client->down_since_us = cli_now_us();
    if (code != RD_KAFKA_RESP_ERR__AUTHENTICATION)
        return;
    /* The wire was let in with the same password, so this is the library's doing: before 2.6.1 it sends a wrong nonce,
     * which brokers since 3.7.2 refuse (CVE-2024-56128). */
    if (client->security.mechanism && strncmp(client->security.mechanism, "SCRAM", 5) == 0 && rd_kafka_version() < SCRAM_REPAIRED_VERSION)
        snprintf(client->denied, sizeof client->denied, "librdkafka %s does SCRAM in a way that this broker refuses; use sasl.mechanism=PLAIN, or "
                 "librdkafka 2.6.1 or newer", rd_kafka_version_str());
    else
        snprintf(client->denied, sizeof client->denied, "%s; check --command-config", reason);
}

int client_alive(struct client *client) {
    if (client->denied[0])
        return cli_fail("%s", client->denied);
    if (client->down_since_us && cli_now_us() - client->down_since_us > (int64_t)client->timeout_ms * 1000)
        return cli_fail("no broker answers for %d ms; is the cluster up? wait longer with --timeout", client->timeout_ms);
    return CLI_OK;
}

rd_kafka_t *client_librdkafka(struct client *client, rd_kafka_type_t type, const char *const *defaults,
                              void (*configure)(rd_kafka_conf_t *conf)) {
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, no_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_opaque(conf, client);
    struct buf error = {0};
    if (client_config_apply(client, conf, type == RD_KAFKA_PRODUCER, defaults, &error)) {
        cli_fail("%s", buf_text(&error));
        buf_deinit(&error);
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    buf_deinit(&error);
    if (configure)
        configure(conf);
    rd_kafka_t *rk = rd_kafka_new(type, conf, reason, sizeof reason);
    if (!rk) {
        cli_fail("the client cannot be made: %s; check --command-config", reason);
        rd_kafka_conf_destroy(conf);
    }
    return rk;
}
