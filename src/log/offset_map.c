#include "log/offset_map.h"

#include <string.h>
#include "base/mem.h"

enum { ENTRIES_MIN = 64 };

/* The array is asked for in one piece and zeroed by the kernel, page by page as it is used. */
enum err offset_map_init(struct offset_map *map, size_t bytes, double load_factor, uint64_t count_needed, const uint64_t seed[2]) {
    uint64_t most = bytes / sizeof(struct offset_entry);
    uint64_t usable = (uint64_t)((double)most * load_factor);
    if (load_factor > 0 && load_factor < 1 && count_needed < usable)
        most = (uint64_t)((double)count_needed / load_factor) + 1;
    if (most < ENTRIES_MIN)
        most = ENTRIES_MIN;
    *map = (struct offset_map){.capacity = most, .seed = {seed[0], seed[1]}};
    map->count_max = (uint64_t)((double)most * load_factor);
    if (map->count_max >= most) /* one stays free: a lookup ends there */
        map->count_max = most - 1;
    if (!map->count_max) /* each pass gets somewhere */
        map->count_max = 1;
    map->entries = mem_try_zalloc(most * sizeof *map->entries);
    return map->entries ? ERR_OK : ERR_NO_MEMORY;
}

void offset_map_deinit(struct offset_map *map) {
    mem_free(map->entries);
    *map = (struct offset_map){0};
}

/* ---- the hash ------------------------------------------------------------------------------------------------------- */

/* Two lanes, each folding the 128-bit product of 16 bytes of the key and its own state, in the manner of wyhash. */
static inline uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t load64(const uint8_t *p) {
    uint64_t x;
    memcpy(&x, p, 8);
    return x;
}

static inline void mix(uint64_t state[2], uint64_t x, uint64_t y) {
    state[0] = fold(x ^ state[0], y ^ 0xa0761d6478bd642full);
    state[1] = fold(y ^ state[1], x ^ 0xe7037ed1a0b428dbull);
}

struct key_hash offset_map_hash(const struct offset_map *map, struct slice key) {
    uint64_t state[2] = {map->seed[0] ^ key.size, map->seed[1]};
    const uint8_t *p = key.ptr;
    size_t left = key.size;
    for (; left >= 16; p += 16, left -= 16)
        mix(state, load64(p), load64(p + 8));
    uint64_t x = 0, y = 0;
    if (left >= 8) {
        x = load64(p);
        y = load64(p + left - 8);
    } else if (left) {
        memcpy(&x, p, left);
    }
    mix(state, x, y);
    struct key_hash hash;
    hash.hash[0] = fold(state[0] ^ 0x8ebc6af09c88c6e3ull, map->seed[1] ^ 0x589965cc75374cc3ull);
    hash.hash[1] = fold(state[1] ^ 0x1d8e4e27c47d124full, map->seed[0] ^ state[0]);
    return hash;
}

/* ---- entries -------------------------------------------------------------------------------------------------------- */

/* The key's entry, or the free one where it would be. */
static inline struct offset_entry *look_up(const struct offset_map *map, const struct key_hash *hash) {
    uint64_t at = offset_map_home(map, hash);
    for (;;) {
        struct offset_entry *entry = &map->entries[at];
        if (!entry->next || (entry->hash[0] == hash->hash[0] && entry->hash[1] == hash->hash[1]))
            return entry;
        at = at + 1 < map->capacity ? at + 1 : 0;
    }
}

bool offset_map_put(struct offset_map *map, const struct key_hash *hash, int64_t offset) {
    struct offset_entry *entry = look_up(map, hash);
    if (!entry->next) {
        if (map->count >= map->count_max)
            return false;
        map->count++;
        entry->hash[0] = hash->hash[0];
        entry->hash[1] = hash->hash[1];
    }
    entry->next = offset + 1;
    return true;
}

int64_t offset_map_find(const struct offset_map *map, const struct key_hash *hash) {
    return look_up(map, hash)->next - 1;
}
