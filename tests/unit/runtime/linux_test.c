/* The linux runtime: every test runs on both backends. A test starts a runtime, does its work in callbacks and
 * ends by runtime_stop(); a test that hangs is ended by the driver's time limit. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "runtime/runtime.h"

static struct runtime *runtime;

static void run_on(enum runtime_backend backend, int shards, void (*start)(struct shard *shard, void *arg), void *arg) {
    struct runtime_options options = {.shard_count = shards, .backend = backend, .blocking_threads = 3};
    check(runtime_create(&options, &runtime) == ERR_OK);
    runtime_run(runtime, start, NULL, arg);
    runtime_destroy(runtime);
}
static void on_both(int shards, void (*start)(struct shard *shard, void *arg), void *arg, void (*reset)(void)) {
    reset();
    run_on(RUNTIME_IO_URING, shards, start, arg);
    reset();
    run_on(RUNTIME_EPOLL, shards, start, arg);
}

/* --- messages: two shards post 20,000 numbered messages to each other; order is kept --- */

struct numbered {
    struct message message;
    int from, number;
};
static int next_from[2][2]; /* receiver, sender */
static atomic_int messages_in;
enum { MESSAGES = 20000 };

static void reset_messages(void) {
    memset(next_from, 0, sizeof next_from);
    messages_in = 0;
}
static void numbered_in(struct shard *shard, struct message *message) {
    struct numbered *numbered = container_of(message, struct numbered, message);
    check(numbered->number == next_from[shard_index(shard)][numbered->from]++);
    mem_free(numbered);
    if (atomic_fetch_add(&messages_in, 1) + 1 == 4 * MESSAGES)
        runtime_stop(runtime);
}
static void start_messages(struct shard *shard, void *arg) {
    (void)arg;
    for (int i = 0; i < MESSAGES; i++)
        for (int to = 0; to < 2; to++) {
            struct numbered *numbered = mem_new(struct numbered);
            *numbered = (struct numbered){{.deliver = numbered_in}, shard_index(shard), i};
            shard_post(runtime_shard(shard_runtime(shard), to), &numbered->message);
        }
}
TEST(messages_between_shards_keep_the_order_of_each_sender) {
    on_both(2, start_messages, NULL, reset_messages);
    EXPECT_INT(messages_in, 4 * MESSAGES);
}

/* --- ping-pong: a sleeping shard is always woken --- */

static int pings;
static void reset_pings(void) {
    pings = 0;
}
static void ping(struct shard *shard, struct message *message) {
    if (++pings == 5000)
        runtime_stop(runtime);
    else
        shard_post(runtime_shard(runtime, 1 - shard_index(shard)), message);
}
static struct message ball = {.deliver = ping};
static void start_pings(struct shard *shard, void *arg) {
    (void)arg;
    if (shard_index(shard) == 0)
        shard_post(runtime_shard(runtime, 1), &ball);
}
TEST(a_sleeping_shard_is_woken_by_each_message) {
    on_both(2, start_pings, NULL, reset_pings);
    EXPECT_INT(pings, 5000);
}

/* --- timers and turn hooks --- */

static int fired[3], fired_count, hook_runs;
static uint64_t timers_started_ns;
static struct timer timers[4];
static struct turn_hook hook;
static void reset_timers(void) {
    fired_count = hook_runs = 0;
    memset(timers, 0, sizeof timers);
    memset(&hook, 0, sizeof hook);
}
static void hook_ran(struct turn_hook *h) {
    (void)h;
    hook_runs++;
}
static void timer_fired(struct shard *shard, struct timer *timer) {
    check(shard_fresh_ns(shard) - timers_started_ns >= (uint64_t)(timer - timers) * 10 * NS_PER_MS);
    fired[fired_count++] = (int)(timer - timers);
    hook.run = hook_ran;
    shard_at_turn_end(shard, &hook);
    shard_at_turn_end(shard, &hook);
    if (fired_count == 3) {
        check(!timer_is_running(&timers[3]));
        runtime_stop(runtime);
    }
}
static void start_timers(struct shard *shard, void *arg) {
    (void)arg;
    timers_started_ns = shard_now_ns(shard);
    for (int i = 3; i >= 0; i--) {
        timers[i].fire = timer_fired;
        timer_start(shard, &timers[i], (uint64_t)i * 10 * NS_PER_MS);
    }
    timer_stop(shard, &timers[3]);
}
TEST(timers_fire_in_order_and_stopped_ones_do_not) {
    on_both(1, start_timers, NULL, reset_timers);
    EXPECT_INT(fired_count, 3);
    EXPECT(fired[0] == 0 && fired[1] == 1 && fired[2] == 2);
    EXPECT(hook_runs >= 1 && hook_runs <= 3);
}

/* --- blocking work --- */

struct lane_work {
    struct work work;
    int number;
};
static int lane_next[2], works_done;
static struct lane_work works[200];
static void reset_works(void) {
    memset(lane_next, 0, sizeof lane_next);
    works_done = 0;
}
static void work_run(struct work *work) {
    struct lane_work *w = container_of(work, struct lane_work, work);
    check(lane_next[w->number % 2]++ == w->number / 2); /* not atomic: a lane runs on one thread at a time */
}
static void work_done(struct shard *shard, struct work *work) {
    (void)shard;
    (void)work;
    if (++works_done == COUNT_OF(works))
        runtime_stop(runtime);
}
static void start_works(struct shard *shard, void *arg) {
    (void)arg;
    for (int i = 0; i < COUNT_OF(works); i++) {
        works[i] = (struct lane_work){{.lane = &lane_next[i % 2], .run = work_run, .done = work_done}, i};
        shard_offload(shard, &works[i].work);
    }
}
TEST(works_of_one_lane_run_one_after_the_other) {
    on_both(1, start_works, NULL, reset_works);
    EXPECT_INT(works_done, COUNT_OF(works));
}

/* --- files --- */

static char dir[32] = "/tmp/myelin-runtime-XXXXXX";
static struct file *io_file;
static struct file_io io;
static uint8_t *block;
static int io_step;
static void reset_io(void) {
    io_step = 0;
}
static void io_done(struct shard *shard, struct file_io *done) {
    check(done->err == ERR_OK, "%s", err_text(done->err));
    switch (io_step++) {
    case 0:
        check(done->count == 8192);
        io = (struct file_io){.op = FILE_IO_SYNC, .file = io_file, .done = io_done};
        break;
    case 1:
        memset(block, 0, 8192);
        io = (struct file_io){.op = FILE_IO_READ, .file = io_file, .ptr = block, .size = 16384, .done = io_done};
        break;
    case 2:
        check(done->count == 8192, "%zu", done->count); /* short: the end of the file */
        for (int i = 0; i < 8192; i++)
            check(block[i] == (uint8_t)(i * 7));
        runtime_stop(runtime);
        return;
    }
    file_io_start(shard, &io);
}
static void start_io(struct shard *shard, void *arg) {
    (void)arg;
    for (int i = 0; i < 8192; i++)
        block[i] = (uint8_t)(i * 7);
    io = (struct file_io){.op = FILE_IO_WRITE, .file = io_file, .ptr = block, .size = 8192, .dsync = true, .done = io_done};
    file_io_start(shard, &io);
}
TEST(direct_writes_are_read_back) {
    char path[64];
    snprintf(path, sizeof path, "%s/direct", dir);
    block = mem_alloc_aligned(FILE_DIRECT_ALIGN, 16384);
    struct runtime *r;
    EXPECT_INT(runtime_create(&(struct runtime_options){.shard_count = 1}, &r), ERR_OK);
    EXPECT_INT(fs_open(runtime_fs(r), path, FILE_READ | FILE_WRITE | FILE_CREATE | FILE_DIRECT, &io_file), ERR_OK);
    on_both(1, start_io, NULL, reset_io);
    EXPECT_INT(io_step, 3);
    file_unref(io_file);
    mem_free(block);
    runtime_destroy(r);
}

TEST(whole_files_are_written_and_read_and_trees_removed) {
    struct runtime *r;
    EXPECT_INT(runtime_create(&(struct runtime_options){.shard_count = 1}, &r), ERR_OK);
    struct fs *fs = runtime_fs(r);
    char path[64], sub[64];
    snprintf(sub, sizeof sub, "%s/sub", dir);
    snprintf(path, sizeof path, "%s/sub/file", dir);
    EXPECT_INT(fs_mkdir(fs, sub), ERR_OK);
    EXPECT_INT(fs_mkdir(fs, sub), ERR_EXISTS);
    EXPECT_INT(fs_write_whole(fs, path, SLICE_LIT("hello")), ERR_OK);
    uint8_t *bytes;
    size_t size;
    EXPECT_INT(fs_read_whole(fs, path, 4, &bytes, &size), ERR_TOO_LARGE);
    EXPECT_INT(fs_read_whole(fs, path, 100, &bytes, &size), ERR_OK);
    EXPECT_STR((const char *)bytes, "hello");
    mem_free(bytes);
    struct fs_entry *entries;
    int count;
    EXPECT_INT(fs_list(fs, sub, &entries, &count), ERR_OK);
    EXPECT_INT(count, 1); /* no .tmp is left */
    EXPECT_STR(entries[0].name, "file");
    fs_list_free(entries, count);
    struct file *file;
    EXPECT_INT(fs_open(fs, path, FILE_READ, &file), ERR_OK);
    enum err err = file_sync_all(file); /* not every file system would tell of errors */
    EXPECT(err == ERR_OK || err == ERR_UNSUPPORTED);
    file_unref(file);
    EXPECT_INT(fs_remove_tree(fs, sub), ERR_OK);
    struct fs_stat st;
    EXPECT_INT(fs_stat(fs, sub, &st), ERR_NOT_FOUND);
    runtime_destroy(r);
}

/* --- sockets: clients on shard 0 send 3 MiB and half-close; servers echo; all in one process --- */

enum { CLIENTS = 40, ECHO_BYTES = 3 << 20, CHUNK = 100000 };
struct peer {
    uint8_t *out, *in;
    struct piece pieces[3];
    size_t in_size;
    uint8_t chunk[CHUNK];
    struct piece chunk_piece;
    int shard, sends; /* of a server */
};
static struct listener *listener;
static atomic_int accepted_on[2], clients_done, peers_closed, moves;
static struct file *piece_file;

static void reset_echo(void) {
    accepted_on[0] = accepted_on[1] = clients_done = peers_closed = moves = 0;
}
static void peer_closed(struct shard *shard, void *user) {
    struct peer *peer = user;
    mem_free(peer->out);
    mem_free(peer->in);
    mem_free(peer);
    if (atomic_fetch_add(&peers_closed, 1) + 1 == 2 * CLIENTS)
        runtime_stop(shard_runtime(shard));
}
static void server_received(struct sock *sock, enum err err, size_t count);
static void server_moved(struct sock *sock) {
    struct peer *peer = sock_user(sock);
    atomic_fetch_add(&moves, 1);
    sock_recv(sock, peer->chunk, CHUNK, server_received);
}
static void server_sent(struct sock *sock, enum err err) {
    struct peer *peer = sock_user(sock);
    if (err)
        return;
    if (++peer->sends % 3 == 0) { /* to the other shard, and back, and so on */
        peer->shard = (peer->shard + 1) % 2;
        sock_move(sock, runtime_shard(runtime, peer->shard), server_moved);
        return;
    }
    sock_recv(sock, peer->chunk, CHUNK, server_received);
}
static void server_received(struct sock *sock, enum err err, size_t count) {
    struct peer *peer = sock_user(sock);
    if (err == ERR_CANCELED)
        return;
    if (err || count == 0) {
        sock_close(sock, peer_closed);
        return;
    }
    peer->chunk_piece = (struct piece){.ptr = peer->chunk, .size = count};
    sock_send(sock, &peer->chunk_piece, 1, server_sent);
}
static void accepted(struct shard *shard, struct sock *sock, void *arg) {
    (void)arg;
    atomic_fetch_add(&accepted_on[shard_index(shard)], 1);
    struct sock_address address;
    sock_peer(sock, &address);
    check(strcmp(address.text, "127.0.0.1") == 0);
    struct peer *peer = mem_new(struct peer);
    peer->shard = shard_index(shard);
    sock_set_user(sock, peer);
    sock_recv(sock, peer->chunk, CHUNK, server_received);
}
static void client_received(struct sock *sock, enum err err, size_t count) {
    struct peer *peer = sock_user(sock);
    check(!err && count > 0);
    peer->in_size += count;
    if (peer->in_size < ECHO_BYTES) {
        sock_recv(sock, peer->in + peer->in_size, ECHO_BYTES - peer->in_size, client_received);
        return;
    }
    check(memcmp(peer->in, peer->out, ECHO_BYTES) == 0);
    sock_close(sock, peer_closed);
    if (atomic_fetch_add(&clients_done, 1) + 1 == CLIENTS)
        listener_close(listener);
}
static void client_sent(struct sock *sock, enum err err) {
    check(!err && sock_send_left(sock) == 0);
}
static void connected(struct shard *shard, struct sock *sock, enum err err, void *arg) {
    (void)shard;
    (void)arg;
    check(!err, "%s", err_text(err));
    struct peer *peer = mem_new(struct peer);
    peer->out = mem_alloc(ECHO_BYTES);
    peer->in = mem_alloc(ECHO_BYTES);
    for (size_t i = 0; i < ECHO_BYTES; i++)
        peer->out[i] = (uint8_t)(i >> 3);
    /* the middle MiB comes from a file */
    peer->pieces[0] = (struct piece){.ptr = peer->out, .size = 1 << 20};
    peer->pieces[1] = (struct piece){.file = piece_file, .pos = 1 << 20, .size = 1 << 20};
    peer->pieces[2] = (struct piece){.ptr = peer->out + (2 << 20), .size = 1 << 20};
    sock_set_user(sock, peer);
    sock_send(sock, peer->pieces, 3, client_sent);
    sock_recv(sock, peer->in, ECHO_BYTES, client_received);
}
static void start_echo(struct shard *shard, void *arg) {
    (void)arg;
    if (shard_index(shard) != 0)
        return;
    check(listener_open(shard_runtime(shard), &(struct listen_options){.host = "127.0.0.1", .backlog = 100}, accepted, NULL, &listener) == ERR_OK);
    listener_accept(listener);
    for (int i = 0; i < CLIENTS; i++)
        sock_connect(shard, "127.0.0.1", listener_port(listener), NULL, connected);
}
static void expect_echoed(void) {
    EXPECT(clients_done == CLIENTS);
    EXPECT_INT(accepted_on[0], CLIENTS / 2); /* spread in turn */
    EXPECT(moves >= CLIENTS * (ECHO_BYTES / CHUNK / 3)); /* on the way from shard to shard nothing is lost */
}
TEST(sockets_echo_memory_and_file_pieces_with_back_pressure_and_move) {
    char path[64];
    snprintf(path, sizeof path, "%s/pieces", dir);
    struct runtime *r;
    EXPECT_INT(runtime_create(&(struct runtime_options){.shard_count = 1}, &r), ERR_OK);
    uint8_t *bytes = mem_alloc(ECHO_BYTES);
    for (size_t i = 0; i < ECHO_BYTES; i++)
        bytes[i] = (uint8_t)(i >> 3);
    EXPECT_INT(fs_write_whole(runtime_fs(r), path, slice_of(bytes, ECHO_BYTES)), ERR_OK);
    mem_free(bytes);
    EXPECT_INT(fs_open(runtime_fs(r), path, FILE_READ, &piece_file), ERR_OK);
    for (int backend = RUNTIME_IO_URING; backend <= RUNTIME_EPOLL; backend++) {
        reset_echo();
        run_on((enum runtime_backend)backend, 2, start_echo, NULL);
        expect_echoed();
    }
    file_unref(piece_file);
    runtime_destroy(r);
}

/* --- closing with a receive and a send in flight --- */

static uint8_t close_in[16];
static uint8_t *close_out;
static struct piece close_piece;
static int close_events;
static bool close_recv_told, close_send_told;
static void reset_close(void) {
    close_events = 0;
    close_recv_told = close_send_told = false;
}
static void silent_accepted(struct shard *shard, struct sock *sock, void *arg) {
    (void)shard;
    (void)sock;
    (void)arg; /* never reads: the client's send cannot finish */
}
static void close_received(struct sock *sock, enum err err, size_t count) {
    (void)sock;
    check(err == ERR_CANCELED && count == 0);
    close_recv_told = true;
}
static void close_sent(struct sock *sock, enum err err) {
    (void)sock;
    check(err == ERR_CANCELED);
    close_send_told = true;
}
static void close_closed(struct shard *shard, void *user) {
    (void)shard;
    check(user == &close_piece && close_recv_told && close_send_told);
    close_events++;
    listener_close(listener);
    runtime_stop(runtime);
}
static void close_connected(struct shard *shard, struct sock *sock, enum err err, void *arg) {
    (void)shard;
    (void)arg;
    check(!err);
    sock_set_user(sock, &close_piece);
    close_piece = (struct piece){.ptr = close_out, .size = 64 << 20};
    sock_recv(sock, close_in, sizeof close_in, close_received);
    sock_send(sock, &close_piece, 1, close_sent);
    check(sock_send_left(sock) > 0);
    sock_close(sock, close_closed);
    check(!close_recv_told && !close_send_told);
}
static void start_close(struct shard *shard, void *arg) {
    (void)arg;
    check(listener_open(shard_runtime(shard), &(struct listen_options){.host = "127.0.0.1"}, silent_accepted, NULL, &listener) == ERR_OK);
    listener_accept(listener);
    sock_connect(shard, "127.0.0.1", listener_port(listener), NULL, close_connected);
}
TEST(closing_tells_what_was_in_flight_and_then_that_it_is_closed) {
    close_out = mem_zalloc(64 << 20);
    on_both(1, start_close, NULL, reset_close);
    EXPECT_INT(close_events, 1);
    mem_free(close_out);
}

static void refused(struct shard *shard, struct sock *sock, enum err err, void *arg) {
    (void)shard;
    (void)arg;
    check(!sock && err == ERR_CLOSED);
    close_events++;
    runtime_stop(runtime);
}
static void start_refused(struct shard *shard, void *arg) {
    (void)arg;
    check(listener_open(shard_runtime(shard), &(struct listen_options){.host = "127.0.0.1"}, silent_accepted, NULL, &listener) == ERR_OK);
    uint16_t port = listener_port(listener);
    listener_close(listener);
    sock_connect(shard, "127.0.0.1", port, NULL, refused);
}
TEST(a_refused_connection_is_told_as_closed) {
    on_both(1, start_refused, NULL, reset_close);
    EXPECT_INT(close_events, 1);
}

/* --- locks: what a ring has in flight outlives the process that was killed, so the ring holds the lock's guard --- */

static struct file *guarded_lock;
static int guard_left;
static void start_guarded(struct shard *shard, void *arg) {
    int *other = arg;
    if (shard_index(shard) == 0) {
        file_unref(guarded_lock); /* all that the process itself has of it */
        guard_left = flock(*other, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
        flock(*other, LOCK_UN);
        runtime_stop(shard_runtime(shard));
    }
}
static void guard_on(enum runtime_backend backend) {
    char path[64];
    struct runtime *next;
    snprintf(path, sizeof path, "%s/.lock", dir);
    int other = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(other >= 0);
    check(runtime_create(&(struct runtime_options){.shard_count = 2, .backend = backend}, &runtime) == ERR_OK);
    check(fs_lock(runtime_fs(runtime), path, &guarded_lock) == ERR_OK);
    check(flock(other, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
    runtime_run(runtime, start_guarded, NULL, &other);
    runtime_destroy(runtime);
    check(runtime_create(&(struct runtime_options){.shard_count = 1}, &next) == ERR_OK);
    check(fs_lock(runtime_fs(next), path, &guarded_lock) == ERR_OK); /* waits until the rings are gone */
    file_unref(guarded_lock);
    runtime_destroy(next);
    close(other);
}
TEST(a_lock_is_held_until_the_rings_are_gone) {
    guard_on(RUNTIME_IO_URING);
    EXPECT(guard_left);
    guard_on(RUNTIME_EPOLL);
    EXPECT(!guard_left); /* a process does not end before its threads' calls have */
}

/* The killed one has direct, flushed writes in flight: when the next one has the lock, the file changes no more. */
enum { LATE_WRITES = 16, LATE_BYTES = 1 << 20 };
static struct file_io late[LATE_WRITES];
static void late_done(struct shard *shard, struct file_io *done_io) {
    (void)shard;
    check(done_io->err == ERR_OK);
}
static void start_late(struct shard *shard, void *arg) {
    int *began = arg;
    struct file *file;
    char path[64];
    snprintf(path, sizeof path, "%s/late", dir);
    check(fs_open(runtime_fs(shard_runtime(shard)), path, FILE_READ | FILE_WRITE | FILE_CREATE | FILE_DIRECT, &file) == ERR_OK);
    uint8_t *memory = mem_alloc_aligned(FILE_DIRECT_ALIGN, LATE_BYTES);
    memset(memory, 7, LATE_BYTES);
    for (int i = 0; i < LATE_WRITES; i++) {
        late[i] = (struct file_io){.op = FILE_IO_WRITE, .file = file, .ptr = memory, .size = LATE_BYTES, .pos = (int64_t)i * LATE_BYTES,
                                   .dsync = true, .done = late_done};
        file_io_start(shard, &late[i]);
    }
    check(write(*began, "x", 1) == 1); /* told before the loop's next turn hands them over, or a moment later */
}
/* This program once more, with the directory, the backend and where to tell: threads after a fork alone are not for every
 * sanitizer. */
static void run_until_killed(const char *what) {
    struct runtime *r;
    struct file *lock;
    int backend, began;
    char path[64];
    check(sscanf(what, "%d %d %31s", &backend, &began, dir) == 3);
    snprintf(path, sizeof path, "%s/.lock", dir);
    check(runtime_create(&(struct runtime_options){.shard_count = 1, .backend = (enum runtime_backend)backend}, &r) == ERR_OK);
    check(fs_lock(runtime_fs(r), path, &lock) == ERR_OK);
    runtime_run(r, start_late, NULL, &began);
    _exit(1);
}
static uint32_t sum_of(struct fs *fs) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    char path[64];
    snprintf(path, sizeof path, "%s/late", dir);
    check(fs_read_whole(fs, path, 1 << 30, &bytes, &size) == ERR_OK);
    uint32_t sum = crc32c(0, bytes, size);
    mem_free(bytes);
    return sum;
}
static void kill_on(enum runtime_backend backend) {
    int began[2];
    char byte, path[64];
    snprintf(path, sizeof path, "%s/.lock", dir);
    check(pipe(began) == 0);
    char what[64];
    snprintf(what, sizeof what, "%d %d %s", (int)backend, began[1], dir);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        setenv("RUN_UNTIL_KILLED", what, 1);
        execl("/proc/self/exe", "linux_test", (char *)NULL);
        _exit(1);
    }
    close(began[1]);
    check(read(began[0], &byte, 1) == 1);
    struct runtime *r;
    struct file *lock;
    check(runtime_create(&(struct runtime_options){.shard_count = 1}, &r) == ERR_OK);
    EXPECT_INT(fs_lock(runtime_fs(r), path, &lock), ERR_BUSY); /* at once: it lives */
    check(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    EXPECT_INT(fs_lock(runtime_fs(r), path, &lock), ERR_OK);
    uint32_t sum = sum_of(runtime_fs(r));
    for (int i = 0; i < 3; i++)
        EXPECT_INT(sum_of(runtime_fs(r)), sum);
    file_unref(lock);
    runtime_destroy(r);
    close(began[0]);
}
TEST(who_locks_after_a_kill_finds_files_that_change_no_more) {
    for (int i = 0; i < 5; i++) {
        kill_on(RUNTIME_IO_URING);
        kill_on(RUNTIME_EPOLL);
    }
}

TEST(locks_of_several_directories_are_held_and_dropped_one_by_one) {
    enum { DIRS = 3 };
    char paths[DIRS][96], lock[DIRS][112];
    struct file *files[DIRS];
    int others[DIRS];
    check(runtime_create(&(struct runtime_options){.shard_count = 1}, &runtime) == ERR_OK);
    for (int i = 0; i < DIRS; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/lock-%d", dir, i);
        snprintf(lock[i], sizeof lock[i], "%s/.lock", paths[i]);
        check(fs_mkdir(runtime_fs(runtime), paths[i]) == ERR_OK);
        check(fs_lock(runtime_fs(runtime), lock[i], &files[i]) == ERR_OK);
        others[i] = open(paths[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        check(others[i] >= 0);
    }
    for (int dropped = 0; dropped < DIRS; dropped++) {
        static const int order[DIRS] = {1, 0, 2};
        file_unref(files[order[dropped]]);
        for (int i = 0; i < DIRS; i++) {
            bool held = flock(others[i], LOCK_EX | LOCK_NB) < 0;
            bool wanted = true;
            for (int k = 0; k <= dropped; k++)
                wanted = wanted && order[k] != i;
            EXPECT(held == wanted);
            flock(others[i], LOCK_UN);
        }
    }
    for (int i = 0; i < DIRS; i++)
        close(others[i]);
    runtime_destroy(runtime);
}

__attribute__((constructor)) static void make_dir(void) {
    const char *child = getenv("RUN_UNTIL_KILLED");
    if (child)
        run_until_killed(child);
    check(mkdtemp(dir));
}
__attribute__((destructor)) static void remove_dir(void) {
    struct runtime *r;
    if (runtime_create(&(struct runtime_options){.shard_count = 1}, &r) == ERR_OK) {
        enum err err = fs_remove_tree(runtime_fs(r), dir);
        check(!err || err == ERR_NOT_FOUND);
        runtime_destroy(r);
    }
}

TEST_MAIN
