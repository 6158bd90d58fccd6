/* Comparing sinks with the state: each when the state has come exactly to its place. Where nothing is repaired, a worker
 * may commit meanwhile, so that the place is looked at once more. */
#include "worker/outlet_parts.h"

static void on_difference(void *user, struct sink *sink, enum sink_difference difference,
                          const struct store_row *row, struct slice type) {
    struct target *target = user;
    const struct outlet_options *options = &target->outlet->options;
    (void)sink;
    options->audit->difference(options->audit->user, options->name, target->is->name, difference, type,
                               row->key);
}

static void end(struct target *target, const struct error *e) {
    struct outlet *outlet = target->outlet;
    const struct outlet_options *options = &outlet->options;
    target->busy = false;
    target->audited = true;
    outlet->busy--;
    if (e) {
        outlet_fail(outlet, e);
    } else {
        options->audit->compared(options->audit->user, options->name, target->is->name, target->rows);
    }
    if (outlet->busy == 0) {
        loop_defer(options->loop, &outlet->turn);
    }
}

static bool is_at(const struct target *target, const struct sink_place *place) {
    return place ? !target->empty && place->sequence == target->place.sequence : target->empty;
}

static void on_seen(void *user, struct sink *sink, const struct sink_place *place, const struct error *e) {
    struct target *target = user;
    struct error moved;
    (void)sink;
    if (!e && !is_at(target, place)) {
        error_set(&moved, ERROR_CONFLICT,
                  "%s: a worker has committed while it was compared: stop it, or try again",
                  target->is->name);
        e = &moved;
    }
    end(target, e);
}

static void look(struct loop_task *task) {
    struct target *target = task->owner;
    struct error e;
    sink_close(target->sink);
    target->looks = true;
    target->sink = outlet_open_sink(target, &e);
    if (!target->sink) {
        end(target, &e);
    }
}

static void on_verified(void *user, struct sink *sink, uint64_t rows, const struct error *e) {
    struct target *target = user;
    const struct outlet_options *options = &target->outlet->options;
    (void)sink;
    target->rows = rows;
    if (e || options->audit->repair) {
        end(target, e);
    } else {
        target->look = (struct loop_task){.run = look, .owner = target};
        loop_defer(options->loop, &target->look);
    }
}

bool outlet_audit_open(struct target *target, struct sink_options *options) {
    struct outlet *outlet = target->outlet;
    const struct outlet_audit *audit = outlet->options.audit;
    if (target->is->emits || !target->is->kind->verify) {
        target->audited = target->opened = target->empty = true;
        audit->passed_over(audit->user, outlet->options.name, target->is->name);
        return false;
    }
    options->read_only = !audit->repair;
    options->host.difference = on_difference;
    options->host.verified = on_verified;
    if (target->looks) {
        options->host.opened = on_seen;
    }
    return true;
}

void outlet_audit_start(struct outlet *outlet, uint64_t *quiet) {
    *quiet = 0;
    for (size_t i = 0; i < outlet->target_count; i++) {
        struct target *target = &outlet->targets[i];
        target->from = target->empty ? 0 : target->place.sequence;
        *quiet = target->from > *quiet ? target->from : *quiet;
    }
    outlet->least = outlet->edge = UINT64_MAX;
    outlet->started = true;
}

bool outlet_audit_go_on(struct outlet *outlet) {
    bool all = true;
    if (outlet->busy > 0) {
        return false;
    }
    for (size_t i = 0; i < outlet->target_count; i++) {
        struct target *target = &outlet->targets[i];
        if (!target->audited && target->from == outlet->mark.place.sequence) {
            target->busy = true;
            outlet->busy++;
            sink_verify(target->sink, outlet->options.host.state(outlet->options.host.user),
                        outlet->options.audit->repair);
        }
        all = all && target->audited;
    }
    if (all) {
        outlet->options.host.audited(outlet->options.host.user);
    }
    return !all && outlet->busy == 0;
}
