/* Text that may be shown to anybody: what came with a stream must neither steer a terminal nor break a log. */
#ifndef BASE_PLAIN_H
#define BASE_PLAIN_H

/* Replaces, in place, each byte that is not UTF-8 (the rest of a character that was cut too) by '?'. */
void plain_utf8(char *text);

/* The same, and each control character but tab and line end; those of two bytes (U+0080 to U+009F), which
 * terminals obey as well, become two. */
void plain_text(char *text);

#endif
