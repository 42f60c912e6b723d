/* Every key of Kafka's broker configuration, from the table: its default is taken, what is not valid is refused with
 * file, line, key, value and what is valid, and it is either obeyed by a part of this program or told to have no effect. */
#include "tests/unit/test.h"

#include <unistd.h>
#include "base/mem.h"
#include "base/trace.h"
#include "metadata/config.h"
#include "metadata/config_check.h"
#include "metadata/config_effect.h"

#define BASE "node.id=1\nprocess.roles=broker,controller\ncontroller.listener.names=CONTROLLER\n" \
             "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n"
#define NEXT_LINE ":5: " /* of a line after BASE */

static struct buf log_lines;
static void keep_line(void *arg, const char *line, size_t size) {
    (void)arg;
    buf_add(&log_lines, line, size);
}

static char error_text[4096];

/* Gives the configuration of BASE and `text`, or NULL and error_text. */
static struct broker_config *load(const char *text, const char *override) {
    char path[] = "build/test-config-XXXXXX";
    int fd = mkstemp(path);
    EXPECT(fd >= 0);
    EXPECT(write(fd, BASE, strlen(BASE)) == (ssize_t)strlen(BASE));
    EXPECT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    buf_clear(&log_lines);
    trace_setup(&(struct trace_options){.level = TRACE_INFO, .write = keep_line});
    struct broker_config *config = NULL;
    struct buf error = {0};
    enum err err = broker_config_load(path, &override, override ? 1 : 0, &config, &error);
    snprintf(error_text, sizeof error_text, "%s", err ? buf_text(&error) : "");
    buf_deinit(&error);
    unlink(path);
    if (err)
        EXPECT(!strchr(error_text, '\n') && error_text[0]);
    return err ? NULL : config;
}

static void refused(const char *text, const char *wanted) {
    struct broker_config *config = load(text, NULL);
    if (config)
        TEST_FAIL("accepted: %s", text);
    if (!strstr(error_text, wanted))
        TEST_FAIL("%s: \"%s\" lacks \"%s\"", text, error_text, wanted);
}

static struct broker_config *loaded(const char *text) {
    struct broker_config *config = load(text, NULL);
    if (!config)
        TEST_FAIL("%s: %s", text, error_text);
    return config;
}

/* ---- every key ------------------------------------------------------------------------------------------------------- */

/* Keys that the base of the test sets, and those whose default the base rules out. */
static bool is_in_base(const char *name) {
    static const char *const names[] = {"node.id", "process.roles", "controller.listener.names", "listeners", "broker.id",
                                        "listener.security.protocol.map"};
    for (int i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

TEST(the_default_of_every_key_can_be_written_down) {
    for (int i = 0; i < broker_config_def_count; i++) {
        const struct config_def *def = &broker_config_defs[i];
        if (!def->default_value || is_in_base(def->name))
            continue;
        const char *value = def->default_value;
        size_t size = strlen(value);
        bool list = def->type == CONFIG_LIST && value[0] == '[';
        char *line = mem_printf("%s=%.*s\n", def->name, (int)(list ? size - 2 : size), value + (list ? 1 : 0));
        broker_config_free(loaded(line));
        mem_free(line);
    }
}

static void expect_refused(const struct config_def *def, const char *value, const char *valid) {
    char *line = mem_printf("%s=%s\n", def->name, value);
    refused(line, NEXT_LINE);
    char *told = mem_printf("Invalid value %s for configuration %s: ", value, def->name);
    refused(line, told);
    refused(line, valid);
    mem_free(line);
    mem_free(told);
}

TEST(what_is_not_valid_is_refused_with_its_place_and_what_is_valid) {
    int ranges = 0, choices = 0;
    for (int i = 0; i < broker_config_def_count; i++) {
        const struct config_def *def = &broker_config_defs[i];
        if (is_in_base(def->name))
            continue;
        const char *names[] = {[CONFIG_SHORT] = "SHORT", [CONFIG_INT] = "INT", [CONFIG_LONG] = "LONG", [CONFIG_DOUBLE] = "DOUBLE"};
        bool number = def->type == CONFIG_SHORT || def->type == CONFIG_INT || def->type == CONFIG_LONG || def->type == CONFIG_DOUBLE;
        if (def->type == CONFIG_BOOLEAN)
            expect_refused(def, "maybe", "either true or false");
        if (number) {
            char *what = mem_printf("Not a number of type %s", names[def->type]);
            expect_refused(def, "twelve", what);
            expect_refused(def, "", what);
            mem_free(what);
        }
        double low, high;
        if (number && sscanf(def->valid, "[%lf,...", &low) == 1 && low > -1e15) {
            char *below = mem_printf("%.0f", low - (low == -1 && strstr(def->valid, "or -1") ? 2 : 1)), *what = strstr(def->valid, "] or ") ? mem_strdup("or equal to") : mem_printf("must be at least %.0f", low);
            if (!strstr(def->valid, "or -1") || strcmp(below, "-1") != 0)
                expect_refused(def, below, what);
            ranges++;
            mem_free(below);
            mem_free(what);
        }
        if (number && sscanf(def->valid, "[%lf,...,%lf]", &low, &high) == 2) {
            char *above = mem_printf("%.0f", high + 1);
            expect_refused(def, above, strstr(def->valid, "] or ") ? "or equal to" : "must be no more than");
            mem_free(above);
        }
        bool choice = (def->valid[0] == '[' || strncmp(def->valid, "(case", 5) == 0) && !number && !strchr(def->valid, ':');
        if (choice) {
            expect_refused(def, "nonsense", "String must be one of");
            choices++;
        }
    }
    EXPECT(ranges > 100 && choices >= 7);
}

TEST(a_number_out_of_the_range_of_its_type_is_refused) {
    refused("num.partitions=2147483648\n", "Not a number of type INT");
    refused("log.retention.bytes=9223372036854775808\n", "Not a number of type LONG");
    refused("offsets.topic.replication.factor=32768\n", "Not a number of type SHORT");
}

/* ---- obeyed, or told ----------------------------------------------------------------------------------------------------- */

/* Where each obeyed key is read. A key of topics' defaults is read through the synonyms of src/protocol/schema/tables. */
static const struct {
    const char *key, *file;
} obeyed[] = {
    {"advertised.listeners", "src/metadata/config_listeners.c"},
    {"telemetry.max.bytes", "src/broker/telemetry.c"},
    {"producer.id.expiration.check.interval.ms", "src/broker/partitions.c"},
    {"auto.create.topics.enable", "src/broker/handlers/metadata.c"},
    {"broker.id", "src/metadata/config.c"},
    {"broker.rack", "src/controller/registration.c"},
    {"cordoned.log.dirs", "src/broker/cordon.c"},
    {"connections.max.idle.ms", "src/broker/conn.c"},
    {"controller.listener.names", "src/metadata/config_listeners.c"},
    {"controller.quorum.voters", "src/metadata/config_validate.c"},
    {"default.replication.factor", "src/controller/topics.c"},
    {"delete.topic.enable", "src/broker/handlers/topics.c"},
    {"fetch.max.bytes", "src/broker/node.c"},
    {"internal.metadata.log.segment.bytes", "src/broker/node.c"},
    {"listener.security.protocol.map", "src/metadata/config_listeners.c"},
    {"listeners", "src/metadata/config_listeners.c"},
    {"log.cleaner.backoff.ms", "src/broker/cleaner.c"},
    {"log.cleaner.dedupe.buffer.size", "src/broker/cleaner.c"},
    {"log.cleaner.enable", "src/broker/cleaner.c"},
    {"log.cleaner.io.buffer.load.factor", "src/broker/cleaner.c"},
    {"log.cleaner.io.buffer.size", "src/broker/cleaner.c"},
    {"log.cleaner.io.max.bytes.per.second", "src/broker/cleaner.c"},
    {"log.cleaner.threads", "src/broker/cleaner.c"},
    {"log.dir", "src/metadata/config.c"},
    {"log.dirs", "src/metadata/config.c"},
    {"log.flush.offset.checkpoint.interval.ms", "src/broker/checkpoints.c"},
    {"log.initial.task.delay.ms", "src/broker/partitions.c"},
    {"log.retention.check.interval.ms", "src/broker/partitions.c"},
    {"log.segment.delete.delay.ms", "src/broker/partitions.c"},
    {"max.connection.creation.rate", "src/broker/connections.c"},
    {"max.connections", "src/broker/connections.c"},
    {"max.connections.per.ip", "src/broker/connections.c"},
    {"max.connections.per.ip.overrides", "src/broker/connections.c"},
    {"max.incremental.fetch.session.cache.slots", "src/broker/fetch_session.c"},
    {"max.request.partition.size.limit", "src/broker/handlers/cluster.c"},
    {"metadata.log.dir", "src/metadata/config.c"},
    {"metadata.log.max.record.bytes.between.snapshots", "src/broker/node.c"},
    {"metadata.log.max.snapshot.interval.ms", "src/broker/node.c"},
    {"metadata.log.segment.bytes", "src/broker/node.c"},
    {"metadata.log.segment.ms", "src/broker/node.c"},
    {"metadata.max.idle.interval.ms", "src/broker/node.c"},
    {"metadata.max.retention.bytes", "src/broker/node.c"},
    {"metadata.max.retention.ms", "src/broker/node.c"},
    {"node.id", "src/metadata/config.c"},
    {"add.partitions.to.txn.retry.backoff.max.ms", "src/coordinator/transactions.c"},
    {"group.consumer.assignment.interval.ms", "src/coordinator/consumer_target.c"},
    {"group.consumer.assignors", "src/coordinator/consumer_group.c"},
    {"group.consumer.heartbeat.interval.ms", "src/coordinator/consumer_heartbeat.c"},
    {"group.consumer.max.size", "src/coordinator/consumer_heartbeat.c"},
    {"group.consumer.migration.policy", "src/coordinator/consumer_classic.c"},
    {"group.consumer.regex.refresh.interval.ms", "src/coordinator/consumer_regex.c"},
    {"group.consumer.session.timeout.ms", "src/coordinator/consumer_group.c"},
    {"group.coordinator.rebalance.protocols", "src/broker/handlers/consumer_groups.c"},
    {"group.share.assignment.interval.ms", "src/coordinator/share_group_heartbeat.c"},
    {"group.share.heartbeat.interval.ms", "src/coordinator/share_group_heartbeat.c"},
    {"group.share.initialize.retry.interval.ms", "src/coordinator/share_group_init.c"},
    {"group.share.max.share.sessions", "src/broker/share_sessions.c"},
    {"group.share.max.size", "src/coordinator/share_group_heartbeat.c"},
    {"group.share.session.timeout.ms", "src/coordinator/share_group.c"},
    {"group.streams.max.size", "src/coordinator/streams_heartbeat.c"},
    {"share.coordinator.cold.partition.snapshot.interval.ms", "src/coordinator/share_state.c"},
    {"share.coordinator.snapshot.update.records.per.snapshot", "src/coordinator/share_state.c"},
    {"share.coordinator.state.topic.prune.interval.ms", "src/coordinator/share_state.c"},
    {"transaction.abort.timed.out.transaction.cleanup.interval.ms", "src/coordinator/txn_end.c"},
    {"transaction.max.timeout.ms", "src/broker/handlers/init_producer_id.c"},
    {"transaction.partition.verification.enable", "src/broker/handlers/produce_txn.c"},
    {"transaction.remove.expired.transaction.cleanup.interval.ms", "src/coordinator/txn_end.c"},
    {"transaction.two.phase.commit.enable", "src/broker/handlers/init_producer_id.c"},
    {"transactional.id.expiration.ms", "src/coordinator/txn_end.c"},
    {"num.partitions", "src/controller/topics.c"},
    {"transaction.state.log.segment.bytes", "src/broker/auto_create.c"},
    {"share.coordinator.state.topic.segment.bytes", "src/broker/auto_create.c"},
    {"transaction.state.log.replication.factor", "src/broker/auto_create.c"},
    {"share.coordinator.state.topic.replication.factor", "src/broker/auto_create.c"},
    {"transaction.state.log.num.partitions", "src/broker/auto_create.c"},
    {"share.coordinator.state.topic.num.partitions", "src/broker/auto_create.c"},
    {"transaction.state.log.min.isr", "src/broker/auto_create.c"},
    {"share.coordinator.state.topic.min.isr", "src/broker/auto_create.c"},
    {"transaction.state.log.load.buffer.size", "src/coordinator/load.c"},
    {"share.coordinator.write.timeout.ms", "src/coordinator/coordinator.c"},
    {"share.coordinator.state.topic.compression.codec", "src/coordinator/coordinator.c"},
    {"share.coordinator.load.buffer.size", "src/coordinator/load.c"},
    {"share.coordinator.append.linger.ms", "src/coordinator/coordinator.c"},
    {"group.min.session.timeout.ms", "src/broker/handlers/classic_groups.c"},
    {"group.max.size", "src/coordinator/classic_record.c"},
    {"group.max.session.timeout.ms", "src/broker/handlers/classic_groups.c"},
    {"group.initial.rebalance.delay.ms", "src/coordinator/classic_rebalance.c"},
    {"group.coordinator.append.linger.ms", "src/coordinator/coordinator.c"},
    {"num.replica.alter.log.dirs.threads", "src/broker/node.c"},
    {"offset.metadata.max.bytes", "src/coordinator/offsets.c"},
    {"offsets.commit.timeout.ms", "src/coordinator/coordinator.c"},
    {"offsets.load.buffer.size", "src/coordinator/load.c"},
    {"offsets.retention.check.interval.ms", "src/coordinator/offset_expiry.c"},
    {"offsets.retention.minutes", "src/coordinator/offset_expiry.c"},
    {"offsets.topic.compression.codec", "src/coordinator/coordinator.c"},
    {"offsets.topic.num.partitions", "src/broker/auto_create.c"},
    {"offsets.topic.replication.factor", "src/broker/auto_create.c"},
    {"offsets.topic.segment.bytes", "src/broker/auto_create.c"},
    {"process.roles", "src/metadata/config.c"},
    {"producer.id.expiration.ms", "src/metadata/config.c"},
    {"queued.max.request.bytes", "src/broker/node.c"},
    {"server.max.startup.time.ms", "src/broker/node.c"},
    {"socket.listen.backlog.size", "src/broker/node.c"},
    {"socket.receive.buffer.bytes", "src/broker/node.c"},
    {"socket.request.max.bytes", "src/broker/node.c"},
    {"socket.send.buffer.bytes", "src/broker/node.c"},
};

static bool is_topic_default(const char *key) {
    for (int i = 0; i < topic_config_def_count; i++)
        for (int k = 0; topic_config_defs[i].synonyms && topic_config_defs[i].synonyms[k]; k++)
            if (strcmp(topic_config_defs[i].synonyms[k], key) == 0)
                return true;
    return false;
}

/* Keys that are put together from a part of their name. */
static const struct composed {
    const char *prefix, *format, *file;
} composed[] = {
    {"group.consumer.max.", "group.%.*s.%s.%.*s", "src/metadata/config_group.c"},
    {"group.consumer.min.", "group.%.*s.%s.%.*s", "src/metadata/config_group.c"},
    {"group.share.max.", "group.%.*s.%s.%.*s", "src/metadata/config_group.c"},
    {"group.share.min.", "group.%.*s.%s.%.*s", "src/metadata/config_group.c"},
    {"group.streams.max.", "group.%.*s.%s.%.*s", "src/metadata/config_group.c"},
    {"group.streams.min.", "group.%.*s.%s.%.*s", "src/metadata/config_group.c"},
    {"group.streams.", "group.streams.%s", "src/coordinator/streams_settings.c"},
    {"group.share.delivery.count.limit", "group.share.%s", "src/broker/share_partitions.c"},
    {"group.share.partition.max.record.locks", "group.share.%s", "src/broker/share_partitions.c"},
    {"group.share.record.lock.duration.ms", "group.share.%s", "src/broker/share_partitions.c"},
};

static const struct composed *find_composed(const char *key) {
    for (int i = 0; i < COUNT_OF(composed); i++)
        if (strncmp(key, composed[i].prefix, strlen(composed[i].prefix)) == 0)
            return &composed[i];
    return NULL;
}

static const char *file_that_reads(const char *key) {
    for (int i = 0; i < COUNT_OF(obeyed); i++)
        if (strcmp(obeyed[i].key, key) == 0)
            return obeyed[i].file;
    return NULL;
}

static bool file_names(const char *path, const char *key) {
    static char text[1 << 20];
    FILE *file = fopen(path, "r");
    if (!file)
        TEST_FAIL("%s cannot be opened", path);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    char *quoted = mem_printf("\"%s\"", key);
    bool found = strstr(text, quoted) != NULL;
    mem_free(quoted);
    return found;
}

static void expect_texts(const struct config_def *defs, int count) {
    for (int i = 0; i < count; i++) {
        const char *text = config_documentation(defs[i].name);
        if (!text || strlen(text) < 20)
            TEST_FAIL("%s has no text", defs[i].name);
    }
}

TEST(every_setting_has_a_text) {
    expect_texts(topic_config_defs, topic_config_def_count);
    expect_texts(group_config_defs, group_config_def_count);
    expect_texts(broker_config_defs, broker_config_def_count);
    EXPECT(config_documentation("interval.ms") && config_documentation("match") && config_documentation("metrics"));
    EXPECT(!config_documentation("no.such.setting"));
}

TEST(every_key_is_obeyed_or_has_a_reason_not_to_be) {
    for (int i = 0; i < broker_config_def_count; i++) {
        const char *key = broker_config_defs[i].name, *file = file_that_reads(key);
        bool none = config_no_effect(key) != NULL;
        if (file && none)
            TEST_FAIL("%s is obeyed in %s and said to have no effect", key, file);
        if (file && !file_names(file, key))
            TEST_FAIL("%s is not read in %s", key, file);
        const struct composed *made = file || none ? NULL : find_composed(key);
        if (made && !file_names(made->file, made->format))
            TEST_FAIL("%s is not read in %s", key, made->file);
        if (!file && !none && !made && !is_topic_default(key))
            TEST_FAIL("%s is neither obeyed nor said to have no effect", key);
    }
    for (int i = 0; i < COUNT_OF(obeyed); i++)
        EXPECT(config_find(broker_config_defs, broker_config_def_count, slice_str(obeyed[i].key)));
}

/* The other way round: what is said to have no effect is not read in any of the files that read keys. */
TEST(what_has_no_effect_is_read_nowhere) {
    for (int i = 0; i < broker_config_def_count; i++)
        for (int k = 0; config_no_effect(broker_config_defs[i].name) && k < COUNT_OF(obeyed); k++) {
            bool names_only = strncmp(obeyed[k].file, "src/metadata/config", 19) == 0 || /* checks and defaults */
                              config_find(topic_config_defs, topic_config_def_count, slice_str(broker_config_defs[i].name)); /* the topic's */
            if (!names_only && file_names(obeyed[k].file, broker_config_defs[i].name))
                TEST_FAIL("%s is read in %s", broker_config_defs[i].name, obeyed[k].file);
        }
}

TEST(each_key_without_effect_is_named_in_one_warning_line) {
    for (int i = 0; i < broker_config_def_count; i++) {
        const struct config_def *def = &broker_config_defs[i];
        const char *reason = config_no_effect(def->name);
        if (!reason || !def->default_value)
            continue;
        size_t size = strlen(def->default_value);
        bool list = def->type == CONFIG_LIST && def->default_value[0] == '[';
        char *line = mem_printf("%s=%.*s\n", def->name, (int)(list ? size - 2 : size), def->default_value + (list ? 1 : 0));
        broker_config_free(loaded(line));
        char *told = mem_printf("accepted, has no effect here key=%s because=", def->name);
        const char *at = strstr(buf_text(&log_lines), told);
        if (!at || !strstr(at, reason) || strchr(at, '\n')[1])
            TEST_FAIL("%s: the log says \"%s\"", def->name, buf_text(&log_lines));
        mem_free(line);
        mem_free(told);
    }
    broker_config_free(loaded("num.partitions=3\n"));
    EXPECT_INT(log_lines.size, 0);
}

/* ---- keys against each other -------------------------------------------------------------------------------------------------- */

TEST(kafkas_checks_across_keys_are_made) {
    static const char *const cases[][2] = {
        {"broker.id=2\n", "same value as `broker.id`"},
        {"process.roles=broker\n", "broker,controller"},
        {"listeners=PLAINTEXT://:9092\n", "must only contain names that appear in listeners; CONTROLLER does not"},
        {"listeners=CONTROLLER://:9092\n", "There must be at least one broker advertised listener"},
        {"listeners=PLAINTEXT://0.0.0.0:9092,CONTROLLER://:9093\n", "cannot use the nonroutable meta-address 0.0.0.0"},
        {"listeners=PLAINTEXT://:9092,CONTROLLER://:9092\n", "Each listener must have a different port"},
        {"listeners=PLAINTEXT://:9092,plaintext://:9094,CONTROLLER://:9093\n", "Each listener must have a different name"},
        {"listeners=PLAINTEXT://:9092,OTHER://:9094,CONTROLLER://:9093\n", "No security protocol defined for listener OTHER"},
        {"listeners=PLAINTEXT:9092,CONTROLLER://:9093\n", "NAME://host:port"},
        {"listeners=PLAINTEXT://:70000,CONTROLLER://:9093\n", "NAME://host:port"},
        {"listeners=\n", "must not be empty"},
        {"advertised.listeners=EXTERNAL://h:1\nlistener.security.protocol.map=EXTERNAL:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n",
         "subset of the ones defined in listeners"},
        {"listener.security.protocol.map=A:B\n", "A:B is not NAME:PROTOCOL"},
        {"inter.broker.listener.name=INTERNAL\n", "must be a listener name defined in advertised.listeners"},
        {"inter.broker.listener.name=PLAINTEXT\nsecurity.inter.broker.protocol=PLAINTEXT\n", "Only one of"},
        {"controller.quorum.voters=2@localhost:9093\n", "the node id 1 must be included"},
        {"controller.quorum.voters=1@a:1,2@b:2\n", "this node alone"},
        {"controller.quorum.voters=1-a\n", "id@host:port"},
        {"controller.quorum.bootstrap.servers=somewhere\n", "host:port"},
        {"log.retention.ms=0\n", "must be unlimited (-1)"},
        {"log.retention.hours=0\n", "must be unlimited (-1)"},
        {"log.roll.ms=0\n", "must be greater than or equal to 1"},
        {"log.dirs=/a,/b,/a\n", "named twice"},
        {"log.dirs=\n", "At least one log directory"},
        {"replica.fetch.wait.max.ms=40000\n", "at least replica.fetch.wait.max.ms"},
        {"log.cleaner.threads=1024\n", "1MB per cleaner thread"},
        {"queued.max.request.bytes=1000\n", "larger or equal to socket.request.max.bytes"},
        {"connections.max.idle.ms=50\n", "connection.failed.authentication.delay.ms"},
        {"max.connections.per.ip=0\n", "only if max.connections.per.ip.overrides"},
        {"max.connections.per.ip.overrides=1.2.3.4\n", "host:count"},
        {"max.connections.per.ip.overrides=a b:4\n", "host:count"},
        {"cordoned.log.dirs=/nowhere\n", "must be present in log.dirs"},
        {"myelin.shards=65\n", "must be no more than 64"},
        {"myelin.http.listener=here:there\n", "must be host:port"},
        {"myelin.nothing=1\n", "there is no configuration myelin.nothing"},
        {"listener.name.plaintext.max.connections=x\n", "Not a number"},
        {"num.partitions=\\u12\n", "malformed"},
    };
    for (int i = 0; i < COUNT_OF(cases); i++) {
        refused(cases[i][0], cases[i][1]);
        if (strcmp(error_text, "configuration") != 0 && !strstr(error_text, ":"))
            TEST_FAIL("%s names no place: %s", cases[i][0], error_text);
    }
}

TEST(what_stock_files_of_kafka_say_is_understood) {
    struct broker_config *config = loaded(
        "controller.quorum.bootstrap.servers=localhost:9093\n"
        "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n"
        "advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n"
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n"
        "log.dirs=/tmp/kraft-combined-logs\nlog.retention.hours=168\n");
    EXPECT_INT(config->listener_count, 1);
    EXPECT_INT(config->listeners[0].port, 9092);
    EXPECT_STR(config->advertised[0].host, "localhost");
    EXPECT(config->has_controller_listener && config->controller_listener.port == 9093);
    broker_config_free(config);
}

TEST(listener_names_are_the_same_in_both_cases_and_settings_of_one_listener_are_found) {
    struct broker_config *config = loaded(
        "listeners=plaintext://h:1,Second://[::1]:2,CONTROLLER://:9093\n"
        "listener.security.protocol.map=second:PLAINTEXT,PLAINTEXT:PLAINTEXT,controller:PLAINTEXT\n"
        "listener.name.second.max.connections=7\nlistener.name.second.max.connections=8\nlistener.name.second.ssl.protocol=TLS\n"
        "listener.name.second.num.partitions=4\n");
    int64_t value = 0;
    EXPECT_INT(config->listener_count, 2);
    EXPECT_STR(config->listeners[1].host, "::1");
    EXPECT(broker_config_listener_int(config, config->listeners[1].name, "max.connections", &value));
    EXPECT_INT(value, 8);
    EXPECT(!broker_config_listener_int(config, config->listeners[0].name, "max.connections", &value));
    EXPECT(strstr(buf_text(&log_lines), "listener.name.second.ssl.protocol"));
    EXPECT(strstr(buf_text(&log_lines), "not of a listener"));
    broker_config_free(config);
}

TEST(the_old_name_of_the_node_id_is_taken) {
    char path[] = "build/test-config-XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "broker.id=5\nprocess.roles=broker,controller\nlog.dirs=/x\n";
    EXPECT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    struct broker_config *config;
    struct buf error = {0};
    EXPECT(broker_config_load(path, NULL, 0, &config, &error) == ERR_OK);
    EXPECT_INT(config->node_id, 5);
    broker_config_free(config);
    unlink(path);
}

TEST(overrides_win_and_are_told_as_such) {
    struct broker_config *config = load("num.partitions=2\n", "num.partitions=3");
    EXPECT(config);
    EXPECT_INT(broker_config_int(config, "num.partitions"), 3);
    broker_config_free(config);
    EXPECT(!load("", "num.partitions=0"));
    EXPECT(strstr(error_text, "--override: Invalid value 0 for configuration num.partitions: Value must be at least 1"));
    EXPECT(!load("", "num.partitions"));
}

TEST_MAIN
