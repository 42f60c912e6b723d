/* A connection to the broker: requests go out in order, answers come back in order, and when it is lost it is made anew. */
#include "protocol/find_coordinator_request.h"
#include "tests/sim/sim_test.h"

enum { RETRY_MS = 200, TIMEOUT_S = 40, FRAME_MAX = 64 << 20 };

static void receive(struct client *client);
static void send_more(struct client *client);

static void start_retry(struct client *client) {
    timer_start(client->shard, &client->retry, (1 + world_random(client->world, RETRY_MS)) * NS_PER_MS);
}

static void lost(struct client *client) {
    client->sock = NULL;
    client->closing = client->sending = false;
    client->waiting_count = 0;
    buf_clear(&client->out);
    buf_clear(&client->in);
    client->in_taken = 0;
    timer_stop(client->shard, &client->timeout);
    client->on_lost(client);
    start_retry(client);
}

static void closed(struct shard *shard, void *user) {
    (void)shard;
    lost(user);
}

void client_reset(struct client *client) {
    if (!client->sock || client->closing)
        return;
    client->closing = true;
    sock_close(client->sock, closed);
}

static void timed_out(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct client *client = container_of(timer, struct client, timeout);
    if (client->world->calm)
        violation(client->world, "no answer to a request of API %d in %d s, though all faults are over",
                  client->waiting[client->waiting_first].key, TIMEOUT_S);
    client_reset(client);
}

/* ---- receive ------------------------------------------------------------------------------------------------------- */

static void take_frame(struct client *client, struct slice frame) {
    struct arena arena = {0};
    struct decoder d = decoder_of(frame, &arena);
    int32_t correlation = decode_int32(&d);
    if (!client->waiting_count || client->waiting[client->waiting_first].correlation != correlation)
        violation(client->world, "an answer with correlation id %d, which nothing waits for", (int)correlation);
    int16_t key = client->waiting[client->waiting_first].key, version = client->waiting[client->waiting_first].version;
    client->waiting_first = (client->waiting_first + 1) % COUNT_OF(client->waiting);
    client->waiting_count--;
    if (client->waiting_count)
        timer_start(client->shard, &client->timeout, TIMEOUT_S * NS_PER_S);
    else
        timer_stop(client->shard, &client->timeout);
    if (version >= api_table[key].response_flexible_from)
        decode_skip_tags(&d);
    client->on_answer(client, correlation, key, version, &d);
    arena_deinit(&arena);
}

static void received(struct sock *sock, enum err err, size_t count) {
    struct client *client = sock_user(sock);
    if (client->closing)
        return;
    if (err || !count) {
        client_reset(client);
        return;
    }
    buf_add(&client->in, client->chunk, count);
    while (!client->closing && client->in.size - client->in_taken >= 4) {
        uint32_t size = load_be32(client->in.ptr + client->in_taken);
        if (size > FRAME_MAX)
            violation(client->world, "an answer of %u bytes", size);
        if (client->in.size - client->in_taken - 4 < size)
            break;
        struct slice frame = slice_of(client->in.ptr + client->in_taken + 4, size);
        client->in_taken += 4 + size;
        take_frame(client, frame);
    }
    if (client->closing)
        return;
    if (client->in_taken == client->in.size || client->in_taken > 1 << 20) {
        memmove(client->in.ptr, client->in.ptr + client->in_taken, client->in.size - client->in_taken);
        client->in.size -= client->in_taken;
        client->in_taken = 0;
    }
    receive(client);
}

static void receive(struct client *client) {
    sock_recv(client->sock, client->chunk, 1 + (size_t)world_random(client->world, sizeof client->chunk), received);
}

/* ---- send ---------------------------------------------------------------------------------------------------------- */

static void sent(struct sock *sock, enum err err) {
    struct client *client = sock_user(sock);
    client->sending = false;
    if (client->closing)
        return;
    if (err)
        client_reset(client);
    else
        send_more(client);
}

static void send_more(struct client *client) {
    if (client->sending || !client->out.size || !client->sock || client->closing)
        return;
    struct buf swap = client->out_sending;
    client->out_sending = client->out;
    client->out = swap;
    buf_clear(&client->out);
    client->piece = (struct piece){.ptr = client->out_sending.ptr, .size = client->out_sending.size};
    client->sending = true;
    sock_send(client->sock, &client->piece, 1, sent);
}

bool client_is_ready(const struct client *client) {
    return client->sock && !client->closing && client->waiting_count < COUNT_OF(client->waiting);
}

size_t client_begin(struct client *client, int16_t key, int16_t version, struct encoder *encoder) {
    check(client_is_ready(client), "a request on a connection that is not there");
    size_t start = client->out.size;
    encoder_init(encoder, &client->out, NULL);
    encode_int32(encoder, 0);
    struct api_header header = {.key = key, .version = version, .correlation_id = client->next_correlation, .client_id = SLICE_LIT("sim")};
    api_header_encode(encoder, &header);
    return start;
}

int32_t client_end(struct client *client, size_t start, int16_t key, int16_t version) {
    store_be32(client->out.ptr + start, (uint32_t)(client->out.size - start - 4));
    int at = (client->waiting_first + client->waiting_count++) % COUNT_OF(client->waiting);
    client->waiting[at].correlation = client->next_correlation;
    client->waiting[at].key = key;
    client->waiting[at].version = version;
    if (client->waiting_count == 1)
        timer_start(client->shard, &client->timeout, TIMEOUT_S * NS_PER_S);
    send_more(client);
    return client->next_correlation++;
}

void client_find_coordinator(struct client *client, int8_t type, const char *key) {
    struct find_coordinator_request request;
    struct slice keys = slice_str(key);
    int32_t unused;
    find_coordinator_request_init(&request);
    request.key_type = type;
    request.coordinator_keys = &keys;
    request.coordinator_keys_count = 1;
    client_send(client, API_FIND_COORDINATOR, 4, find_coordinator, &request, &unused);
}

/* ---- connect ------------------------------------------------------------------------------------------------------- */

static void connected(struct shard *shard, struct sock *sock, enum err err, void *arg) {
    (void)shard;
    struct client *client = arg;
    client->connecting = false;
    if (err) {
        start_retry(client);
        return;
    }
    client->sock = sock;
    sock_set_user(sock, client);
    receive(client);
    client->on_connected(client);
}

static void retry(struct shard *shard, struct timer *timer) {
    struct client *client = container_of(timer, struct client, retry);
    client->connecting = true;
    sock_connect(shard, BROKER_HOST, BROKER_PORT, client, connected);
}

void client_start(struct client *client, struct world *world) {
    client->world = world;
    client->shard = runtime_shard(world->clients, 0);
    client->retry.fire = retry;
    client->timeout.fire = timed_out;
    start_retry(client);
}
