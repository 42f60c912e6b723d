/* Requests, connections and how busy the shards are, under Kafka's names. A shard stands for a network processor and for
 * its share of the request handlers. */
#include "http/numbers.h"

#include "base/mem.h"
#include "protocol/errors.h"

/* ---- quantiles ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *label;
    double share;
} quantiles[] = {{"0.50", 0.5}, {"0.75", 0.75}, {"0.95", 0.95}, {"0.98", 0.98}, {"0.99", 0.99}, {"0.999", 0.999}};

void expose_quantiles(struct exposition *e, const struct histogram *now, uint64_t total, const struct histogram *before, uint64_t before_total,
                      double unit, const char *label, const char *value) {
    struct histogram recent = {0};
    if (now)
        recent = *now;
    if (before)
        histogram_subtract(&recent, before);
    for (int i = 0; i < COUNT_OF(quantiles); i++) {
        expose_begin(e);
        if (label)
            expose_label_str(e, label, value);
        expose_label_str(e, "quantile", quantiles[i].label);
        expose_double(e, histogram_quantile(&recent, total - before_total, quantiles[i].share) * unit);
    }
}

/* ---- requests -------------------------------------------------------------------------------------------------------- */

struct shown_api {
    const char *name;
    const struct api_metrics *now, *before; /* NULL: none yet */
};
enum { SHOWN_MAX = API_COUNT + 2 };

static int list_apis(const struct numbers *numbers, struct shown_api *apis) {
    int count = 0;
    for (int i = 0; i < API_COUNT; i++) {
        const struct api_metrics *now = numbers->now->sum->apis[i], *before = numbers->before ? numbers->before->sum->apis[i] : NULL;
        if (!now && i != API_PRODUCE && i != API_FETCH && i != API_METADATA)
            continue;
        apis[count++] = (struct shown_api){api_table[i].name, now, before};
        if (i == API_FETCH) { /* every fetch is a consumer's */
            apis[count++] = (struct shown_api){"FetchConsumer", now, before};
            apis[count++] = (struct shown_api){"FetchFollower", NULL, NULL};
        }
    }
    return count;
}

#define NO_FIELD SIZE_MAX
static const struct {
    const char *name, *count_name, *help;
    size_t field;
    bool timed; /* of the requests that were timed */
    double unit;
} request_families[] = {
#define FAMILY(name, help, field, timed, unit)                                                                              \
    {"kafka_network_requestmetrics_" name, "kafka_network_requestmetrics_" name "_count", help, field, timed, unit}
#define FIELD(field) offsetof(struct api_metrics, field)
    FAMILY("totaltimems", "Milliseconds from the whole request to the whole answer in the socket.", FIELD(total), false, 0.001),
    FAMILY("requestqueuetimems", "Milliseconds from the whole request to its handler.", FIELD(queue), true, 0.001),
    FAMILY("localtimems", "Milliseconds in the handler.", FIELD(local), true, 0.001),
    FAMILY("remotetimems", "Milliseconds that a request waited: for the device, for data.", FIELD(remote), false, 0.001),
    FAMILY("responsequeuetimems", "Milliseconds from the answer to its turn in the socket.", FIELD(response_queue), false, 0.001),
    FAMILY("responsesendtimems", "Milliseconds until the socket had taken the answer.", FIELD(response_send), false, 0.001),
    FAMILY("throttletimems", "Milliseconds that a client was told to wait.", NO_FIELD, false, 0.001),
    FAMILY("requestbytes", "Bytes of a request.", FIELD(request_bytes), false, 1),
};

static const struct histogram *histogram_of(const struct api_metrics *api, size_t field) {
    return api && field != NO_FIELD ? (const struct histogram *)((const char *)api + field) : NULL;
}
static uint64_t count_of(const struct api_metrics *api, bool timed) {
    return !api ? 0 : timed ? api->timed : metrics_requests(api);
}

static void expose_request_times(struct exposition *e, const struct numbers *numbers) {
    struct shown_api apis[SHOWN_MAX];
    int count = list_apis(numbers, apis);
    for (int f = 0; f < COUNT_OF(request_families); f++) {
        expose_family(e, request_families[f].count_name, "counter", "Requests.");
        for (int i = 0; i < count; i++) {
            expose_begin(e);
            expose_label_str(e, "request", apis[i].name);
            expose_int(e, (int64_t)count_of(apis[i].now, false));
        }
        expose_family(e, request_families[f].name, "gauge", request_families[f].help);
        for (int i = 0; i < count; i++) {
            const struct api_metrics *now = apis[i].now, *before = apis[i].before;
            bool timed = request_families[f].timed;
            expose_quantiles(e, histogram_of(now, request_families[f].field), count_of(now, timed),
                             histogram_of(before, request_families[f].field), count_of(before, timed), request_families[f].unit, "request",
                             apis[i].name);
        }
    }
}

static void expose_request_counts(struct exposition *e, const struct numbers *numbers) {
    struct shown_api apis[SHOWN_MAX];
    int count = list_apis(numbers, apis);
    expose_family(e, "kafka_network_requestmetrics_requests_total", "counter", "Requests of each version.");
    for (int i = 0; i < count; i++)
        for (int v = 0; apis[i].now && v < API_VERSIONS; v++) {
            if (!apis[i].now->versions[v])
                continue;
            expose_begin(e);
            expose_label_str(e, "request", apis[i].name);
            expose_label_int(e, "version", v);
            expose_int(e, (int64_t)apis[i].now->versions[v]);
        }
    expose_family(e, "kafka_network_requestmetrics_errors_total", "counter", "Error codes in answers.");
    for (int i = 0; i < count; i++)
        for (int code = -1; apis[i].now && code < ENCODER_ERRORS - 1; code++) {
            if (!apis[i].now->errors[code + 1])
                continue;
            expose_begin(e);
            expose_label_str(e, "request", apis[i].name);
            expose_label_str(e, "error", kafka_error_name(code));
            expose_int(e, (int64_t)apis[i].now->errors[code + 1]);
        }
    const struct metrics *sum = numbers->now->sum;
    expose_gauge(e, "kafka_network_requestchannel_requestqueuesize", "Requests read that wait for an earlier one.", (double)sum->requests_held);
    expose_gauge(e, "kafka_network_requestchannel_responsequeuesize", "Answers that wait for the socket.", (double)sum->responses_waiting);
}

/* ---- connections ----------------------------------------------------------------------------------------------------- */

struct connection_family {
    const char *name, *type, *help;
    int64_t (*value)(const struct listener_metrics *now);
    uint64_t (*rated)(const struct listener_metrics *now); /* instead: a second */
};
static int64_t connection_count(const struct listener_metrics *m) { return (int64_t)(m->accepted - m->closed); }
static int64_t expired(const struct listener_metrics *m) { return (int64_t)m->expired; }
static uint64_t accepted_total(const struct listener_metrics *m) { return m->accepted; }
static uint64_t closed_total(const struct listener_metrics *m) { return m->closed; }
static uint64_t bytes_in_total(const struct listener_metrics *m) { return m->bytes_in; }
static uint64_t bytes_out_total(const struct listener_metrics *m) { return m->bytes_out; }
static uint64_t requests_total(const struct listener_metrics *m) { return m->requests; }
static uint64_t responses_total(const struct listener_metrics *m) { return m->responses; }
static uint64_t io_total(const struct listener_metrics *m) { return m->requests + m->responses; }

/* The exporter's stock rules say socket_server_metrics, those of another common set socketservermetrics: both, where
 * dashboards look. */
#define STOCK(name) "kafka_server_socket_server_metrics_" name
#define OTHER(name) "kafka_server_socketservermetrics_" name
#define COUNT_AND_RATE(attribute, help, total)                                                                              \
    {STOCK(attribute "_total"), "counter", help ".", NULL, total}, {STOCK(attribute "_rate"), "gauge", help " a second.", NULL, total}
static const struct connection_family connection_families[] = {
    {STOCK("connection_count"), "gauge", "Connections.", connection_count, NULL},
    {OTHER("connection_count"), "gauge", "Connections.", connection_count, NULL},
    {STOCK("expired_connections_killed_count"), "gauge", "Connections closed because they were idle.", expired, NULL},
    COUNT_AND_RATE("connection_creation", "Connections accepted", accepted_total),
    {OTHER("connection_creation_rate"), "gauge", "Connections accepted a second.", NULL, accepted_total},
    COUNT_AND_RATE("connection_close", "Connections closed", closed_total),
    {OTHER("connection_close_rate"), "gauge", "Connections closed a second.", NULL, closed_total},
    COUNT_AND_RATE("incoming_byte", "Bytes of requests", bytes_in_total),
    COUNT_AND_RATE("outgoing_byte", "Bytes of answers", bytes_out_total),
    COUNT_AND_RATE("request", "Requests", requests_total),
    COUNT_AND_RATE("response", "Answers", responses_total),
    COUNT_AND_RATE("network_io", "Requests and answers", io_total),
};

static void expose_connections(struct exposition *e, const struct numbers *numbers) {
    const struct broker *broker = numbers->broker;
    for (int f = 0; f < COUNT_OF(connection_families); f++) {
        const struct connection_family *family = &connection_families[f];
        expose_family(e, family->name, family->type, family->help);
        for (int l = 0; l < broker->listener_count; l++)
            for (int s = 0; s < broker->shard_count; s++) {
                int at = s * LISTENERS_MAX + l;
                const struct listener_metrics *now = &numbers->now->listeners[at];
                expose_begin(e);
                expose_label(e, "listener", broker->listeners[l].config->name);
                expose_label_int(e, "networkProcessor", s);
                if (family->value)
                    expose_int(e, family->value(now));
                else if (family->type[0] == 'c')
                    expose_int(e, (int64_t)family->rated(now));
                else
                    expose_double(e, (double)(family->rated(now) - (numbers->before ? family->rated(&numbers->before->listeners[at]) : 0)) /
                                         (numbers->seconds > 0 ? numbers->seconds : 1));
            }
    }
    uint64_t all_expired = 0;
    for (int l = 0; l < LISTENERS_MAX; l++)
        all_expired += numbers->now->sum->listeners[l].expired;
    expose_gauge(e, "kafka_network_socketserver_expiredconnectionskilledcount", "Connections closed because they were idle.", (double)all_expired);
}

static void expose_software(struct exposition *e, const struct numbers *numbers, const char *name, const char *name_label, const char *version_label,
                            const char *processor_label) {
    expose_family(e, name, "gauge", "Connections by the software that clients say they are.");
    for (int s = 0; s < numbers->broker->shard_count; s++)
        for (int i = 0; i < CLIENT_SOFTWARE_MAX; i++) {
            const struct software_metrics *software = &numbers->parts[s].metrics.software[i];
            if (software->connections <= 0)
                continue;
            expose_begin(e);
            expose_label_str(e, name_label, software->name);
            expose_label_str(e, version_label, software->version);
            expose_label_int(e, processor_label, s);
            expose_int(e, software->connections);
        }
}

/* ---- how busy -------------------------------------------------------------------------------------------------------- */

static void expose_idle(struct exposition *e, const struct numbers *numbers) {
    int count = numbers->broker->shard_count;
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += numbers_idle_share(numbers, i);
    expose_gauge(e, "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", "Share of time that the shards slept.", sum / count);
    expose_gauge(e, "kafka_server_kafkarequesthandlerpool_brokerrequesthandleravgidle_percent", "Share of time that the shards slept.",
                 sum / count);
    expose_gauge(e, "kafka_server_kafkarequesthandlerpool_controllerrequesthandleravgidle_percent", "Share of time that shard 0 slept.",
                 numbers_idle_share(numbers, 0));
    expose_gauge(e, "kafka_network_socketserver_networkprocessoravgidle_percent", "Share of time that the shards slept.", sum / count);
    expose_family(e, "kafka_network_processor_idle_percent", "gauge", "Share of time that a shard slept.");
    for (int i = 0; i < count; i++) {
        expose_begin(e);
        expose_label_int(e, "networkProcessor", i);
        expose_double(e, numbers_idle_share(numbers, i));
    }
    expose_family(e, "kafka_network_acceptor_acceptorblocked_percent", "gauge", "Share of time that accepting waited for a processor.");
    for (int l = 0; l < numbers->broker->listener_count; l++) {
        expose_begin(e);
        expose_label(e, "listener", numbers->broker->listeners[l].config->name);
        expose_int(e, 0);
    }
}

void expose_requests(struct exposition *e, const struct numbers *numbers) {
    expose_request_counts(e, numbers);
    expose_request_times(e, numbers);
    expose_connections(e, numbers);
    expose_software(e, numbers, STOCK("connections_software"), "clientSoftwareName", "clientSoftwareVersion", "networkProcessor");
    expose_software(e, numbers, OTHER("connections"), "client_software_name", "client_software_version", "network_processor");
    expose_idle(e, numbers);
}
