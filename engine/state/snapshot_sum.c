#include "state/snapshot_sum.h"

#include <xxhash.h>

uint64_t snapshot_sum(const void *ptr, size_t len) {
#if defined(__x86_64__)
    if (snapshot_sum_is_avx2 && __builtin_cpu_supports("avx2")) {
        return snapshot_sum_avx2(ptr, len);
    }
#endif
    return XXH3_64bits(ptr, len);
}
