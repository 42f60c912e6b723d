#include "cli/client_config.h"

#include <ctype.h>
#include <errno.h>
#include <strings.h>
#include "base/mem.h"

/* Java's name -> librdkafka's. Names that are equal in both need no row; NULL: not for librdkafka, or made of several. */
static const struct {
    const char *java, *librdkafka;
    int divide; /* by this, 0: as it is */
} renames[] = {
    {"request.timeout.ms", "socket.timeout.ms", 0},
    {"max.request.size", "message.max.bytes", 0},
    {"buffer.memory", "queue.buffering.max.kbytes", 1024},
    {"fetch.max.wait.ms", "fetch.wait.max.ms", 0},
    {"send.buffer.bytes", "socket.send.buffer.bytes", 0},
    {"receive.buffer.bytes", "socket.receive.buffer.bytes", 0},
    {"bootstrap.servers", NULL, 0}, /* set by itself */
    {"group.id", NULL, 0},          /* partitions are assigned by hand */
    {"sasl.jaas.config", NULL, 0},
    {"ssl.truststore.location", NULL, 0},
    {"ssl.truststore.type", NULL, 0},
    {"ssl.truststore.password", NULL, 0},
    {"ssl.truststore.certificates", NULL, 0},
    {"ssl.keystore.location", NULL, 0},
    {"ssl.keystore.type", NULL, 0},
    {"ssl.keystore.password", NULL, 0},
    {"ssl.keystore.certificate.chain", NULL, 0},
    {"ssl.keystore.key", NULL, 0},
    {"ssl.endpoint.identification.algorithm", NULL, 0},
    {"key.serializer", NULL, 0},
    {"value.serializer", NULL, 0},
    {"key.deserializer", NULL, 0},
    {"value.deserializer", NULL, 0},
    {"enable.metrics.push", NULL, 0},
};

/* ---- reading ------------------------------------------------------------------------------------------------- */

static enum err read_file(struct arena *arena, const char *file, struct slice *ret_text, struct buf *error) {
    FILE *in = fopen(file, "r");
    if (!in) {
        buf_printf(error, "%s cannot be read: %s; check --command-config", file, strerror(errno));
        return err_from_errno(errno);
    }
    struct buf text = {0};
    for (;;) {
        size_t n = fread(buf_reserve(&text, 4096), 1, 4096, in);
        text.size += n;
        if (n == 0)
            break;
    }
    fclose(in);
    *ret_text = arena_slice(arena, buf_slice(&text));
    buf_deinit(&text);
    return ERR_OK;
}

static const char *get(const struct client *client, const char *key) {
    struct slice value = properties_get(&client->properties, key);
    return value.size ? (const char *)value.ptr : NULL;
}

const char *jaas_option(struct arena *arena, const char *jaas, const char *name) {
    size_t size = strlen(name);
    for (const char *at = jaas; (at = strstr(at, name)); at += size) {
        if ((at > jaas && !isspace((unsigned char)at[-1])) || at[size] != '=')
            continue;
        const char *from = at + size + 1;
        char quote = *from == '"' || *from == '\'' ? *from++ : 0;
        char *value = arena_alloc(arena, strlen(from) + 1), *to = value;
        for (; *from && (quote ? *from != quote : !isspace((unsigned char)*from) && *from != ';'); from++) {
            if (*from == '\\' && from[1])
                from++;
            *to++ = *from;
        }
        *to = 0;
        return value;
    }
    return NULL;
}

static enum err read_sasl(struct client *client, struct buf *error) {
    struct wire_security *security = &client->security;
    const char *jaas = get(client, "sasl.jaas.config");
    security->mechanism = get(client, "sasl.mechanism");
    if (!security->mechanism)
        security->mechanism = get(client, "sasl.mechanisms");
    if (!security->mechanism)
        security->mechanism = jaas && strstr(jaas, "ScramLoginModule") ? "SCRAM-SHA-256" : "PLAIN";
    security->user = jaas ? jaas_option(&client->arena, jaas, "username") : get(client, "sasl.username");
    security->password = jaas ? jaas_option(&client->arena, jaas, "password") : get(client, "sasl.password");
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
    for (int i = 0; i < COUNT_OF(mechanisms); i++)
        if (strcmp(security->mechanism, mechanisms[i]) == 0) {
            if (security->user && security->password)
                return ERR_OK;
            buf_printf(error, "sasl.mechanism=%s needs a user and a password; give sasl.jaas.config with username=\"...\" "
                              "password=\"...\" in --command-config",
                       security->mechanism);
            return ERR_INVALID;
        }
    buf_printf(error, "sasl.mechanism=%s is not supported here; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", security->mechanism);
    return ERR_UNSUPPORTED;
}

static bool is_pem(const struct client *client, const char *key) {
    const char *type = get(client, key);
    return !type || strcasecmp(type, "PEM") == 0;
}

static enum err read_tls(struct client *client, struct buf *error) {
    struct wire_security *security = &client->security;
    if (!is_pem(client, "ssl.truststore.type") || !is_pem(client, "ssl.keystore.type")) {
        buf_printf(error, "only PEM files are read: turn the store into PEM (`keytool -exportcert -rfc`, `openssl pkcs12`) and set "
                          "ssl.truststore.type=PEM, ssl.keystore.type=PEM");
        return ERR_UNSUPPORTED;
    }
    security->tls = true;
    struct slice algorithm = properties_get(&client->properties, "ssl.endpoint.identification.algorithm");
    security->check_host = slice_is_null(algorithm) || (algorithm.size && !slice_eq_str(algorithm, "none"));
    security->ca_file = get(client, "ssl.truststore.location");
    if (!security->ca_file)
        security->ca_file = get(client, "ssl.ca.location");
    security->ca_pem = get(client, "ssl.truststore.certificates");
    security->certificate_file = get(client, "ssl.keystore.location");
    if (!security->certificate_file)
        security->certificate_file = get(client, "ssl.certificate.location");
    security->key_file = get(client, "ssl.key.location");
    security->certificate_pem = get(client, "ssl.keystore.certificate.chain");
    security->key_pem = get(client, "ssl.keystore.key");
    security->key_password = get(client, "ssl.key.password");
    return ERR_OK;
}

enum err client_config_read(struct client *client, const char *file, struct buf *error) {
    if (!file)
        return ERR_OK;
    struct slice text;
    int line = 0;
    enum err err = read_file(&client->arena, file, &text, error);
    if (err)
        return err;
    err = properties_parse(&client->arena, text, &client->properties, &line);
    if (err) {
        buf_printf(error, "%s:%d: malformed escape; correct the line", file, line);
        return err;
    }
    const char *protocol = get(client, "security.protocol");
    if (!protocol || strcasecmp(protocol, "PLAINTEXT") == 0)
        return ERR_OK;
    bool tls = strcasecmp(protocol, "SSL") == 0 || strcasecmp(protocol, "SASL_SSL") == 0;
    bool sasl = strcasecmp(protocol, "SASL_PLAINTEXT") == 0 || strcasecmp(protocol, "SASL_SSL") == 0;
    if (!tls && !sasl) {
        buf_printf(error, "security.protocol=%s in %s is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", protocol, file);
        return ERR_INVALID;
    }
    if (tls)
        err = read_tls(client, error);
    return err || !sasl ? err : read_sasl(client, error);
}

/* ---- librdkafka ---------------------------------------------------------------------------------------------- */

static enum err set(rd_kafka_conf_t *conf, const char *name, const char *value, struct buf *error) {
    char reason[512];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) == RD_KAFKA_CONF_OK)
        return ERR_OK;
    bool secret = strstr(name, "password") || strstr(name, "key.pem");
    buf_printf(error, "%s cannot be set%s%s; check --command-config", name, secret ? "" : ": ", secret ? "" : reason);
    return ERR_INVALID;
}

static enum err apply_security(const struct wire_security *security, rd_kafka_conf_t *conf, struct buf *error) {
    const char *const pairs[][2] = {
        {"security.protocol", security->tls ? security->mechanism ? "sasl_ssl" : "ssl" : security->mechanism ? "sasl_plaintext" : "plaintext"},
        {"sasl.mechanism", security->mechanism},
        {"sasl.username", security->user},
        {"sasl.password", security->password},
        {"ssl.ca.location", security->ca_file},
        {"ssl.ca.pem", security->ca_pem},
        {"ssl.certificate.location", security->certificate_file},
        {"ssl.key.location", security->key_file ? security->key_file : security->certificate_file},
        {"ssl.certificate.pem", security->certificate_pem},
        {"ssl.key.pem", security->key_pem},
        {"ssl.key.password", security->key_password},
        {"ssl.endpoint.identification.algorithm", security->tls ? security->check_host ? "https" : "none" : NULL},
    };
    enum err err = ERR_OK;
    for (int i = 0; i < COUNT_OF(pairs) && !err; i++)
        if (pairs[i][1])
            err = set(conf, pairs[i][0], pairs[i][1], error);
    return err;
}

/* librdkafka warns of, or refuses, what only the other kind of client has. */
static bool other_kind(const char *name, bool producer) {
    static const char *const producers[] = {"acks", "linger.ms", "batch.size", "compression.type", "enable.idempotence", "retries",
                                            "delivery.timeout.ms", "transactional.id", "max.in.flight.requests.per.connection",
                                            "queue.buffering.max.kbytes", "partitioner", NULL};
    static const char *const consumers[] = {"fetch.min.bytes", "fetch.wait.max.ms", "fetch.max.bytes", "max.partition.fetch.bytes",
                                            "isolation.level", "auto.offset.reset", "enable.auto.commit", "check.crcs", NULL};
    for (const char *const *at = producer ? consumers : producers; *at; at++)
        if (strcmp(*at, name) == 0)
            return true;
    return false;
}

static enum err apply_property(rd_kafka_conf_t *conf, const char *name, const char *value, bool producer, struct buf *error) {
    char number[32], present[512];
    size_t present_size = sizeof present;
    for (int i = 0; i < COUNT_OF(renames); i++) {
        if (strcmp(renames[i].java, name) != 0)
            continue;
        if (!renames[i].librdkafka)
            return ERR_OK;
        int64_t x;
        if (renames[i].divide && parse_int(value, &x)) {
            snprintf(number, sizeof number, "%lld", (long long)(x / renames[i].divide));
            value = number;
        }
        name = renames[i].librdkafka;
        break;
    }
    if (strncmp(name, "sasl.", 5) == 0 || strncmp(name, "ssl.", 4) == 0 || strcmp(name, "security.protocol") == 0 ||
        other_kind(name, producer))
        return ERR_OK; /* the former are in client->security */
    if (strcmp(name, "batch.size") && rd_kafka_conf_get(conf, name, present, &present_size) == RD_KAFKA_CONF_UNKNOWN)
        return ERR_OK; /* of Java's client only, e.g. interceptor.classes */
    return set(conf, name, value, error);
}

enum err client_config_apply(struct client *client, rd_kafka_conf_t *conf, bool producer, const char *const *defaults,
                             struct buf *error) {
    enum err err = set(conf, "bootstrap.servers", client->bootstrap, error);
    if (!err)
        err = set(conf, "client.id", "myelin-cli", error);
    for (int i = 0; defaults && defaults[i] && !err; i += 2)
        err = set(conf, defaults[i], defaults[i + 1], error);
    for (int i = 0; i < client->properties.count && !err; i++)
        err = apply_property(conf, (const char *)client->properties.items[i].key.ptr, (const char *)client->properties.items[i].value.ptr,
                             producer, error);
    return err ? err : apply_security(&client->security, conf, error);
}
