/* A server with many streams: how soon it is there again, and whether all of them are. */
#ifndef CRASH_MANY_H
#define CRASH_MANY_H

/* Ends the test where something is wrong; prints a line for each state of the folder. */
void many_run(const char *program, const char *folder, unsigned streams);

#endif
