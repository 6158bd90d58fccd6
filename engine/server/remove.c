/* Deletes streams: softly while forks refer to them, and those that were only kept for a fork with it. */
#include "server/commit.h"
#include "server/files.h"
#include "server/set.h"

/* Takes it out of everything but its batch. Returns the source that nothing holds any more, or NULL. */
static struct stream *take_out(struct stream *stream) {
    struct streams *set = stream->set;
    struct stream *source = stream->fork ? stream->fork->source : NULL;
    stream->gone = true;
    names_remove(&set->names, stream->hash, stream);
    expiry_remove(stream);
    set->bytes -= stream->staged - stream->base;
    content_free(&stream->content);
    files_close(stream);
    if (source) {
        source->forks--;
    }
    return source && source->deleted && source->forks == 0 ? source : NULL;
}

void stream_remove(struct stream *stream) {
    struct streams *set = stream->set;
    if (stream->forks > 0) {
        stream->deleted = true;
        expiry_remove(stream);
        notify_changed(stream);
        return;
    }
    while (stream) {
        struct stream *source = take_out(stream);
        notify_changed(stream);
        if (set->folder) {
            commit_touch(stream);
        }
        stream_drop(stream);
        stream = source;
    }
}

/* STREAM_OK: it is under way. The stream may be freed, but for what the caller holds. */
static enum stream_status delete_now(struct stream *stream) {
    struct change change = {.kind = RECORD_DELETE, .id = stream->id};
    enum stream_status status = commit_prepare(stream->set, &change, slice_of("", 0));
    if (status == STREAM_OK) {
        commit_add(stream);
        stream_remove(stream);
    }
    return status;
}

void stream_expire(struct stream *stream) {
    stream_hold(stream);
    (void)delete_now(stream); /* or later: nobody gets to see it */
    stream_drop(stream);
}

enum stream_status streams_delete(struct streams *set, struct slice path, struct stream_wait *wait,
                                  struct stream_result *result) {
    enum stream_status status;
    *result = (struct stream_result){0};
    struct stream *stream = set_lookup(set, path, &status);
    if (!stream) {
        return set_answer(result, status, NULL,
                          status == STREAM_GONE ? "the stream is deleted" : "there is no such stream");
    }
    stream_hold(stream);
    status = delete_now(stream);
    set_answer(result, status, NULL, status == STREAM_OK ? NULL : commit_refusal(status));
    if (status == STREAM_OK) {
        status = commit_finish(stream, wait, result);
    }
    stream_drop(stream);
    return status;
}
