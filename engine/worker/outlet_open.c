/* Where the sinks of an outlet are, and what follows from that. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "worker/outlet_parts.h"

/* ---- notes ---- */

/* digest NULL: it is not known; handled 0: no more than the place says. */
static char *write_notes(const char *start, bool partial, const char *digest, uint64_t handled) {
    cJSON *tree = cJSON_CreateObject();
    bool ok = tree && cJSON_AddStringToObject(tree, "start", start) &&
              (!digest || cJSON_AddStringToObject(tree, "digest", digest)) &&
              (!partial || cJSON_AddTrueToObject(tree, "partial")) &&
              (!handled || cJSON_AddNumberToObject(tree, "handled", (double)handled));
    char *text = ok ? cJSON_PrintUnformatted(tree) : NULL;
    char *copy = text ? strdup(text) : NULL;
    cJSON_free(text);
    cJSON_Delete(tree);
    return copy;
}

char *outlet_notes(struct outlet *outlet, bool partial) {
    const struct outlet_mark *mark = &outlet->mark;
    uint64_t place = mark->place.sequence;
    uint64_t handled = outlet->handled > place ? outlet->handled : partial ? place : 0;
    char digest[DIGEST_TEXT];
    digest_format(mark->digest, digest);
    free(outlet->notes);
    outlet->notes = write_notes(outlet->start, partial, mark->digested && !partial ? digest : NULL, handled);
    return outlet->notes;
}

/* 0 where there is none, or no whole number that is told apart from its neighbours. */
static uint64_t read_count(const cJSON *item) {
    double count = cJSON_IsNumber(item) ? item->valuedouble : 0;
    return count > 0 && count < (double)(UINT64_C(1) << 53) ? (uint64_t)count : 0;
}

/* Messages are counted from where reading starts. */
static bool read_notes(const struct outlet *outlet, struct target *target, struct error *e) {
    cJSON *tree = target->place.notes ? cJSON_Parse(target->place.notes) : NULL;
    const char *start = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "start"));
    const char *digest = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "digest"));
    target->partial = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, "partial"));
    target->marked = !target->partial && digest_parse(digest, &target->digest);
    target->handled = read_count(cJSON_GetObjectItemCaseSensitive(tree, "handled"));
    bool ok = !start || strcmp(start, outlet->start) == 0 ||
              error_set(
                  e, ERROR_ARGUMENT,
                  "%s: %s was filled from the stream read from offset %s on, and it is read from %s on now: "
                  "set the offset back, or give the sink another place",
                  outlet->options.name, target->is->name, start, outlet->start);
    cJSON_Delete(tree);
    return ok;
}

/* ---- whether it is the same stream ---- */

static bool is_other(const struct outlet *outlet, const struct target *target, struct error *e) {
    return error_set(
        e, ERROR_CONFLICT,
        "%s: the first %" PRIu64
        " messages of the stream are not those that %s was filled from: it has been made "
        "anew since, or its beginning is gone. Give the sink another place, or take this stream's tables and "
        "checkpoint out of it, and its snapshot out of --data",
        outlet->options.name, target->place.sequence, target->is->name);
}

/* Behind a snapshot that does not know its digest, the first place that is met is believed. */
void outlet_compare(struct outlet *outlet, uint64_t sequence) {
    struct digest *digest = &outlet->digest;
    for (size_t i = 0; i < outlet->target_count; i++) {
        struct target *target = &outlet->targets[i];
        if (!target->marked || target->place.sequence != sequence) {
            continue;
        }
        target->marked = false;
        if (!digest->known) {
            digest->known = true;
            digest->value = target->digest;
        } else if (digest->value != target->digest) {
            struct error e;
            is_other(outlet, target, &e);
            outlet_fail(outlet, &e);
        }
    }
}

void outlet_note(struct outlet *outlet, const struct event *event) {
    outlet_compare(outlet, intake_sequence(outlet->options.intake) - 1);
    digest_add(&outlet->digest, event);
}

/* ---- places ---- */

static bool lacks_state(const struct target *target) {
    return target->empty || target->partial;
}

bool outlet_bound(struct outlet *outlet, uint64_t *sequence, const char **sink, struct error *e) {
    *sequence = UINT64_MAX;
    *sink = NULL;
    for (size_t i = 0; i < outlet->target_count; i++) {
        struct target *target = &outlet->targets[i];
        if (!read_notes(outlet, target, e)) {
            return false;
        }
        if (!lacks_state(target) && target->place.sequence < *sequence) {
            *sequence = target->place.sequence;
            *sink = target->is->name;
        }
    }
    return true;
}

void outlet_aim(struct outlet *outlet) {
    outlet->least = outlet->edge = UINT64_MAX;
    for (size_t i = 0; i < outlet->target_count; i++) {
        uint64_t from = outlet->targets[i].from;
        outlet->least = from < outlet->least ? from : outlet->least;
        if (from > outlet->reached && from < outlet->edge) {
            outlet->edge = from;
        }
    }
}

/* Messages before it were handled when the sink was left. */
static uint64_t furthest(const struct target *target) {
    return target->handled > target->from ? target->handled : target->from;
}

/* Messages before were handled, as far as is known: a sink that is being filled has no place, but was there. */
static uint64_t handled_before(const struct outlet *outlet) {
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < outlet->target_count; i++) {
        const struct target *target = &outlet->targets[i];
        if (!target_is_placeless(target) && furthest(target) < least) {
            least = furthest(target);
        }
    }
    return least != UINT64_MAX ? least : outlet->least;
}

/* Placeless ones get what the others make necessary to be handled; on their own, everything. */
static void aim_placeless(struct outlet *outlet) {
    uint64_t from = UINT64_MAX;
    for (size_t i = 0; i < outlet->target_count; i++) {
        const struct target *target = &outlet->targets[i];
        if (!target_is_placeless(target) && target->from < from) {
            from = target->from;
        }
    }
    for (size_t i = 0; i < outlet->target_count; i++) {
        struct target *target = &outlet->targets[i];
        if (target_is_placeless(target)) {
            target->from = from != UINT64_MAX ? from : outlet->reached;
            target->load = false;
        }
    }
}

static void tell(const struct outlet *outlet, const struct target *target) {
    const struct log *log = outlet->options.log;
    if (target->load) {
        log_write(log, LOG_INFO, "%s: %s is filled with the state of message %" PRIu64, outlet->options.name,
                  target->is->name, outlet->reached);
    } else if (!target->empty) {
        log_write(log, LOG_INFO, "%s: %s goes on from message %" PRIu64 ", offset %s", outlet->options.name,
                  target->is->name, target->from, target->place.offset ? target->place.offset : "-1");
    }
}

/* A place without a digest is of a sink that an older version filled, or an operator's word that the stream was
 * only written in another way: then that of a snapshot says nothing either. */
static bool is_compared(const struct outlet *outlet) {
    bool compared = true;
    for (size_t i = 0; i < outlet->target_count; i++) {
        const struct target *target = &outlet->targets[i];
        compared = compared && (target_is_placeless(target) || lacks_state(target) || target->marked);
    }
    return compared;
}

bool outlet_start(struct outlet *outlet, const struct store *store, const uint64_t *digest, uint64_t *quiet,
                  struct error *e) {
    bool load = false;
    outlet->mark.chunk = UINT64_MAX;
    if (!outlet_mark(outlet)) {
        *e = outlet->failure;
        return false;
    }
    outlet->reached = outlet->mark.place.sequence;
    outlet->digest.known = outlet->reached == 0 || (digest && is_compared(outlet));
    outlet->digest.value = outlet->reached > 0 && digest ? *digest : 0;
    outlet_compare(outlet, outlet->reached);
    outlet->mark.tail = false;
    if (outlet->options.audit) {
        outlet_audit_start(outlet, quiet);
        return true;
    }
    for (size_t i = 0; i < outlet->target_count; i++) {
        struct target *target = &outlet->targets[i];
        target->from = lacks_state(target) ? outlet->reached : target->place.sequence;
        target->load = target->partial || (target->empty && outlet->reached > 0);
    }
    aim_placeless(outlet);
    for (size_t i = 0; i < outlet->target_count; i++) {
        load = load || outlet->targets[i].load;
        tell(outlet, &outlet->targets[i]);
    }
    outlet_aim(outlet);
    *quiet = outlet->handled = handled_before(outlet);
    outlet->started = true;
    return !load || outlet_load_begin(outlet, store, e);
}

void outlet_again(struct outlet *outlet) {
    for (size_t i = 0; i < outlet->target_count; i++) {
        struct target *target = &outlet->targets[i];
        target->from = target->from > outlet->reached ? target->from : outlet->reached;
    }
    outlet->reached = outlet->mark.place.sequence = 0;
    outlet->digest.known = true;
    outlet->digest.value = 0;
    outlet_aim(outlet);
}

/* A sink that is further than the stream; NULL: there is none. */
static const struct target *find_ahead(const struct outlet *outlet, uint64_t sequence) {
    for (size_t i = 0; i < outlet->target_count; i++) {
        const struct target *target = &outlet->targets[i];
        if (!target_is_placeless(target) && furthest(target) > sequence) {
            return target;
        }
    }
    return NULL;
}

static bool is_another(const struct outlet *outlet, const struct target *ahead, uint64_t sequence,
                       struct error *e) {
    return error_set(
        e, ERROR_CONFLICT,
        "%s: the stream ends after %" PRIu64 " messages, and %s has come to message %" PRIu64
        " of it before: it has been made anew since, or cut. Give the sink another place, or take this "
        "stream's tables and checkpoint out of it, and its snapshot out of --data",
        outlet->options.name, sequence, ahead->is->name, furthest(ahead));
}

bool outlet_check_end(struct outlet *outlet, bool last, struct error *e) {
    uint64_t sequence = intake_sequence(outlet->options.intake);
    const struct target *ahead = find_ahead(outlet, sequence);
    if (!ahead) {
        return true;
    }
    if (last) {
        return is_another(outlet, ahead, sequence, e);
    }
    outlet->ended = sequence;
    loop_timer_start(&outlet->patience, outlet->options.patience_ms);
    return true;
}

void outlet_lose_patience(struct loop_task *task) {
    struct outlet *outlet = task->owner;
    const struct target *ahead = find_ahead(outlet, outlet->ended);
    struct error e;
    if (ahead && !outlet->stopped && intake_sequence(outlet->options.intake) == outlet->ended) {
        is_another(outlet, ahead, outlet->ended, &e);
        outlet_fail(outlet, &e);
    }
}

void outlet_replaced(struct outlet *outlet, const struct store *store, uint64_t begun) {
    uint64_t sequence = intake_sequence(outlet->options.intake);
    for (size_t i = 0; i < outlet->target_count; i++) {
        struct target *target = &outlet->targets[i];
        if (!target_is_placeless(target) && target->from > begun && target->from <= sequence) {
            target->load = true;
            target->from = sequence;
            outlet->load.due = store;
        }
    }
    outlet_aim(outlet);
}
