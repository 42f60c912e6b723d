/* ListGroups and DeleteGroups: of groups of all kinds. */
#include "base/map.h"
#include "broker/coordinators.h"
#include "broker/handlers/handlers.h"
#include "broker/share_admin.h"
#include "coordinator/groups.h"
#include "protocol/delete_groups_request.h"
#include "protocol/delete_groups_response.h"
#include "protocol/list_groups_request.h"
#include "protocol/list_groups_response.h"

typedef struct list_groups_response_listed_group listed_group;
typedef struct delete_groups_response_deletable_group_result delete_result;

/* ---- ListGroups ------------------------------------------------------------------------------------------------------------ */

struct list_all {
    struct coordinator_visit_all all;
    struct list_groups_request message;
};
struct list_visit { /* of one coordinator */
    struct coordinator_visit visit;
    listed_group *groups;
    int count;
};

static bool equals_ignoring_case(struct slice a, const char *b) {
    size_t i = 0;
    for (; i < a.size && b[i]; i++) {
        uint8_t x = a.ptr[i], y = (uint8_t)b[i];
        if ((x >= 'A' && x <= 'Z' ? x + 32 : x) != (y >= 'A' && y <= 'Z' ? y + 32 : y))
            return false;
    }
    return i == a.size && !b[i];
}

static struct slice trimmed(struct slice s) {
    while (s.size && s.ptr[s.size - 1] <= ' ')
        s.size--;
    while (s.size && s.ptr[0] <= ' ') {
        s.ptr++;
        s.size--;
    }
    return s;
}

/* States are trimmed as Kafka does, types are not. */
static bool is_wanted(const struct list_groups_request *message, const char *state, const char *type) {
    bool state_fits = !message->states_filter_count, type_fits = !message->types_filter_count;
    for (int i = 0; i < message->states_filter_count; i++)
        state_fits |= equals_ignoring_case(trimmed(message->states_filter[i]), state);
    for (int i = 0; i < message->types_filter_count; i++)
        type_fits |= equals_ignoring_case(message->types_filter[i], type);
    return state_fits && type_fits;
}

static void decide_list(struct coordinator_op *op, void *state) {
    struct list_visit *list = container_of(op, struct list_visit, visit.op);
    const struct groups *groups = state;
    const struct list_groups_request *message = &container_of(list->visit.all, struct list_all, all)->message;
    list->groups = arena_array(op->arena, listed_group, groups->by_id.count + 1);
    list_each(node, &groups->all) {
        const struct group *group = list_entry(node, struct group, all);
        const char *name = group->methods->state_name(group), *type = group_type_name(group->methods->type);
        if (is_wanted(message, name, type))
            list->groups[list->count++] = (listed_group){.group_id = arena_slice(op->arena, group->id),
                                                         .protocol_type = arena_slice(op->arena, group->methods->protocol_type(group)),
                                                         .group_state = slice_str(name),
                                                         .group_type = slice_str(type)};
    }
}

static struct list_visit *list_visit_at(const struct coordinator_visit_all *all, int i) {
    return &((struct list_visit *)(void *)all->visits)[i];
}

static void list_done(struct coordinator_visit_all *all) {
    struct list_groups_response response;
    list_groups_response_init(&response);
    int count = 0;
    for (int i = 0; i < all->count; i++) {
        const struct list_visit *list = list_visit_at(all, i);
        if (list->visit.error && list->visit.error != KAFKA_NOT_COORDINATOR)
            response.error_code = list->visit.error;
        count += list->count;
    }
    response.groups = arena_array(&all->request->arena, listed_group, count + 1);
    for (int i = 0; i < all->count && !response.error_code; i++) {
        const struct list_visit *list = list_visit_at(all, i);
        if (list->visit.error)
            continue;
        for (int k = 0; k < list->count; k++)
            response.groups[response.groups_count++] = list->groups[k];
    }
    request_answer(all->request, list_groups, &response);
}

void handle_list_groups(struct request *request) {
    struct list_all *list = arena_new(&request->arena, struct list_all);
    if (!request_decode(request, list_groups, &list->message))
        return;
    list->all = (struct coordinator_visit_all){.request = request, .decide = decide_list, .done = list_done, .visit_size = sizeof(struct list_visit)};
    coordinator_visit_all(&list->all, COORDINATOR_GROUP);
}

/* ---- DeleteGroups ----------------------------------------------------------------------------------------------------------- */

struct deletion {
    struct request *request;
    struct delete_groups_response response;
    int pending;
};
struct delete_name { /* each name once */
    struct map_node node;
    delete_result *result;
    struct delete_name *next; /* of the same partition */
    struct deletion *deletion;
    bool has_states;          /* a share group, whose states go first */
    struct share_forget forget;
    struct coordinator_visit last;
};
struct delete_visit { /* the groups of one partition, whose records come in one batch */
    struct coordinator_visit visit;
    struct deletion *deletion;
    struct delete_name *first, **last;
};

static bool is_name(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct delete_name, node)->result->group_id, *(const struct slice *)key);
}

static void decide_delete(struct coordinator_op *op, void *state) {
    struct delete_visit *visit = container_of(op, struct delete_visit, visit.op);
    struct groups *groups = state;
    for (struct delete_name *name = visit->first; name; name = name->next) {
        delete_result *result = name->result;
        struct group *group = groups_find(groups, result->group_id);
        result->error_code = group ? group->methods->check_delete(group) : KAFKA_GROUP_ID_NOT_FOUND;
        if (result->error_code)
            continue;
        name->has_states = share_group_has_states(group);
        if (name->has_states)
            continue;
        offsets_add_tombstones(groups->offsets, result->group_id, op);
        group->methods->add_tombstones(group, op);
    }
}

static void finish(struct deletion *deletion) {
    if (--deletion->pending == 0)
        request_answer(deletion->request, delete_groups, &deletion->response);
}

static void delete_last(struct coordinator_op *op, void *state) {
    struct delete_name *name = container_of(op, struct delete_name, last.op);
    struct group *group = groups_find(state, name->result->group_id);
    name->result->error_code = group ? group->methods->check_delete(group) : KAFKA_GROUP_ID_NOT_FOUND;
    if (!name->result->error_code)
        group->methods->add_tombstones(group, op);
}

static void deleted_last(struct coordinator_visit *visit, int16_t error) {
    struct delete_name *name = container_of(visit, struct delete_name, last);
    if (error)
        name->result->error_code = error;
    finish(name->deletion);
}

static void states_gone(struct share_forget *forget, int16_t error) {
    struct delete_name *name = container_of(forget, struct delete_name, forget);
    if (error) {
        name->result->error_code = error;
        finish(name->deletion);
        return;
    }
    struct request *request = name->deletion->request;
    name->last = (struct coordinator_visit){.request = request, .op = {.decide = delete_last}, .answer = deleted_last};
    coordinator_visit(&name->last, COORDINATOR_GROUP, forget->group, true);
}

static void deleted(struct coordinator_visit *base, int16_t error) {
    struct delete_visit *visit = container_of(base, struct delete_visit, visit);
    for (struct delete_name *name = visit->first; name; name = name->next) {
        if (error)
            name->result->error_code = error;
        if (error || !name->has_states)
            continue;
        name->deletion = visit->deletion;
        name->deletion->pending++;
        name->forget = (struct share_forget){.visit.request = visit->visit.request, .group = name->result->group_id, .done = states_gone};
        share_forget_group(&name->forget);
    }
    finish(visit->deletion);
}

/* The names, each once, by partition of their coordinator. */
static struct delete_visit **collect(struct deletion *deletion, const struct delete_groups_request *message, int32_t partitions) {
    struct arena *arena = &deletion->request->arena;
    struct map names = {0};
    struct delete_name *all = arena_array(arena, struct delete_name, message->groups_names_count);
    struct delete_visit **visits = arena_array(arena, struct delete_visit *, partitions);
    deletion->response.results = arena_array(arena, delete_result, message->groups_names_count);
    for (int i = 0; i < message->groups_names_count; i++) {
        struct slice name = message->groups_names[i];
        if (map_find(&names, hash_slice(name), is_name, &name))
            continue;
        all[i].result = &deletion->response.results[deletion->response.results_count++];
        delete_groups_response_deletable_group_result_init(all[i].result);
        all[i].result->group_id = name;
        map_insert(&names, &all[i].node, hash_slice(name));
        struct delete_visit **visit = &visits[coordinator_partition_of(name, partitions)];
        if (!*visit) {
            *visit = arena_new(arena, struct delete_visit);
            (*visit)->deletion = deletion;
            (*visit)->last = &(*visit)->first;
            deletion->pending++;
        }
        *(*visit)->last = &all[i];
        (*visit)->last = &all[i].next;
    }
    map_deinit(&names);
    return visits;
}

void handle_delete_groups(struct request *request) {
    struct delete_groups_request message;
    if (!request_decode(request, delete_groups, &message))
        return;
    struct deletion *deletion = arena_new(&request->arena, struct deletion);
    deletion->request = request;
    delete_groups_response_init(&deletion->response);
    int32_t partitions = coordinator_partition_count(request->shard, COORDINATOR_GROUP);
    deletion->pending = 1; /* so that it does not end before all were sent */
    struct delete_visit **visits = collect(deletion, &message, partitions);
    for (int32_t i = 0; i < partitions; i++) {
        if (!visits[i])
            continue;
        visits[i]->visit.request = request;
        visits[i]->visit.op.decide = decide_delete;
        visits[i]->visit.answer = deleted;
        coordinator_visit(&visits[i]->visit, COORDINATOR_GROUP, visits[i]->first->result->group_id, true);
    }
    finish(deletion);
}
