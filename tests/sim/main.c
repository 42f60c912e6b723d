/* myelin-sim: the real broker in a simulated world, one seed a process.
 *
 *     myelin-sim --seed N [-v]                 one seed; -v prints what happens
 *     myelin-sim --seeds N [--first N]         many, two at a time
 *     myelin-sim --twice                       with either: each seed runs twice and must give the same hash */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/sim/sim_test.h"

enum { AT_ONCE = 2 };

/* What a killed node had allocated is lost on purpose. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}

struct result { /* child -> parent */
    uint64_t hash, events, acknowledged, shown;
    int lives;
};

static struct result run_seed(uint64_t seed, bool verbose) {
    struct world *world = world_create(seed, verbose);
    world_run(world);
    return (struct result){sim_hash(world->sim), sim_event_count(world->sim), world->acknowledged, world->shown, world->lives};
}

struct child {
    pid_t pid;
    int fd;
    uint64_t seed;
    int turn; /* of --twice */
    uint64_t first_hash;
};

static struct child start_child(uint64_t seed, bool verbose) {
    int fds[2];
    check(pipe(fds) == 0, "no pipe: errno %d", errno);
    fflush(stdout);
    pid_t pid = fork();
    check(pid >= 0, "no process: errno %d", errno);
    if (pid == 0) {
        close(fds[0]);
        struct result result = run_seed(seed, verbose);
        fflush(stdout);
        ssize_t n = write(fds[1], &result, sizeof result);
        _Exit(n == sizeof result ? 0 : 1);
    }
    close(fds[1]);
    return (struct child){.pid = pid, .fd = fds[0], .seed = seed};
}

static void print_commit(void) {
    char text[64] = "unknown";
    FILE *git = popen("git rev-parse --short HEAD 2>/dev/null", "r");
    if (git && fgets(text, sizeof text, git))
        text[strcspn(text, "\n")] = 0;
    if (git)
        pclose(git);
    printf("  commit %s\n", text);
}

/* True: it kept all promises. */
static bool end_child(struct child *child, const char *program, struct result *ret_result) {
    ssize_t n = read(child->fd, ret_result, sizeof *ret_result);
    int status;
    close(child->fd);
    check(waitpid(child->pid, &status, 0) == child->pid);
    if (n == sizeof *ret_result && status == 0)
        return true;
    if (WIFSIGNALED(status))
        printf("FAIL seed %llu: killed by signal %d\n", (unsigned long long)child->seed, WTERMSIG(status));
    else if (WEXITSTATUS(status) != EXIT_FAILURE)
        printf("FAIL seed %llu: exit status %d\n", (unsigned long long)child->seed, WEXITSTATUS(status));
    print_commit();
    printf("  repeat: %s --seed %llu -v\n", program, (unsigned long long)child->seed);
    return false;
}

struct run {
    const char *program;
    uint64_t first, count;
    bool verbose, twice, quiet;
    uint64_t failed, events, acknowledged, shown, lives;
};

static void add_result(struct run *run, const struct child *child, const struct result *result) {
    run->events += result->events;
    run->acknowledged += result->acknowledged;
    run->shown += result->shown;
    run->lives += (uint64_t)result->lives;
    if (!run->quiet)
        printf("seed %llu hash %016llx: %llu events, %d lives, %llu records acknowledged, %llu shown\n", (unsigned long long)child->seed,
               (unsigned long long)result->hash, (unsigned long long)result->events, result->lives,
               (unsigned long long)result->acknowledged, (unsigned long long)result->shown);
}

/* A child has ended: count it, and perhaps run its seed again. True: the slot is free. */
static bool take(struct run *run, struct child *child) {
    struct result result;
    if (!end_child(child, run->program, &result)) {
        run->failed++;
        return true;
    }
    if (run->twice && !child->turn) {
        struct child again = start_child(child->seed, false);
        again.turn = 1;
        again.first_hash = result.hash;
        *child = again;
        return false;
    }
    if (child->turn && child->first_hash != result.hash) {
        printf("FAIL seed %llu: two runs give two hashes, %016llx and %016llx\n", (unsigned long long)child->seed,
               (unsigned long long)child->first_hash, (unsigned long long)result.hash);
        run->failed++;
        return true;
    }
    add_result(run, child, &result);
    return true;
}

static void run_all(struct run *run) {
    struct child children[AT_ONCE] = {0};
    uint64_t next = run->first, end = run->first + run->count;
    int running = 0, slots = run->count == 1 ? 1 : AT_ONCE;
    while (next < end || running) {
        for (int i = 0; i < slots && next < end; i++)
            if (!children[i].pid) {
                children[i] = start_child(next++, run->verbose);
                running++;
            }
        siginfo_t info = {0};
        check(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0, "wait: errno %d", errno);
        for (int i = 0; i < slots; i++)
            if (children[i].pid == info.si_pid && take(run, &children[i])) {
                children[i] = (struct child){0};
                running--;
            }
    }
}

static int usage(void) {
    fputs("usage: myelin-sim --seed N [-v] [--twice] | --seeds N [--first N] [--twice]\n", stderr);
    return 2;
}

int main(int argc, char **argv) {
    struct run run = {.program = argv[0], .first = 1, .count = 1};
    bool any = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0) {
            run.verbose = true;
        } else if (strcmp(argv[i], "--twice") == 0) {
            run.twice = true;
        } else if (i + 1 < argc && (strcmp(argv[i], "--seed") == 0 || strcmp(argv[i], "--first") == 0)) {
            any = true;
            run.first = strtoull(argv[++i], NULL, 10);
        } else if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0) {
            any = run.quiet = true;
            run.count = strtoull(argv[++i], NULL, 10);
        } else {
            return usage();
        }
    }
    if (!any || !run.count)
        return usage();
    setvbuf(stdout, NULL, run.verbose ? _IOFBF : _IOLBF, 1 << 16);
    run_all(&run);
    if (run.quiet)
        printf("%llu seeds, %llu failed: %llu lives, %llu events, %llu records acknowledged, %llu shown\n", (unsigned long long)run.count,
               (unsigned long long)run.failed, (unsigned long long)run.lives, (unsigned long long)run.events,
               (unsigned long long)run.acknowledged, (unsigned long long)run.shown);
    return run.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
