#include "state/snapshot_sum.h"

#if defined(__AVX2__)

#define XXH_INLINE_ALL /* compiled here, for this machine */
#include <xxhash.h>

const int snapshot_sum_is_avx2 = 1;

#else

#include <xxhash.h>

const int snapshot_sum_is_avx2 = 0;

#endif

uint64_t snapshot_sum_avx2(const void *ptr, size_t len) {
    return XXH3_64bits(ptr, len);
}
