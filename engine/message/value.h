/* Messages of which nothing is asked but that they are JSON: for whoever hands them on as they are. */
#ifndef MESSAGE_VALUE_H
#define MESSAGE_VALUE_H

#include "message/message.h"

/* A message_decode (message/message.h) that takes any JSON value; decoder is not looked at. */
enum message_status value_decode(void *decoder, const char **at, const char *end, struct error *e);

#endif
