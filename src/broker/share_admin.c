#include "broker/share_admin.h"

#include "base/mem.h"
#include "broker/share_sessions.h"

/* Calls for many places at once. Of the heap: nobody waits for it but itself. */
struct calls {
    struct broker_shard *shard;
    struct slice group; /* owned, as is what follows */
    struct share_place *places;
    struct share_task *tasks;
    int16_t *errors;
    int count, pending;
    bool initializes;
    void (*done)(void *arg, const int16_t *errors);
    void *arg;
    struct coordinator_visit visit;
    struct arena arena;
    bool ok;
};

static void free_calls(struct calls *calls) {
    for (int i = 0; i < calls->count; i++)
        share_task_deinit(&calls->tasks[i]);
    mem_free((void *)calls->group.ptr);
    mem_free(calls->places);
    mem_free(calls->tasks);
    mem_free(calls->errors);
    arena_deinit(&calls->arena);
    mem_free(calls);
}

static void decide_told(struct coordinator_op *op, void *state) {
    struct calls *calls = container_of(op, struct calls, visit.op);
    share_group_initialized(state, op, calls->group, calls->places, calls->count, calls->ok);
}

static void told(struct coordinator_visit *visit, int16_t error) {
    (void)error; /* the group tries again when its places have been initializing for long */
    free_calls(container_of(visit, struct calls, visit));
}

static void all_done(struct calls *calls) {
    calls->ok = true;
    for (int i = 0; i < calls->count; i++)
        calls->ok &= !calls->errors[i];
    struct share_want *wants = mem_zalloc(sizeof *wants * (size_t)(calls->count + 1));
    for (int i = 0; i < calls->count; i++)
        wants[i] = (struct share_want){.topic_id = calls->places[i].topic_id, .index = calls->places[i].partition};
    share_forget_places(calls->shard->broker, calls->group, wants, calls->count);
    mem_free(wants);
    if (calls->done)
        calls->done(calls->arg, calls->errors);
    if (!calls->initializes) {
        free_calls(calls);
        return;
    }
    calls->visit = (struct coordinator_visit){.home = calls->shard, .op = {.arena = &calls->arena, .decide = decide_told}, .answer = told};
    coordinator_visit(&calls->visit, COORDINATOR_GROUP, calls->group, false);
}

static void one_done(struct share_task *task) {
    struct calls *calls = task->arg;
    calls->errors[task - calls->tasks] = task->call.error;
    if (--calls->pending == 0)
        all_done(calls);
}

static void start(struct broker_shard *shard, struct slice group, const struct share_init *init, bool initializes,
                  void (*done)(void *arg, const int16_t *errors), void *arg) {
    struct calls *calls = mem_new(struct calls);
    size_t count = (size_t)init->count;
    *calls = (struct calls){.shard = shard, .count = init->count, .initializes = initializes, .done = done, .arg = arg};
    calls->group = slice_of(mem_strndup((const char *)group.ptr, group.size), group.size);
    calls->places = mem_alloc(sizeof *calls->places * (count + 1));
    if (count)
        memcpy(calls->places, init->places, sizeof *calls->places * count);
    calls->tasks = mem_zalloc(sizeof *calls->tasks * (count + 1));
    calls->errors = mem_zalloc(sizeof *calls->errors * (count + 1));
    calls->pending = init->count + 1; /* so that it does not end before all were started */
    for (int i = 0; i < init->count; i++) {
        struct share_task *task = &calls->tasks[i];
        task->shard = shard;
        task->arg = calls;
        task->done = one_done;
        task->call = (struct share_call){.type = initializes ? SHARE_INITIALIZE : SHARE_DELETE, .group = calls->group,
                                         .topic_id = calls->places[i].topic_id, .partition = calls->places[i].partition,
                                         .state_epoch = init->state_epoch, .start_offset = calls->places[i].start_offset,
                                         .only_missing = init->only_missing};
        share_task_start(task);
    }
    if (--calls->pending == 0)
        all_done(calls);
}

void share_init_states(struct broker_shard *shard, struct slice group, const struct share_init *init,
                       void (*done)(void *arg, const int16_t *errors), void *arg) {
    start(shard, group, init, true, done, arg);
}
void share_drop_states(struct broker_shard *shard, struct slice group, const struct share_init *init,
                       void (*done)(void *arg, const int16_t *errors), void *arg) {
    start(shard, group, init, false, done, arg);
}

/* ---- DeleteGroups ---------------------------------------------------------------------------------------------------------- */

static void decide_forget(struct coordinator_op *op, void *state) {
    struct share_forget *forget = container_of(op, struct share_forget, visit.op);
    const char *message;
    forget->error = share_group_delete(state, op, forget->group, NULL, 0, NULL, &forget->places, &message);
}

static void dropped(void *arg, const int16_t *errors) {
    struct share_forget *forget = arg;
    int16_t error = 0;
    for (int i = 0; i < forget->places.count; i++)
        error = error ? error : errors[i];
    forget->done(forget, error);
}

static void marked(struct coordinator_visit *visit, int16_t error) {
    struct share_forget *forget = container_of(visit, struct share_forget, visit);
    if (error || forget->error)
        forget->done(forget, error ? error : forget->error);
    else
        share_drop_states(visit->request->shard, forget->group, &forget->places, dropped, forget);
}

void share_forget_group(struct share_forget *forget) {
    forget->visit.op.decide = decide_forget;
    forget->visit.answer = marked;
    coordinator_visit(&forget->visit, COORDINATOR_GROUP, forget->group, true);
}
