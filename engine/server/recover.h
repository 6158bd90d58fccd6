/* Reads a folder: the index, then the journals behind it. */
#ifndef SERVER_RECOVER_H
#define SERVER_RECOVER_H

#include "server/set.h"

/* Fills an empty set, cuts the torn end of the last journal, and opens it for writing. False with e. */
bool recover_folder(struct streams *set, struct error *e);

#endif
