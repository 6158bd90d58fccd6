/* Appends and closes (PROTOCOL.md 5.2, 5.2.1, 5.3). */
#include "server/commit.h"
#include "server/messages.h"
#include "server/set.h"

#define PRODUCER_NUMBER_MAX ((UINT64_C(1) << 53) - 1)

/* Applying */

static bool names_writer(const struct change *change) {
    return change->writer.name.ptr || change->seq.ptr;
}

bool stream_reserve(struct stream *stream, const struct change *change, struct slice payload) {
    if (payload.len > 0 && !content_reserve(&stream->content, stream->staged, payload.len)) {
        return false;
    }
    if (!names_writer(change)) {
        return true;
    }
    if (!stream->writers) {
        stream->writers = writers_new();
    }
    return stream->writers && (!change->seq.ptr || writers_reserve_seq(stream->writers, change->seq.len));
}

bool stream_apply(struct stream *stream, const struct change *change, struct slice payload) {
    if (!stream_reserve(stream, change, payload)) {
        return false;
    }
    struct writer *writer = NULL;
    if (change->writer.name.ptr) {
        writer = writers_add(stream->writers, change->writer.name);
        if (!writer) {
            return false;
        }
        writer->epoch = change->writer.epoch;
        writer->seq = change->writer.seq;
    }
    if (change->seq.ptr) {
        writers_set_seq(stream->writers, change->seq);
    }
    content_append(&stream->content, payload);
    stream->staged += payload.len;
    stream->set->bytes += payload.len;
    if (change->flags & CHANGE_CLOSE) {
        stream->staged_closed = true;
        if (stream->writers) {
            stream->writers->closer = writer;
        }
    }
    return true;
}

/* Judging */

struct attempt {
    struct streams *set;
    struct stream *stream;
    const struct stream_append *append;
    struct stream_result *result;
    struct slice payload;
};

static enum stream_status refuse(const struct attempt *attempt, enum stream_status status,
                                 const char *reason) {
    return set_answer(attempt->result, status, attempt->stream, reason);
}

static enum stream_status check_request(const struct attempt *attempt) {
    const struct stream_append *append = attempt->append;
    if (append->seq.ptr && (append->seq.len == 0 || append->seq.len > STREAM_SEQ_MAX)) {
        return refuse(attempt, STREAM_BAD_REQUEST, "Stream-Seq is empty or longer than 1024 bytes");
    }
    if (append->producer.ptr && (append->producer.len == 0 || append->producer.len > STREAM_PRODUCER_MAX)) {
        return refuse(attempt, STREAM_BAD_REQUEST, "Producer-Id is empty or longer than 1024 bytes");
    }
    if (append->epoch > PRODUCER_NUMBER_MAX || append->producer_seq > PRODUCER_NUMBER_MAX) {
        return refuse(attempt, STREAM_BAD_REQUEST, "Producer-Epoch or Producer-Seq is greater than 2^53 - 1");
    }
    if (append->body.len > attempt->set->options.max_append) {
        return refuse(attempt, STREAM_TOO_LARGE, "the body is larger than one append may be");
    }
    return STREAM_OK;
}

static enum stream_status answer_duplicate(const struct attempt *attempt, const struct writer *writer,
                                           struct stream_wait *wait) {
    attempt->result->epoch = writer->epoch;
    attempt->result->seq = writer->seq;
    set_answer(attempt->result, STREAM_DUPLICATE, attempt->stream, NULL);
    return commit_finish(attempt->stream, wait, attempt->result);
}

/* The stream is closed: fine for who closed it, and for who only wants it closed. Nobody hears of it before it is
 * safe: a closed stream stays closed (PROTOCOL.md 4.1). */
static enum stream_status judge_closed(const struct attempt *attempt, struct stream_wait *wait) {
    const struct stream_append *append = attempt->append;
    struct stream *stream = attempt->stream;
    const struct writer *closer = stream->writers ? stream->writers->closer : NULL;
    if (append->producer.ptr && closer && slice_equal(writer_name(closer), append->producer) &&
        closer->epoch == append->epoch && closer->seq == append->producer_seq) {
        return answer_duplicate(attempt, closer, wait);
    }
    if (!append->producer.ptr && append->close && append->body.len == 0) {
        set_answer(attempt->result, STREAM_OK, stream, NULL);
        return commit_finish(stream, wait, attempt->result);
    }
    refuse(attempt, STREAM_CLOSED, "the stream is closed");
    return commit_finish(stream, wait, attempt->result);
}

static enum stream_status judge_type(const struct attempt *attempt) {
    struct slice type = attempt->append->type;
    if (attempt->append->body.len == 0) {
        return STREAM_OK;
    }
    if (!type.ptr || type.len == 0) {
        return refuse(attempt, STREAM_BAD_REQUEST, "an append needs a Content-Type");
    }
    return kind_fits(attempt->stream->kind, type)
               ? STREAM_OK
               : refuse(attempt, STREAM_TYPE_MISMATCH, "the Content-Type is not the stream's");
}

/* STREAM_OK: it comes next. STREAM_DUPLICATE: it was accepted before. */
static enum stream_status judge_producer(const struct attempt *attempt, const struct writer *writer) {
    const struct stream_append *append = attempt->append;
    struct stream_result *result = attempt->result;
    uint64_t next = writer ? writer->seq + 1 : 0;
    result->epoch = append->epoch;
    result->seq = append->producer_seq;
    if (!writer && attempt->stream->writers && attempt->stream->writers->count >= WRITERS_MAX) {
        return refuse(attempt, STREAM_FULL, "the stream has as many producers as it may have");
    }
    if (writer && append->epoch < writer->epoch) {
        result->epoch = writer->epoch;
        return refuse(attempt, STREAM_PRODUCER_STALE, "a newer epoch of this producer has written");
    }
    if (writer && append->epoch > writer->epoch) {
        return append->producer_seq == 0
                   ? STREAM_OK
                   : refuse(attempt, STREAM_PRODUCER_START, "a new epoch starts with Producer-Seq 0");
    }
    if (append->producer_seq > next) {
        result->expected = next;
        return refuse(attempt, STREAM_PRODUCER_GAP, "an append of this producer is missing before this one");
    }
    return append->producer_seq < next ? STREAM_DUPLICATE : STREAM_OK;
}

static enum stream_status judge_seq(const struct attempt *attempt) {
    const struct writers *writers = attempt->stream->writers;
    struct slice seq = attempt->append->seq;
    if (seq.ptr && writers && writers->seq.len > 0 && slice_compare(seq, writers->seq) <= 0) {
        return refuse(attempt, STREAM_SEQ_REGRESSION, "Stream-Seq is not greater than the last one");
    }
    return STREAM_OK;
}

static enum stream_status judge_body(struct attempt *attempt) {
    struct streams *set = attempt->set;
    struct stream_result *result = attempt->result;
    attempt->payload = attempt->append->body.ptr ? attempt->append->body : slice_of("", 0);
    if (attempt->payload.len == 0) {
        return STREAM_OK;
    }
    if (attempt->stream->kind->json) {
        const char *reason;
        buf_clear(&set->stored);
        switch (messages_store(attempt->payload, &set->stored, &reason, &result->position)) {
        case MESSAGES_OK:
            break;
        case MESSAGES_BAD:
            return refuse(attempt, STREAM_BAD_JSON, reason);
        case MESSAGES_MEMORY:
            return refuse(attempt, STREAM_FAILED, "out of memory");
        }
        if (set->stored.len == 0) {
            return refuse(attempt, STREAM_EMPTY_ARRAY, "an empty array appends nothing");
        }
        attempt->payload = buf_slice(&set->stored);
    }
    if (set->bytes + attempt->payload.len > set->options.max_bytes ||
        attempt->stream->staged + attempt->payload.len > STREAM_POSITION_MAX) {
        return refuse(attempt, STREAM_FULL, "the server stores as many bytes as it may store");
    }
    return STREAM_OK;
}

static enum stream_status admit(struct attempt *attempt, struct stream_wait *wait) {
    const struct stream_append *append = attempt->append;
    struct stream *stream = attempt->stream;
    struct change change = {
        .kind = RECORD_APPEND,
        .flags = append->close ? CHANGE_CLOSE : 0,
        .id = stream->id,
        .position = stream->staged,
        .seq = append->seq,
        .writer = {append->producer, append->epoch, append->producer_seq},
    };
    enum stream_status status = commit_prepare(attempt->set, &change, attempt->payload);
    if (status != STREAM_OK) {
        return refuse(attempt, status, commit_refusal(status));
    }
    if (!stream_apply(stream, &change, attempt->payload)) {
        return refuse(attempt, STREAM_FAILED, "out of memory");
    }
    commit_add(stream);
    stream_touch(stream);
    set_answer(attempt->result, STREAM_OK, stream, NULL);
    return commit_finish(stream, wait, attempt->result);
}

/* Its order is that of PROTOCOL.md 5.2: closed, content type, then sequence numbers. */
static enum stream_status judge(struct attempt *attempt, struct stream_wait *wait) {
    const struct stream_append *append = attempt->append;
    if (append->body.len == 0 && !append->close) {
        return refuse(attempt, STREAM_EMPTY_BODY, "an append needs a body");
    }
    if (attempt->stream->staged_closed) {
        return judge_closed(attempt, wait);
    }
    enum stream_status status = judge_type(attempt);
    if (status == STREAM_OK && append->producer.ptr) {
        const struct writer *writer = writers_find(attempt->stream->writers, append->producer);
        status = judge_producer(attempt, writer);
        if (status == STREAM_DUPLICATE) {
            return answer_duplicate(attempt, writer, wait);
        }
    }
    if (status == STREAM_OK) {
        status = judge_seq(attempt);
    }
    if (status == STREAM_OK) {
        status = judge_body(attempt);
    }
    return status == STREAM_OK ? admit(attempt, wait) : status;
}

enum stream_status streams_append(struct streams *set, const struct stream_append *append,
                                  struct stream_wait *wait, struct stream_result *result) {
    struct attempt attempt = {.set = set, .append = append, .result = result};
    enum stream_status status;
    *result = (struct stream_result){0};
    attempt.stream = set_lookup(set, append->path, &status);
    if (!attempt.stream) {
        return refuse(&attempt, status,
                      status == STREAM_GONE ? "the stream is deleted" : "there is no such stream");
    }
    status = check_request(&attempt);
    return status == STREAM_OK ? judge(&attempt, wait) : status;
}
