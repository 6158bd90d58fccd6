/* Tests that run in memory, in a folder, and in a folder with a checkpoint after every batch. Included by one file of
 * a program. */
#ifndef UNIT_SERVER_EVERYWHERE_H
#define UNIT_SERVER_EVERYWHERE_H

#include "server_world.h"

#define TEXT "text/plain"
#define JSON "application/json"

static inline void begin(void **state, struct world *world) {
    world_begin(world, *state != NULL);
    if (*state && strcmp(*state, "checkpoints") == 0) {
        world->options.checkpoint_bytes = 1;
        world_reopen(world);
    }
}

static char in_folder[] = "folder", with_checkpoints[] = "checkpoints";

/* clang-format off */
#define ON_ALL(test)                                                                                         \
    {#test " in memory", test, NULL, NULL, NULL},                                                            \
    {#test " in a folder", test, NULL, NULL, in_folder},                                                     \
    {#test " with checkpoints", test, NULL, NULL, with_checkpoints}
/* clang-format on */

#endif
