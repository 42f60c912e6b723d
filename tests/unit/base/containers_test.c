/* The containers against plain models: every operation is mirrored in an array and compared. */
#include "tests/unit/test.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/numbering.h"

static uint64_t next_random(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15ull;
    return hash_u64(*state);
}

struct item {
    struct map_node node;
    uint64_t key;
    bool present, seen;
};

static bool item_is(const struct map_node *node, const void *key) {
    return container_of(node, struct item, node)->key == *(const uint64_t *)key;
}

TEST(map_holds_what_was_inserted_through_growth_and_removal) {
    enum { COUNT = 3000 };
    struct item *items = mem_zalloc(sizeof(struct item) * COUNT);
    struct map map = {0};
    uint64_t random = 1, present = 0;
    for (int step = 0; step < 40000; step++) {
        struct item *item = &items[next_random(&random) % COUNT];
        item->key = (uint64_t)(item - items);
        if (item->present) {
            map_remove(&map, &item->node);
            present--;
        } else {
            map_insert(&map, &item->node, hash_u64(item->key) & 0x3fff);
            present++;
        }
        item->present = !item->present;
        EXPECT_INT(map.count, present);
        uint64_t key = next_random(&random) % COUNT;
        struct map_node *found = map_find(&map, hash_u64(key) & 0x3fff, item_is, &key);
        EXPECT((found != NULL) == items[key].present);
        if (step % 997 == 0) {
            uint64_t walked = 0;
            for (int i = 0; i < COUNT; i++)
                items[i].seen = false;
            map_each(pos, &map) {
                struct item *at = container_of(pos, struct item, node);
                EXPECT(at->present && !at->seen);
                at->seen = true;
                walked++;
            }
            EXPECT_INT(walked, present);
        }
    }
    map_each_safe(pos, &map) {
        map_remove(&map, pos);
    }
    EXPECT_INT(map.count, 0);
    map_deinit(&map);
    mem_free(items);
}

/* What is freed on the way is not looked at again, wherever a growth stands. */
TEST(map_walk_survives_freeing_what_it_gave) {
    for (int count = 1; count < 300; count++) {
        struct map map = {0};
        for (int i = 0; i < count; i++) {
            struct item *item = mem_new(struct item);
            item->key = (uint64_t)i;
            map_insert(&map, &item->node, hash_u64(item->key) & 0xff);
        }
        int walked = 0;
        map_each_safe(pos, &map) {
            mem_free(container_of(pos, struct item, node));
            walked++;
        }
        EXPECT_INT(walked, count);
        map_deinit(&map);
    }
}

TEST(heap_gives_the_smallest_key_first_and_ties_in_order) {
    enum { COUNT = 500 };
    struct heap heap = {0};
    struct heap_node nodes[COUNT] = {0};
    uint64_t random = 2;
    for (int i = 0; i < COUNT; i++)
        heap_insert(&heap, &nodes[i], next_random(&random) % 50);
    for (int i = 0; i < COUNT; i += 3)
        heap_remove(&heap, &nodes[i]);
    heap_remove(&heap, &nodes[0]); /* not in it any more: no effect */
    uint64_t last_key = 0, last_sequence = 0;
    int count = 0;
    for (struct heap_node *node; (node = heap_min(&heap)); count++) {
        EXPECT(node->key > last_key || (node->key == last_key && (count == 0 || node->sequence > last_sequence)));
        last_key = node->key;
        last_sequence = node->sequence;
        heap_remove(&heap, node);
    }
    EXPECT_INT(count, COUNT - (COUNT + 2) / 3);
    heap_deinit(&heap);
}

struct entry {
    struct list node;
    int value;
};

TEST(list_keeps_order_and_splices) {
    struct list a, b;
    struct entry entries[4] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}};
    list_init(&a);
    list_init(&b);
    list_push_back(&a, &entries[1].node);
    list_push_front(&a, &entries[0].node);
    list_push_back(&b, &entries[2].node);
    list_push_back(&b, &entries[3].node);
    list_splice(&a, &b);
    EXPECT(list_is_empty(&b));
    int expected = 0;
    list_each_safe(pos, &a) {
        EXPECT_INT(list_entry(pos, struct entry, node)->value, expected++);
        list_remove(pos);
    }
    EXPECT_INT(expected, 4);
    EXPECT(list_pop_front(&a) == NULL);
}

static void count_up(void *arg) {
    ++*(int *)arg;
}

TEST(arena_refuses_beyond_its_limit_and_runs_hooks_on_reset) {
    struct arena arena;
    arena_init(&arena, 100000);
    int hooks = 0;
    arena_on_reset(&arena, count_up, &hooks);
    for (size_t size = 1; size < 5000; size += 700) {
        uint8_t *ptr = arena_try_alloc(&arena, size);
        EXPECT(ptr && (uintptr_t)ptr % 16 == 0);
        memset(ptr, 0xab, size);
    }
    EXPECT(arena_try_alloc(&arena, 100000) == NULL);
    EXPECT(arena_try_alloc(&arena, SIZE_MAX) == NULL);
    struct slice copy = arena_slice(&arena, SLICE_LIT("hello"));
    EXPECT_STR((const char *)copy.ptr, "hello");
    EXPECT(slice_is_null(arena_slice(&arena, SLICE_NULL)));
    EXPECT_STR(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    arena_reset(&arena);
    EXPECT_INT(hooks, 1);
    EXPECT_INT(arena.size, 0);
    arena_deinit(&arena);
}

TEST(arrays_grow_in_an_arena_and_cost_what_they_hold) {
    struct arena arena = {0};
    int64_t *items = NULL;
    for (int i = 0; i < 1000; i++) {
        items = arena_grow(&arena, items, (size_t)i, sizeof *items);
        EXPECT_INT(items[i], 0);
        items[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        EXPECT_INT(items[i], i);
    EXPECT(arena.size < 4 * 1000 * sizeof *items);
    arena_deinit(&arena);
}

TEST(buf_grows_and_keeps_its_text) {
    struct buf buf = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&buf, "%d,", i % 10);
    EXPECT_INT(buf.size, 2000);
    EXPECT(strncmp(buf_text(&buf), "0,1,2,", 6) == 0);
    EXPECT_INT(strlen(buf_text(&buf)), 2000);
    buf_deinit(&buf);
}

TEST(numbers_are_given_in_order_of_first_coming) {
    struct arena arena = {0};
    struct numbering *numbering = numbering_create(&arena);
    struct uuid id = {7, 8};
    EXPECT_INT(numbering_get(numbering, (struct numbering_key){.name = SLICE_LIT("a")}), 0);
    EXPECT_INT(numbering_get(numbering, (struct numbering_key){.name = SLICE_LIT("b")}), 1);
    EXPECT_INT(numbering_get(numbering, (struct numbering_key){.name = SLICE_LIT("a")}), 0);
    EXPECT_INT(numbering_get(numbering, (struct numbering_key){.name = SLICE_LIT("a"), .within = 1}), 2);
    EXPECT_INT(numbering_get(numbering, (struct numbering_key){.id = id, .within = -1}), 3);
    EXPECT_INT(numbering_get(numbering, (struct numbering_key){.id = id}), 4);
    EXPECT_INT(numbering_get(numbering, (struct numbering_key){.id = id, .within = -1}), 3);
    for (int i = 0; i < 20000; i++)
        EXPECT_INT(numbering_get(numbering, (struct numbering_key){.within = 1000 + i}), 5 + i);
    for (int i = 0; i < 20000; i++)
        EXPECT_INT(numbering_get(numbering, (struct numbering_key){.within = 1000 + i}), 5 + i);
    arena_deinit(&arena);
}

TEST_MAIN
