/* Rows that a sink refuses may go to a stream of dead letters, or be asked about: the sink's commit waits for that. */
#include "worker/outlet_parts.h"

static bool is_kept(const struct outlet *outlet) {
    const struct outlet_host *host = &outlet->options.host;
    return !host->kept || host->kept(host->user);
}

void outlet_release(struct outlet *outlet) {
    outlet->letters = false;
    if (!outlet->failed && !is_kept(outlet)) {
        return; /* another row has been refused since */
    }
    for (size_t i = 0; i < outlet->target_count; i++) {
        struct target *target = &outlet->targets[i];
        if (!outlet->failed && target->sink) {
            sink_go_on(target->sink);
        } else if (target->busy && target->sink && target->sink->held) {
            target->sink->held = NULL;
            target->busy = false;
            outlet->busy--;
        }
    }
}

bool outlet_is_kept(void *user) {
    struct target *target = user;
    struct outlet *outlet = target->outlet;
    bool kept = is_kept(outlet);
    if (!kept && outlet->failed) {
        outlet->letters = true;
        loop_defer(outlet->options.loop, &outlet->turn);
    }
    return kept;
}

void outlet_letters_settled(struct outlet *outlet, const struct error *e) {
    if (e) {
        outlet_fail(outlet, e);
    }
    outlet->letters = true;
    loop_defer(outlet->options.loop, &outlet->turn);
}
