/* What a device keeps. Each file has its bytes twice: as the process sees them (the page cache) and as they are on the
 * device. Both share pages until one is written; a flush makes them share again. Each directory has its names twice in
 * the same way, with the unflushed changes listed in order between them.
 *
 * When the power fails, for each file one of these holds: nothing of what was not flushed arrived; all of it did; a
 * random half of its sectors did; those below some position did. Names: a prefix of all changes, or of those of each
 * directory, arrived. What the process then sees is what is on the device. */
#include <stdlib.h>
#include "runtime/sim/internal.h"


/* ---- images --------------------------------------------------------------------------------------------------------- */

static int64_t pages_of(int64_t size) {
    return (size + PAGE - 1) / PAGE;
}

static struct page *page_ref(struct page *page) {
    if (page)
        page->refs++;
    return page;
}

static void page_unref(struct page *page) {
    if (page && --page->refs == 0)
        mem_free(page);
}

static void image_grow(struct image *image, int64_t count) {
    if (count <= image->capacity)
        return;
    int64_t capacity = image->capacity ? image->capacity : 4;
    while (capacity < count)
        capacity *= 2;
    image->pages = mem_realloc(image->pages, sizeof *image->pages * (size_t)capacity);
    memset(image->pages + image->capacity, 0, sizeof *image->pages * (size_t)(capacity - image->capacity));
    image->capacity = capacity;
}

static struct page *image_page(const struct image *image, int64_t at) {
    return at < image->capacity ? image->pages[at] : NULL;
}

static void image_set_page(struct image *image, int64_t at, struct page *page) { /* takes a new reference */
    if (!page && at >= image->capacity)
        return;
    image_grow(image, at + 1);
    page_ref(page);
    page_unref(image->pages[at]);
    image->pages[at] = page;
}

static bool is_zero(const uint8_t *p, size_t size) {
    return !size || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

/* Writes inside one page. */
static void image_write(struct image *image, int64_t at, size_t from, const uint8_t *bytes, size_t size) {
    image_grow(image, at + 1);
    struct page *page = image->pages[at];
    if (!page && is_zero(bytes, size))
        return;
    if (!page || page->refs > 1) {
        struct page *copy = mem_alloc(sizeof *copy);
        copy->refs = 1;
        if (page)
            memcpy(copy->bytes, page->bytes, PAGE);
        else
            memset(copy->bytes, 0, PAGE);
        page_unref(page);
        image->pages[at] = page = copy;
    }
    memcpy(page->bytes + from, bytes, size);
}

static void image_cut(struct image *image, int64_t size) {
    static const uint8_t zeros[PAGE];
    for (int64_t at = pages_of(size); at < image->capacity; at++)
        image_set_page(image, at, NULL);
    if (size % PAGE && image_page(image, size / PAGE))
        image_write(image, size / PAGE, (size_t)(size % PAGE), zeros, (size_t)(PAGE - size % PAGE));
}

static void image_deinit(struct image *image) {
    for (int64_t at = 0; at < image->capacity; at++)
        page_unref(image->pages[at]);
    mem_free(image->pages);
}

/* ---- inodes --------------------------------------------------------------------------------------------------------- */

struct inode *inode_create(struct fs *fs, bool is_dir) {
    struct inode *inode = mem_new(struct inode);
    inode->refs = 1;
    inode->is_dir = is_dir;
    inode->mtime_ms = sim_wall_ms(fs->sim);
    return inode;
}

struct inode *inode_ref(struct inode *inode) {
    inode->refs++;
    return inode;
}

static void names_deinit(struct fs *fs, struct map *names) {
    map_each_safe(node, names) {
        struct name *name = container_of(node, struct name, node);
        map_remove(names, node);
        inode_unref(fs, name->inode);
        mem_free(name->text);
        mem_free(name);
    }
    map_deinit(names);
    *names = (struct map){0};
}

void inode_unref(struct fs *fs, struct inode *inode) {
    if (!inode || --inode->refs)
        return;
    fs->used -= inode->held;
    names_deinit(fs, &inode->names);
    names_deinit(fs, &inode->stable_names);
    image_deinit(&inode->seen);
    image_deinit(&inode->stable);
    mem_free(inode);
}

static void note_dirty(struct inode *inode, int64_t from, int64_t to) {
    if (inode->dirty_from == inode->dirty_to) {
        inode->dirty_from = from;
        inode->dirty_to = to;
    }
    if (from < inode->dirty_from)
        inode->dirty_from = from;
    if (to > inode->dirty_to)
        inode->dirty_to = to;
}

void inode_read(const struct inode *inode, void *ptr, size_t size, int64_t pos) {
    uint8_t *out = ptr;
    while (size) {
        size_t from = (size_t)(pos % PAGE), count = PAGE - from < size ? PAGE - from : size;
        const struct page *page = image_page(&inode->seen, pos / PAGE);
        if (page)
            memcpy(out, page->bytes + from, count);
        else
            memset(out, 0, count);
        out += count;
        pos += (int64_t)count;
        size -= count;
    }
}

enum err inode_reserve(struct fs *fs, struct inode *inode, int64_t to) {
    int64_t more = pages_of(to) * PAGE - inode->held;
    if (more <= 0)
        return ERR_OK;
    if (more > fs->capacity - fs->used)
        return ERR_NO_SPACE;
    fs->used += more;
    inode->held += more;
    return ERR_OK;
}

enum err inode_write(struct fs *fs, struct inode *inode, const void *ptr, size_t size, int64_t pos) {
    enum err err = inode_reserve(fs, inode, pos + (int64_t)size);
    if (err)
        return err;
    const uint8_t *in = ptr;
    note_dirty(inode, pos / PAGE, pages_of(pos + (int64_t)size));
    while (size) {
        size_t from = (size_t)(pos % PAGE), count = PAGE - from < size ? PAGE - from : size;
        image_write(&inode->seen, pos / PAGE, from, in, count);
        in += count;
        pos += (int64_t)count;
        size -= count;
    }
    if (pos > inode->seen.size)
        inode->seen.size = pos;
    inode->mtime_ms = sim_wall_ms(fs->sim);
    return ERR_OK;
}

void inode_truncate(struct fs *fs, struct inode *inode, int64_t size) {
    if (size < inode->seen.size) {
        note_dirty(inode, size / PAGE, pages_of(inode->seen.size));
        image_cut(&inode->seen, size);
        int64_t held = pages_of(size) * PAGE;
        if (held < inode->held) {
            fs->used -= inode->held - held;
            inode->held = held;
        }
    }
    inode->seen.size = size;
    inode->mtime_ms = sim_wall_ms(fs->sim);
}

static void flush_pages(struct inode *inode, int64_t from, int64_t to) {
    for (int64_t at = from; at < to; at++)
        if (image_page(&inode->stable, at) != image_page(&inode->seen, at))
            image_set_page(&inode->stable, at, image_page(&inode->seen, at));
}

void inode_flush(struct inode *inode) {
    flush_pages(inode, inode->dirty_from, inode->dirty_to);
    inode->dirty_from = inode->dirty_to = 0;
    inode->stable.size = inode->seen.size;
}

void inode_flush_range(struct inode *inode, int64_t pos, int64_t size) {
    int64_t from = pos / PAGE, to = pages_of(pos + size);
    flush_pages(inode, from, to);
    if (from <= inode->dirty_from && to >= inode->dirty_to)
        inode->dirty_from = inode->dirty_to = 0;
    inode->stable.size = inode->seen.size;
}

/* ---- names ---------------------------------------------------------------------------------------------------------- */

struct name_key {
    const char *text;
    size_t size;
};

static bool name_is(const struct map_node *node, const void *key) {
    const struct name *name = container_of(node, struct name, node);
    const struct name_key *k = key;
    return strlen(name->text) == k->size && memcmp(name->text, k->text, k->size) == 0;
}

static struct name *find_in(struct map *names, const char *text, size_t size) {
    struct name_key key = {text, size};
    struct map_node *node = map_find(names, hash_bytes(text, size), name_is, &key);
    return node ? container_of(node, struct name, node) : NULL;
}

struct name *name_find(struct inode *dir, const char *text, size_t size) {
    return find_in(&dir->names, text, size);
}

void name_set(struct fs *fs, struct map *names, const char *text, struct inode *inode) {
    struct name *name = find_in(names, text, strlen(text));
    if (inode)
        inode_ref(inode);
    if (name) {
        inode_unref(fs, name->inode);
        name->inode = inode;
        if (!inode) {
            map_remove(names, &name->node);
            mem_free(name->text);
            mem_free(name);
        }
    } else if (inode) {
        name = mem_new(struct name);
        name->text = mem_strdup(text);
        name->inode = inode;
        map_insert(names, &name->node, hash_bytes(text, strlen(text)));
    }
}

void pending_add(struct fs *fs, struct inode *dir, const char *name, struct inode *to_dir, const char *to, struct inode *inode) {
    struct pending *pending = mem_new(struct pending);
    pending->dir = inode_ref(dir);
    pending->to_dir = to_dir ? inode_ref(to_dir) : NULL;
    pending->name = mem_strdup(name);
    pending->to = to ? mem_strdup(to) : NULL;
    pending->inode = inode ? inode_ref(inode) : NULL;
    list_push_back(&fs->pending, &pending->node);
}

static void pending_end(struct fs *fs, struct pending *pending, bool arrived) {
    if (arrived && pending->to) {
        name_set(fs, &pending->dir->stable_names, pending->name, NULL);
        name_set(fs, &pending->to_dir->stable_names, pending->to, pending->inode);
    } else if (arrived) {
        name_set(fs, &pending->dir->stable_names, pending->name, pending->inode);
    }
    list_remove(&pending->node);
    inode_unref(fs, pending->dir);
    inode_unref(fs, pending->to_dir);
    inode_unref(fs, pending->inode);
    mem_free(pending->name);
    mem_free(pending->to);
    mem_free(pending);
}

static bool concerns(const struct pending *pending, const struct inode *dir) {
    return pending->dir == dir || pending->to_dir == dir;
}

void pending_flush(struct fs *fs, struct inode *dir) {
    list_each_safe(node, &fs->pending) {
        struct pending *pending = list_entry(node, struct pending, node);
        if (concerns(pending, dir))
            pending_end(fs, pending, true);
    }
}

void pending_flush_all(struct fs *fs) {
    list_each_safe(node, &fs->pending)
        pending_end(fs, list_entry(node, struct pending, node), true);
}

/* ---- losing power --------------------------------------------------------------------------------------------------- */

enum loss { LOSE_ALL, KEEP_ALL, KEEP_SOME, KEEP_FRONT, LOSSES };

static void lose_page(struct sim *sim, struct inode *inode, int64_t at, enum loss loss) {
    static const uint8_t zeros[PAGE];
    const struct page *seen = image_page(&inode->seen, at);
    for (size_t from = 0; from < PAGE; from += SECTOR)
        if (loss == KEEP_ALL || (loss == KEEP_SOME && sim_chance(sim, 2)))
            image_write(&inode->stable, at, from, seen ? seen->bytes + from : zeros, SECTOR);
}

static void lose_file(struct fs *fs, struct inode *inode) {
    struct sim *sim = fs->sim;
    enum loss loss = (enum loss)sim_below(sim, LOSSES);
    int64_t front = 0;
    if (loss == KEEP_FRONT)
        front = (int64_t)sim_between(sim, (uint64_t)inode->dirty_from, (uint64_t)inode->dirty_to);
    for (int64_t at = inode->dirty_from; at < inode->dirty_to; at++)
        if (image_page(&inode->seen, at) != image_page(&inode->stable, at))
            lose_page(sim, inode, at, loss != KEEP_FRONT ? loss : at < front ? KEEP_ALL : at == front ? KEEP_SOME : LOSE_ALL);
    if (loss == KEEP_ALL || (loss != LOSE_ALL && sim_chance(sim, 2)))
        inode->stable.size = inode->seen.size;
    image_cut(&inode->stable, inode->stable.size);
    int64_t count = inode->seen.capacity > inode->stable.capacity ? inode->seen.capacity : inode->stable.capacity;
    for (int64_t at = 0; at < count; at++)
        if (image_page(&inode->seen, at) != image_page(&inode->stable, at))
            image_set_page(&inode->seen, at, image_page(&inode->stable, at));
    inode->seen.size = inode->stable.size;
    inode->dirty_from = inode->dirty_to = 0;
    fs->used -= inode->held;
    inode->held = pages_of(inode->seen.size) * PAGE;
    fs->used += inode->held;
}

/* Walks what is reachable by stable names, in the order of the names so that runs repeat. */
static int by_text(const void *a, const void *b) {
    return strcmp((*(struct name *const *)a)->text, (*(struct name *const *)b)->text);
}

static void lose_dir(struct fs *fs, struct inode *dir) {
    int count = 0;
    struct name **sorted = mem_alloc(sizeof *sorted * (size_t)(dir->stable_names.count + 1));
    map_each(node, &dir->stable_names)
        sorted[count++] = container_of(node, struct name, node);
    if (count)
        qsort(sorted, (size_t)count, sizeof *sorted, by_text);
    for (int i = 0; i < count; i++)
        if (sorted[i]->inode->is_dir)
            lose_dir(fs, sorted[i]->inode);
        else
            lose_file(fs, sorted[i]->inode);
    struct map names = {0};
    for (int i = 0; i < count; i++)
        name_set(fs, &names, sorted[i]->text, sorted[i]->inode);
    names_deinit(fs, &dir->names);
    dir->names = names;
    mem_free(sorted);
}

/* Which of the unflushed changes of names arrived. */
static void settle_names(struct fs *fs) {
    enum { NONE, ALL, PREFIX, EACH_PREFIX, WAYS } way = (int)sim_below(fs->sim, WAYS);
    uint64_t count = 0;
    list_each(node, &fs->pending)
        count++;
    uint64_t keep = way == NONE ? 0 : way == ALL ? count : way == PREFIX ? sim_below(fs->sim, count + 1) : count;
    for (uint64_t at = 0; !list_is_empty(&fs->pending); at++) {
        struct pending *pending = list_entry(fs->pending.next, struct pending, node);
        bool arrived = at < keep;
        if (way == EACH_PREFIX && sim_chance(fs->sim, 4)) { /* neither this change nor later ones of its directory */
            struct inode *dir = pending->dir, *to_dir = pending->to_dir;
            list_each_safe(node, &fs->pending) {
                struct pending *later = list_entry(node, struct pending, node);
                if (later != pending && (concerns(later, dir) || (to_dir && concerns(later, to_dir))))
                    pending_end(fs, later, false);
            }
            arrived = false;
        }
        pending_end(fs, pending, arrived);
    }
}

void sim_disk_lose_power(struct fs *fs) {
    settle_names(fs);
    lose_dir(fs, fs->root);
}

/* ---- a disk --------------------------------------------------------------------------------------------------------- */

struct fs *sim_disk_create(struct sim *sim, int64_t capacity) {
    struct fs *fs = mem_new(struct fs);
    fs->sim = sim;
    list_init(&fs->pending);
    list_init(&fs->files);
    fs->root = inode_create(fs, true);
    fs->capacity = capacity;
    fs->direct = true;
    fs->slowness = 1;
    return fs;
}

void sim_disk_destroy(struct fs *fs) {
    if (!fs)
        return;
    while (!list_is_empty(&fs->pending))
        pending_end(fs, list_entry(fs->pending.next, struct pending, node), false);
    inode_unref(fs, fs->root);
    mem_free(fs);
}

static void forget_locks(struct inode *dir) {
    map_each(node, &dir->names) {
        struct inode *inode = container_of(node, struct name, node)->inode;
        inode->locked = false;
        if (inode->is_dir)
            forget_locks(inode);
    }
}

void disk_forget_process(struct fs *fs) {
    forget_locks(fs->root);
    while (!list_is_empty(&fs->files))
        file_close(list_entry(fs->files.next, struct file, node));
    fs->dead = false;
    fs->die_at = 0;
}

int64_t sim_disk_used(const struct fs *fs) {
    return fs->used;
}
void sim_disk_set_capacity(struct fs *fs, int64_t capacity) {
    fs->capacity = capacity;
}
void sim_disk_set_direct(struct fs *fs, bool direct) {
    fs->direct = direct;
}
void sim_disk_set_slowness(struct fs *fs, uint32_t factor) {
    fs->slowness = factor;
}
void sim_disk_set_cold(struct fs *fs, uint32_t one_in) {
    fs->cold = one_in;
}
void sim_disk_die_after(struct fs *fs, uint64_t operations) {
    fs->die_at = operations ? fs->operations + operations : 0;
}
bool sim_disk_is_dead(const struct fs *fs) {
    return fs->dead;
}
void sim_disk_fail_after(struct fs *fs, uint64_t operations, enum err err) {
    fs->fail_at = operations ? fs->operations + operations : 0;
    fs->fail_err = err;
    fs->failure_met = false;
}
bool sim_disk_failure_was_met(const struct fs *fs) {
    return fs->failure_met;
}
enum err disk_begin(struct fs *fs, uint64_t cost_ns, bool *ret_torn) {
    check(fs->sim->may_block, "a blocking file call on a loop");
    *ret_torn = false;
    fs->cost_ns += cost_ns;
    if (fs->dead)
        return ERR_IO;
    fs->operations++;
    if (fs->die_at && fs->operations >= fs->die_at) {
        fs->dead = true;
        *ret_torn = sim_chance(fs->sim, 2);
        return ERR_IO;
    }
    if (fs->fail_at && fs->operations == fs->fail_at) {
        fs->failure_met = true;
        return fs->fail_err;
    }
    return ERR_OK;
}

uint64_t disk_cost(struct fs *fs, size_t size, bool flush) {
    struct sim *sim = fs->sim;
    uint64_t ns = sim_between(sim, 5000, 60000) + size / 2 + (flush ? sim_between(sim, 20000, 400000) : 0);
    if (sim_chance(sim, 100)) /* a hiccup */
        ns += sim_between(sim, 1, 20) * NS_PER_MS;
    return ns * fs->slowness;
}

enum err sim_disk_flip_bit(struct fs *fs, const char *path, int64_t pos, int bit) {
    struct file *file;
    enum err err = fs_open(fs, path, FILE_READ, &file);
    if (err)
        return err;
    uint8_t byte;
    struct inode *inode = file->inode;
    if (pos >= inode->seen.size) {
        file_unref(file);
        return ERR_INVALID;
    }
    inode_read(inode, &byte, 1, pos);
    byte ^= (uint8_t)(1 << bit);
    image_write(&inode->seen, pos / PAGE, (size_t)(pos % PAGE), &byte, 1);
    image_write(&inode->stable, pos / PAGE, (size_t)(pos % PAGE), &byte, 1);
    file_unref(file);
    return ERR_OK;
}
