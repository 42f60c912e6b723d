/* /health: every shard's loop answers a message. /ready: and the node serves.
 *
 * One round of questions is under way at a time; who comes meanwhile shares its answer. */
#include "base/mem.h"
#include "http/internal.h"
#include "protocol/codec.h"

#define ANSWER_NS (5 * NS_PER_S) /* a loop that takes longer counts as stuck */

struct question { /* http -> shard -> http */
    struct message message;
    struct health *health;
    bool out; /* on its way */
    bool dir_offline[LOG_DIRS_MAX]; /* shard 0's answer */
};
struct health {
    struct http *http;
    struct list asking, asking_ready;
    struct question *questions;
    int out;
    bool dir_offline[LOG_DIRS_MAX]; /* as shard 0 said last */
};

struct health *health_create(struct http *http) {
    struct health *health = mem_new(struct health);
    health->http = http;
    list_init(&health->asking);
    list_init(&health->asking_ready);
    health->questions = mem_zalloc(sizeof *health->questions * (size_t)http->broker->shard_count);
    return health;
}

/* ---- answers --------------------------------------------------------------------------------------------------------- */

static void add_reason(struct buf *json, int *count, const char *fmt, int number) {
    buf_add_str(json, (*count)++ ? ",\"" : "\"");
    buf_printf(json, fmt, number);
    buf_add_byte(json, '"');
}

static int add_silent(const struct health *health, struct buf *json, int *count) {
    int silent = 0;
    for (int i = 0; i < health->http->broker->shard_count; i++)
        if (health->questions[i].out) {
            add_reason(json, count, "shard %d does not answer", i);
            silent++;
        }
    return silent;
}

static void answer_health(const struct health *health, struct http_request *request) {
    struct buf json = {0}, reasons = {0};
    int count = 0;
    bool fine = !add_silent(health, &reasons, &count);
    buf_printf(&json, "{\"healthy\":%s,\"shards\":%d,\"reasons\":[", fine ? "true" : "false", health->http->broker->shard_count);
    buf_add_slice(&json, buf_slice(&reasons));
    buf_add_str(&json, "]}\n");
    http_answer_json(request, fine ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, &json);
    buf_deinit(&reasons);
}

static void answer_ready(const struct health *health, struct http_request *request) {
    const struct broker *broker = health->http->broker;
    struct buf json = {0}, reasons = {0};
    int count = 0, offline = 0;
    add_silent(health, &reasons, &count);
    if (broker->stopping)
        add_reason(&reasons, &count, "stopping", 0);
    else if (!broker->ready)
        add_reason(&reasons, &count, "starting: the logs are being recovered", 0);
    for (int i = 0; i < broker->config->log_dir_count; i++)
        offline += health->dir_offline[i];
    if (offline == broker->config->log_dir_count)
        add_reason(&reasons, &count, "no log directory is online", 0);
    buf_printf(&json, "{\"ready\":%s,\"node\":%d,\"cluster\":", count ? "false" : "true", (int)broker->config->node_id);
    json_add_string(&json, slice_str(broker->cluster_id));
    buf_add_str(&json, ",\"reasons\":[");
    buf_add_slice(&json, buf_slice(&reasons));
    buf_add_str(&json, "],\"offline_log_dirs\":[");
    for (int i = 0, shown = 0; i < broker->config->log_dir_count; i++)
        if (health->dir_offline[i]) {
            buf_add_str(&json, shown++ ? "," : "");
            json_add_string(&json, slice_str(broker->config->log_dirs[i]));
        }
    buf_add_str(&json, "]}\n");
    http_answer_json(request, count ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK, &json);
    buf_deinit(&reasons);
}

static void answer_until(struct health *health, uint64_t deadline_ns) {
    list_each_safe(node, &health->asking) {
        struct http_request *request = list_entry(node, struct http_request, node);
        if (request->deadline_ns <= deadline_ns)
            answer_health(health, request);
    }
    list_each_safe(node, &health->asking_ready) {
        struct http_request *request = list_entry(node, struct http_request, node);
        if (request->deadline_ns <= deadline_ns)
            answer_ready(health, request);
    }
}

uint64_t health_check(struct health *health, uint64_t now_ns) {
    answer_until(health, now_ns);
    uint64_t due = UINT64_MAX;
    const struct list *lists[] = {&health->asking, &health->asking_ready};
    for (int i = 0; i < 2; i++)
        if (!list_is_empty(lists[i])) /* the first waits longest */
            due = list_entry(lists[i]->next, struct http_request, node)->deadline_ns < due
                      ? list_entry(lists[i]->next, struct http_request, node)->deadline_ns
                      : due;
    return due;
}

void health_destroy(struct health *health) {
    answer_until(health, UINT64_MAX);
    mem_free(health->questions);
    mem_free(health);
}

/* ---- the round ------------------------------------------------------------------------------------------------------- */

static void came_back(struct shard *none, struct message *message) {
    (void)none;
    struct question *question = container_of(message, struct question, message);
    struct health *health = question->health;
    question->out = false;
    if (question == health->questions)
        memcpy(health->dir_offline, question->dir_offline, sizeof health->dir_offline);
    if (--health->out == 0)
        answer_until(health, UINT64_MAX);
}

/* On the shard. */
static void asked(struct shard *shard, struct message *message) {
    struct question *question = container_of(message, struct question, message);
    struct broker_shard *self = broker_shard_of(shard);
    for (int i = 0; self->index == 0 && self->store && i < self->broker->config->log_dir_count; i++)
        question->dir_offline[i] = log_store_dir_is_offline(self->store, i);
    message->deliver = came_back;
    side_post(question->health->http->side, message);
}

static void ask(struct health *health) {
    struct broker *broker = health->http->broker;
    if (health->out)
        return;
    health->out = broker->shard_count;
    for (int i = 0; i < broker->shard_count; i++) {
        struct question *question = &health->questions[i];
        *question = (struct question){.health = health, .out = true, .message = {.deliver = asked}};
        shard_post(broker->shards[i].shard, &question->message);
    }
}

static void wait_for_round(struct health *health, struct http_request *request, struct list *list) {
    http_wait(request, list, ANSWER_NS);
    ask(health);
}

void health_handle(struct http_request *request) {
    wait_for_round(request->http->health, request, &request->http->health->asking);
}
void ready_handle(struct http_request *request) {
    wait_for_round(request->http->health, request, &request->http->health->asking_ready);
}
