/* Floats as text and back, with a point, whatever the locale has in its place: a script may have set one. */
#ifndef BASE_REAL_H
#define BASE_REAL_H

#include <stddef.h>

/* Bytes for a float's text, with room for what a locale's point takes. */
#define REAL_ROOM 48

/* Writes the shortest of %.15g, %.16g and %.17g that reads back as the same float: "0.1", "1e+20", "3"; "inf" and
 * "nan" as they are. Returns its length; there is no NUL behind it. */
size_t real_write(double real, char text[REAL_ROOM]);

/* What strtod makes of the text, which ends with a NUL. */
double real_read(const char *text);

#endif
