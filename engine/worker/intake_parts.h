/* What the files of the intake share. Private to them. */
#ifndef WORKER_INTAKE_PARTS_H
#define WORKER_INTAKE_PARTS_H

#include "worker/intake.h"

/* Bytes have come: what follows the events that are being given may be decoded meanwhile. */
void intake_look_behind(struct intake *intake);

/* A source that was paused goes on where at most so many bytes wait. */
void intake_resume(struct intake *intake, size_t most);

/* The stream is over, for what e says. */
void intake_fail(struct intake *intake, const struct error *e);

/* The connection broke inside a chunk, or its bytes are no use: it will come again from its start. */
void intake_expect_again(struct intake *intake);

/* The chunk's framing is broken, e says where. The source reads it again, or, when that is no use, fails. */
void intake_reject(struct intake *intake, struct error *e);

#endif
