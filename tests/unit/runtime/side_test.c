/* A thread beside the shards: messages go both ways, each once and in order, and a file descriptor wakes it too. */
#include "runtime/side.h"

#include <unistd.h>
#include "tests/unit/test.h"

enum { BALLS = 2000 };

struct ball { /* side -> shard -> side, until it has been there BALLS times */
    struct message message;
    int hits;
};
struct game {
    struct runtime *runtime;
    struct side *side;
    struct ball balls[4];
    int back, out_of_order, last[4];
    int pipe[2];
    bool piped;
};
static struct game game;

static void at_side(struct shard *none, struct message *message);

static void at_shard(struct shard *shard, struct message *message) {
    (void)shard;
    message->deliver = at_side;
    side_post(game.side, message);
}

static void at_side(struct shard *none, struct message *message) {
    struct ball *ball = (struct ball *)message;
    int i = (int)(ball - game.balls);
    game.out_of_order += none != NULL || ball->hits != game.last[i] + 1;
    game.last[i] = ball->hits++;
    if (ball->hits <= BALLS) {
        message->deliver = at_shard;
        shard_post(runtime_shard(game.runtime, ball->hits % 2), message);
    } else if (++game.back == 4) {
        ssize_t n = write(game.pipe[1], "x", 1);
        game.out_of_order += n != 1;
    }
}

static void run(struct side *side, void *arg) {
    (void)arg;
    while (!side_is_stopping(side)) {
        side_wait(side, game.pipe[0], -1);
        char byte;
        if (game.back == 4 && !game.piped && read(game.pipe[0], &byte, 1) == 1) {
            game.piped = true;
            runtime_stop(game.runtime);
        }
    }
}

static void start(struct shard *shard, void *arg) {
    (void)arg;
    if (shard_index(shard) != 0)
        return;
    for (int i = 0; i < 4; i++) {
        game.balls[i].hits = 1;
        at_shard(shard, &game.balls[i].message);
    }
}

TEST(messages_go_both_ways_once_and_in_order) {
    EXPECT(pipe(game.pipe) == 0);
    struct runtime_options options = {.shard_count = 2};
    EXPECT_INT(runtime_create(&options, &game.runtime), ERR_OK);
    game.side = side_start(run, NULL);
    runtime_run(game.runtime, start, NULL, NULL);
    side_stop(game.side);
    runtime_destroy(game.runtime);
    close(game.pipe[0]);
    close(game.pipe[1]);
    EXPECT(game.piped);
    EXPECT_INT(game.out_of_order, 0);
    for (int i = 0; i < 4; i++)
        EXPECT_INT(game.last[i], BALLS);
}

TEST_MAIN
