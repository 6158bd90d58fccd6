#include "script/wait.h"

#include <lauxlib.h>
#include <stdlib.h>

static void destroy(struct op *op) {
    free(op);
}

struct wait *wait_push(lua_State *L, struct script *script, struct wait **list, size_t size) {
    op_push(L);
    struct wait *wait = calloc(1, size);
    if (!wait) {
        luaL_error(L, "out of memory");
        return NULL;
    }
    op_init(&wait->op, script);
    wait->op.destroy = destroy;
    wait->list = list;
    op_bind(L, lua_gettop(L), &wait->op);
    return wait;
}

void wait_begin(struct wait *wait) {
    wait->next = *wait->list;
    if (wait->next) {
        wait->next->prev = wait;
    }
    *wait->list = wait;
    op_hold(&wait->op);
}

void wait_drop(struct wait *wait) {
    *(wait->prev ? &wait->prev->next : wait->list) = wait->next;
    if (wait->next) {
        wait->next->prev = wait->prev;
    }
    op_release(&wait->op);
}

void wait_end(struct wait *wait, const struct error *e) {
    wait->op.error = *e;
    op_finish(&wait->op);
    wait_drop(wait);
}
