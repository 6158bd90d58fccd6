#include "message/slicer.h"

#include <string.h>

#include "json/read.h"
#include "json/scan.h"

enum { LOOK_BEYOND = 128 };

enum state {
    AT_START,
    AT_FIRST,   /* behind '[' */
    AT_MESSAGE, /* a message must follow */
    AT_COMMA,   /* behind a message of an array */
    AT_LINE,
    AT_END, /* behind ']' */
};

void slicer_init(struct slicer *slicer, size_t message_max, message_decode *decode, void *decoder) {
    *slicer = (struct slicer){.message_max = message_max, .decode = decode, .decoder = decoder};
}

void slicer_begin(struct slicer *slicer, enum slicer_format format) {
    message_known *known = slicer->known;
    slicer_init(slicer, slicer->message_max, slicer->decode, slicer->decoder);
    slicer->known = known;
    slicer->format = format;
    slicer->state = AT_START;
}

static void move(struct slicer *slicer, const char **at, const char *to) {
    slicer->taken += (uint64_t)(to - *at);
    *at = to;
}

static void skip_space(struct slicer *slicer, const char **at, const char *end) {
    move(slicer, at, json_skip_space(*at, end));
}

static enum slicer_status broken(struct slicer *slicer, const char *at, const char *end, bool cut,
                                 const char *reason, struct error *e) {
    struct json_fault fault = {at, reason};
    json_fault_error(cut ? JSON_CUT : JSON_BAD, &fault, at, end, e);
    slicer->position = slicer->taken;
    return SLICER_BROKEN;
}

static enum slicer_status too_long(struct slicer *slicer, struct error *e) {
    slicer->position = slicer->taken;
    error_set(e, ERROR_LIMIT, "a message is longer than %zu bytes: raise limits.message",
              slicer->message_max);
    return SLICER_FAILED;
}

/* The decoder's word on the message at *at, whose bytes end at `end`. */
static enum slicer_status judge(struct slicer *slicer, const char **at, const char *end,
                                enum message_status status) {
    slicer->message = json_trim(slice_of(*at, (size_t)(end - *at)));
    slicer->position = slicer->taken;
    slicer->index = slicer->found;
    if (status == MESSAGE_FAILED) {
        return SLICER_FAILED;
    }
    slicer->found++;
    slicer->framing = false;
    move(slicer, at, end);
    return status == MESSAGE_OK ? SLICER_MESSAGE : SLICER_REFUSED;
}

/* What was found to end is not the text. */
static void cut_short(const char *what, struct error *e) {
    size_t position = e->position;
    error_set(e, ERROR_CUT, "the %s ends in the middle of a value", what);
    e->position = position;
}

/* The line [start, end) must be one message with nothing but white space behind it. The window goes on up
 * to `limit`: decoders are fastest where they may look a little beyond the message. */
static enum message_status decode_line(struct slicer *slicer, const char *start, const char *end,
                                       const char *limit, struct error *e) {
    const char *at = start;
    const char *beyond = limit - end > LOOK_BEYOND ? end + LOOK_BEYOND : limit;
    enum message_status status = slicer->decode(slicer->decoder, &at, beyond, e);
    if (at > end || (status != MESSAGE_OK && status != MESSAGE_FAILED && end < beyond)) {
        at = start;
        status = slicer->decode(slicer->decoder, &at, end, e);
    }
    if (status == MESSAGE_CUT) {
        cut_short("line", e);
    }
    if (status != MESSAGE_OK && status != MESSAGE_REFUSED) {
        return status;
    }
    const char *rest = json_skip_space(at, end);
    if (rest != end) {
        struct json_fault fault = {rest, "expected the end of the line"};
        json_fault_error(JSON_BAD, &fault, start, end, e);
        return MESSAGE_INVALID;
    }
    return status;
}

/* The message's end is not in the window, or it is not valid: look for its frame. */
static enum slicer_status next_framed(struct slicer *slicer, const char **at, const char *end, bool last,
                                      struct error *e) {
    size_t len;
    if (!slicer->framing) {
        json_frame_init(&slicer->frame);
        slicer->framing = true;
    }
    bool found = json_frame_find(&slicer->frame, *at, end, &len);
    bool too_far = !found && slicer->frame.seen > slicer->message_max;
    if (!found && !last && !too_far) {
        return SLICER_MORE;
    }
    const char *stop = found ? *at + len : end;
    const char *behind = *at;
    enum message_status status = slicer->decode(slicer->decoder, &behind, stop, e);
    if (found && status == MESSAGE_CUT) {
        cut_short("message", e);
    }
    if (status == MESSAGE_OK || status == MESSAGE_REFUSED) {
        stop = behind; /* what follows has to be a comma or the end, or is white space in front of it */
    } else if (too_far) {
        return too_long(slicer, e);
    } else if (!found && status != MESSAGE_FAILED) {
        slicer->position = slicer->taken;
        slicer->index = slicer->found;
        return SLICER_BROKEN;
    }
    return (size_t)(stop - *at) > slicer->message_max ? too_long(slicer, e) : judge(slicer, at, stop, status);
}

/* A number may go on in the bytes that follow; everything else ends visibly. */
static bool may_go_on(const char *start) {
    return *start == '-' || (*start >= '0' && *start <= '9');
}

static enum slicer_status next_in_array(struct slicer *slicer, const char **at, const char *end, bool last,
                                        struct error *e) {
    if (slicer->framing) {
        enum slicer_status framed = next_framed(slicer, at, end, last, e);
        if (framed == SLICER_MESSAGE || framed == SLICER_REFUSED) {
            slicer->state = AT_COMMA;
        }
        return framed;
    }
    const char *behind = *at;
    enum message_status status = slicer->decode(slicer->decoder, &behind, end, e);
    bool whole = (status == MESSAGE_OK || status == MESSAGE_REFUSED) &&
                 !(behind == end && !last && may_go_on(*at));
    enum slicer_status answer;
    if (whole || status == MESSAGE_FAILED) {
        answer = (size_t)(behind - *at) > slicer->message_max ? too_long(slicer, e)
                                                              : judge(slicer, at, behind, status);
    } else {
        answer = next_framed(slicer, at, end, last, e);
    }
    if (answer == SLICER_MESSAGE || answer == SLICER_REFUSED) {
        slicer->state = AT_COMMA;
    }
    return answer;
}

/* A line that the decoder knows at first sight, with nothing behind its message. */
static inline bool is_known(struct slicer *slicer, const char **at, const char *end) {
    const char *behind = *at;
    if (!slicer->known || slicer->framing || !slicer->known(slicer->decoder, &behind, end)) {
        return false;
    }
    slicer->message = slice_of(*at, (size_t)(behind - *at));
    behind += end - behind > 1 && *behind == '\r';
    if (behind == end || *behind != '\n' || slicer->message.len > slicer->message_max) {
        return false;
    }
    slicer->position = slicer->taken;
    slicer->index = slicer->found++;
    slicer->line++;
    move(slicer, at, behind + 1);
    return true;
}

static enum slicer_status next_line(struct slicer *slicer, const char **at, const char *end, bool last,
                                    struct error *e) {
    for (;;) {
        size_t seen = slicer->framing ? slicer->frame.seen : 0;
        const char *newline = memchr(*at + seen, '\n', (size_t)(end - *at) - seen);
        const char *stop = newline ? newline : end;
        if ((size_t)(stop - *at) > slicer->message_max) {
            slicer->line++;
            return too_long(slicer, e);
        }
        if (!newline && !last) {
            slicer->framing = true;
            slicer->frame.seen = (size_t)(end - *at);
            return SLICER_MORE;
        }
        slicer->framing = false;
        slicer->line++;
        const char *behind = newline ? newline + 1 : end;
        move(slicer, at, json_skip_space(*at, stop));
        if (*at < stop) {
            enum message_status status = decode_line(slicer, *at, stop, end, e);
            enum slicer_status answer = judge(slicer, at, stop, status);
            if (answer != SLICER_FAILED) {
                move(slicer, at, behind);
            }
            return answer;
        }
        move(slicer, at, behind);
        if (*at == end) {
            return last ? SLICER_END : SLICER_MORE;
        }
    }
}

static uint64_t count_lines(const char *at, const char *end) {
    uint64_t count = 0;
    while ((at = memchr(at, '\n', (size_t)(end - at)))) {
        at++;
        count++;
    }
    return count;
}

/* Decides the format and moves behind '[' or a byte order mark. False: see *answer. */
static bool start(struct slicer *slicer, const char **at, const char *end, bool last,
                  enum slicer_status *answer, struct error *e) {
    static const char mark[] = "\xEF\xBB\xBF";
    size_t left = (size_t)(end - *at);
    if (slicer->taken == 0 && left < 3 && !last && memcmp(*at, mark, left) == 0) {
        *answer = SLICER_MORE;
        return false;
    }
    if (slicer->taken == 0 && left >= 3 && memcmp(*at, mark, 3) == 0) {
        move(slicer, at, *at + 3);
    }
    if (slicer->format != SLICER_LINES) {
        const char *from = *at;
        skip_space(slicer, at, end);
        slicer->line += count_lines(from, *at);
    }
    if (*at == end) {
        *answer = last ? SLICER_END : SLICER_MORE;
        return false;
    }
    if (slicer->format == SLICER_AUTO) {
        slicer->format = **at == '[' ? SLICER_ARRAY : SLICER_LINES;
    }
    if (slicer->format == SLICER_LINES) {
        slicer->state = AT_LINE;
        return true;
    }
    if (**at != '[') {
        *answer = broken(slicer, *at, end, false, "expected '[', the start of a JSON array", e);
        return false;
    }
    move(slicer, at, *at + 1);
    slicer->state = AT_FIRST;
    return true;
}

/* Between messages of an array: moves onto the next one. False: see *answer. */
static bool between(struct slicer *slicer, const char **at, const char *end, bool last,
                    enum slicer_status *answer, struct error *e) {
    skip_space(slicer, at, end);
    if (*at == end) {
        *answer = last ? broken(slicer, *at, end, true, "the array is not closed: expected ',' or ']'", e)
                       : SLICER_MORE;
        return false;
    }
    if (**at == ']' && slicer->state != AT_MESSAGE) {
        move(slicer, at, *at + 1);
        slicer->state = AT_END;
        return true;
    }
    if (slicer->state == AT_COMMA) {
        if (**at != ',') {
            *answer = broken(slicer, *at, end, false, "expected ',' or ']'", e);
            return false;
        }
        move(slicer, at, *at + 1);
        slicer->state = AT_MESSAGE;
        return true;
    }
    if (**at == ']' || **at == ',' || **at == '}') {
        *answer = broken(slicer, *at, end, false, "expected a message", e);
        return false;
    }
    slicer->state = AT_MESSAGE;
    return true;
}

static enum slicer_status behind_array(struct slicer *slicer, const char **at, const char *end, bool last,
                                       struct error *e) {
    skip_space(slicer, at, end);
    if (*at < end) {
        return broken(slicer, *at, end, false, "expected nothing behind the array's ']'", e);
    }
    return last ? SLICER_END : SLICER_MORE;
}

enum slicer_status slicer_next(struct slicer *slicer, const char **at, const char *end, bool last,
                               struct error *e) {
    enum slicer_status answer;
    for (;;) {
        switch ((enum state)slicer->state) {
        case AT_START:
            if (!start(slicer, at, end, last, &answer, e)) {
                return answer;
            }
            break;
        case AT_FIRST:
        case AT_COMMA:
            if (!between(slicer, at, end, last, &answer, e)) {
                return answer;
            }
            break;
        case AT_MESSAGE:
            if (!slicer->framing && !between(slicer, at, end, last, &answer, e)) {
                return answer;
            }
            return next_in_array(slicer, at, end, last, e);
        case AT_LINE:
            if (*at == end) {
                return last ? SLICER_END : SLICER_MORE;
            }
            return is_known(slicer, at, end) ? SLICER_MESSAGE : next_line(slicer, at, end, last, e);
        case AT_END:
            return behind_array(slicer, at, end, last, e);
        }
    }
}
