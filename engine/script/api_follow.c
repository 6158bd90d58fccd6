#include "script/api_follow.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "script/api_stream.h"
#include "script/wait.h"

enum await_kind { AWAIT_UP_TO_DATE, AWAIT_AGAIN, AWAIT_TXID };

struct await {
    struct wait wait; /* first */
    enum await_kind kind;
    bool begun;    /* AWAIT_AGAIN: reading has begun again */
    uint64_t hash; /* AWAIT_TXID */
};

bool api_follow_init(struct api_follow *follow, uint64_t seed) {
    return txids_init(&follow->seen, seed);
}

void api_follow_free(struct api_follow *follow) {
    while (follow->waits) {
        wait_drop(follow->waits);
    }
    txids_free(&follow->seen);
    txids_free(&follow->later);
}

/* ---- what the worker tells ---- */

static void end(struct await *await) {
    struct error none;
    error_clear(&none);
    wait_end(&await->wait, &none);
}

static void end_those_for(struct api_follow *follow, uint64_t hash) {
    struct wait *next;
    for (struct wait *wait = follow->waits; wait; wait = next) {
        struct await *await = (struct await *)wait;
        next = wait->next;
        if (await->kind == AWAIT_TXID && await->hash == hash) {
            end(await);
        }
    }
}

void api_follow_applied(struct api_stream *stream, const struct event *change, bool building) {
    struct api_follow *follow = &stream->follow;
    if (!follow->seen.hashes) {
        return;
    }
    uint64_t hash = txids_hash_json(&follow->seen, change->txid);
    if (building && (follow->later.hashes || txids_init(&follow->later, follow->seen.seed))) {
        txids_note(&follow->later, hash);
        return;
    }
    txids_note(&follow->seen, hash);
    if (stream->local.overlay) {
        overlay_confirm(stream->local.overlay, hash, change->type, change->key);
    }
    if (follow->waits) {
        end_those_for(follow, hash);
    }
}

void api_follow_built(struct api_stream *stream, bool kept) {
    struct api_follow *follow = &stream->follow;
    for (size_t i = 0; kept && i < follow->later.count; i++) {
        txids_note(&follow->seen, follow->later.hashes[i]);
        end_those_for(follow, follow->later.hashes[i]);
    }
    if (kept && stream->local.overlay) {
        overlay_confirm_all(stream->local.overlay, &follow->later);
    }
    txids_free(&follow->later);
}

void api_follow_up_to_date(struct api_stream *stream) {
    struct wait *next;
    stream->follow.caught_up = true;
    for (struct wait *wait = stream->follow.waits; wait; wait = next) {
        struct await *await = (struct await *)wait;
        next = wait->next;
        if (await->kind == AWAIT_UP_TO_DATE || (await->kind == AWAIT_AGAIN && await->begun)) {
            end(await);
        }
    }
}

void api_follow_again(struct api_stream *stream) {
    for (struct wait *wait = stream->follow.waits; wait; wait = wait->next) {
        struct await *await = (struct await *)wait;
        await->begun = await->begun || await->kind == AWAIT_AGAIN;
    }
}

static void explain(const struct api_stream *stream, struct error *e) {
    *e = stream->follow.why;
    if (e->code == ERROR_NONE) {
        error_set(e, ERROR_CLOSED, "%s: the stream has ended, and nothing more is read of it", stream->name);
    }
}

void api_follow_over(struct api_stream *stream, const struct error *e) {
    struct api_follow *follow = &stream->follow;
    struct error why;
    if (follow->over) {
        return;
    }
    follow->over = true;
    error_clear(&follow->why);
    if (e) {
        follow->why = *e;
    } else {
        follow->caught_up = true;
        api_follow_up_to_date(stream);
    }
    explain(stream, &why);
    while (follow->waits) {
        wait_end(follow->waits, &why);
    }
}

/* ---- what the script asks ---- */

/* Raises where the wait would never end. */
static void check_can_come(lua_State *L, const struct api_stream *stream, const char *what) {
    struct script *script = stream->script;
    struct error e;
    script_check_unasked(L, what);
    if (script->current == &stream->lane) {
        error_set(
            &e, ERROR_ARGUMENT,
            "%s: what is waited for cannot come while a handler or rule of the same stream waits: call it "
            "from a timer or another stream's handler",
            stream->name);
        script_raise(L, &e);
    }
    if (!script->current && !script->host.start(script->host.user, &e)) {
        script_raise_bare(L, &e);
    }
    if (stream->follow.over) {
        explain(stream, &e);
        script_raise(L, &e);
    }
}

static bool has_come(const struct api_follow *follow, enum await_kind kind, uint64_t hash) {
    return kind == AWAIT_UP_TO_DATE ? follow->caught_up
                                    : kind == AWAIT_TXID && txids_has(&follow->seen, hash);
}

int api_follow_await(lua_State *L) {
    static const char *const kinds[] = {"up-to-date", "again", "txid", NULL};
    struct api_stream *stream = api_stream_check(L, 1);
    enum await_kind kind = (enum await_kind)luaL_checkoption(L, 2, NULL, kinds);
    uint64_t hash = 0;
    if (!stream->store) {
        return luaL_error(L, "the worker has ended");
    }
    if (kind == AWAIT_TXID) {
        size_t len;
        const char *txid = luaL_checklstring(L, 3, &len);
        hash = txids_hash(&stream->follow.seen, slice_of(txid, len));
    }
    if (has_come(&stream->follow, kind, hash)) {
        return 0;
    }
    check_can_come(L, stream, kinds[kind]);
    if (has_come(&stream->follow, kind, hash)) {
        return 0;
    }
    struct await *await = (struct await *)wait_push(L, stream->script, &stream->follow.waits, sizeof *await);
    await->kind = kind;
    await->hash = hash;
    wait_begin(&await->wait);
    if (kind == AWAIT_AGAIN) {
        stream->driver.again(stream->driver.user);
    }
    return 1;
}

static int waited(lua_State *L, int status, lua_KContext index) {
    const struct op *op = op_at(L, (int)index);
    (void)status;
    return op->error.code != ERROR_NONE ? script_raise(L, &op->error) : 0;
}

int api_follow_wait(lua_State *L) {
    luaL_checktype(L, 1, LUA_TUSERDATA);
    const char *what = luaL_checkstring(L, 2);
    lua_settop(L, 2);
    return op_wait(L, 1, what, waited);
}

int api_follow_expire(lua_State *L) {
    luaL_checktype(L, 1, LUA_TUSERDATA);
    struct wait *wait = (struct wait *)op_at(L, 1);
    struct error e;
    if (!wait->op.done) {
        error_set(&e, ERROR_TIMEOUT, "%s", luaL_checkstring(L, 2));
        wait_end(wait, &e);
    }
    return 0;
}
