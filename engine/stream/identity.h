/* Random names: for producers that need none of their own, and whatever else needs one. */
#ifndef STREAM_IDENTITY_H
#define STREAM_IDENTITY_H

#include <stdbool.h>

#include "base/error.h"

enum { IDENTITY_TEXT = 40 };

/* A random UUID, version 4, with its NUL. False with e: the system gave no random bytes. */
bool identity_make(char text[IDENTITY_TEXT], struct error *e);

#endif
