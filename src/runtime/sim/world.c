/* The world: virtual time, the queue of events, randomness from the seed, the hash of all that happened. */
#include "runtime/sim/internal.h"

enum { START_MS_SPREAD = 1000000 };

static uint64_t rotate(uint64_t x, int bits) {
    return x << bits | x >> (64 - bits);
}

uint64_t sim_random(struct sim *sim) { /* xoshiro256**, public domain by Blackman and Vigna */
    uint64_t *s = sim->random, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t sim_below(struct sim *sim, uint64_t limit) {
    check(limit > 0);
    return sim_random(sim) % limit;
}

uint64_t sim_between(struct sim *sim, uint64_t low, uint64_t high) {
    return high > low ? low + sim_below(sim, high - low + 1) : low;
}

bool sim_chance(struct sim *sim, uint32_t one_in) {
    return one_in && sim_below(sim, one_in) == 0;
}

void sim_fill_random(struct sim *sim, void *bytes, size_t size) {
    for (uint8_t *p = bytes, *end = p + size; p < end; p++)
        *p = (uint8_t)(sim_random(sim) >> 32);
}

struct sim *sim_create(uint64_t seed) {
    struct sim *sim = mem_new(struct sim);
    for (int i = 0; i < 4; i++) { /* splitmix64, so that near seeds give far streams */
        uint64_t z = (seed += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        sim->random[i] = z ^ (z >> 31);
    }
    sim->now_ns = NS_PER_S;
    sim->wall_start_ms = 1700000000000 + (int64_t)sim_below(sim, START_MS_SPREAD);
    list_init(&sim->nodes);
    sim->network = (struct sim_network){20000, 200000, 128 << 10, 64 << 10};
    sim->may_block = true;
    return sim;
}

void sim_destroy(struct sim *sim) {
    if (!sim)
        return;
    check(list_is_empty(&sim->nodes), "the world ends with nodes in it");
    heap_deinit(&sim->events);
    mem_free(sim);
}

void event_schedule_at(struct sim *sim, struct event *event, uint64_t at_ns) {
    check(!event_is_scheduled(event) && event->owner, "an event is scheduled twice, or is nobody's");
    if (event->owner->stopped) { /* nothing of it runs again */
        if (event->drop)
            event->drop(event);
        return;
    }
    if (at_ns < sim->now_ns)
        at_ns = sim->now_ns;
    heap_insert(&sim->events, &event->node, at_ns);
    list_push_back(&event->owner->events, &event->of_owner);
}

void event_schedule(struct sim *sim, struct event *event, uint64_t delay_ns) {
    event_schedule_at(sim, event, sim->now_ns + delay_ns + sim_below(sim, 512));
}

void event_cancel(struct sim *sim, struct event *event) {
    if (!event_is_scheduled(event))
        return;
    heap_remove(&sim->events, &event->node);
    list_remove(&event->of_owner);
}

void sim_note(struct sim *sim, uint64_t what) {
    sim->hash = hash_u64(sim->hash ^ what) + 0x9e3779b97f4a7c15ull;
}

bool sim_step(struct sim *sim) {
    struct heap_node *node = heap_min(&sim->events);
    if (!node)
        return false;
    struct event *event = container_of(node, struct event, node);
    sim->now_ns = node->key;
    event_cancel(sim, event);
    sim->event_count++;
    sim_note(sim, sim->now_ns);
    sim_note(sim, (uint64_t)event->kind << 32 | (uint64_t)event->owner->id);
    event->run(event);
    return true;
}

uint64_t sim_now_ns(const struct sim *sim) {
    return sim->now_ns;
}

int64_t sim_wall_ms(const struct sim *sim) {
    return sim->wall_start_ms + (int64_t)(sim->now_ns / NS_PER_MS);
}

uint64_t sim_hash(const struct sim *sim) {
    return sim->hash;
}

uint64_t sim_event_count(const struct sim *sim) {
    return sim->event_count;
}

struct sim_network *sim_network(struct sim *sim) {
    return &sim->network;
}
