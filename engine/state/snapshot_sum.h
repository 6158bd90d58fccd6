/* The checksum of snapshots: XXH3, 64 bits, with the widest instructions of the machine. The library as Debian
 * has it is compiled for the oldest one. Private to the room. */
#ifndef STATE_SNAPSHOT_SUM_H
#define STATE_SNAPSHOT_SUM_H

#include <stddef.h>
#include <stdint.h>

uint64_t snapshot_sum(const void *ptr, size_t len);

/* Compiled for AVX2, where the compiler can; elsewhere it is snapshot_sum_is_avx2 that says no. */
uint64_t snapshot_sum_avx2(const void *ptr, size_t len);
extern const int snapshot_sum_is_avx2;

#endif
