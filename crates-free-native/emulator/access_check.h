// Looks at every memory access of a kernel, in builds with GLIMT_CHECK_ACCESSES. The compiler's instrumentation for data
// races (-fsanitize=thread) calls us instead of its own library; the emulator's instructions call `note_*` themselves.
// Found are: accesses outside of an allocation, reads of what nobody wrote, reads of what a cp.async has not delivered,
// misaligned accesses, races on shared memory (two threads, one writes, no barrier between; what a wgmma reads counts
// as read by others until a barrier after the wait), and on device memory (device_order.h).
#pragma once
#include <cstddef>
#include <cstdint>

namespace glimt::emu {

#if defined(GLIMT_CHECK_ACCESSES)
// An access by the running thread. `whole_warp`: made for all lanes together (ldmatrix).
void note_read(const void* address, size_t bytes, bool whole_warp = false);
void note_write(const void* address, size_t bytes);
// An atomic update: no race with others, but with plain accesses.
void note_atomic(const void* address, size_t bytes);
// The target of a cp.async, from its start to the wait.
void note_copy_started(const void* address, size_t bytes);
void note_copy_arrived(const void* address, size_t bytes);
// What a wgmma reads, when it is issued and when it has been waited for.
void note_wgmma_read_started(const void* address, size_t bytes);
void note_wgmma_read_ended(const void* address, size_t bytes);
// A __threadfence of the running thread.
void note_fence();
void note_launch_started();
// Its shared memory is fresh.
void note_block_started();
// Device memory that was written, or forgotten, by something else than a kernel.
void note_device_memory(const void* address, size_t bytes, bool written);
void note_device_memory_freed(const void* address);
#else
inline void note_read(const void*, size_t, bool = false) {}
inline void note_write(const void*, size_t) {}
inline void note_atomic(const void*, size_t) {}
inline void note_copy_started(const void*, size_t) {}
inline void note_copy_arrived(const void*, size_t) {}
inline void note_wgmma_read_started(const void*, size_t) {}
inline void note_wgmma_read_ended(const void*, size_t) {}
inline void note_fence() {}
inline void note_launch_started() {}
inline void note_block_started() {}
inline void note_device_memory(const void*, size_t, bool) {}
inline void note_device_memory_freed(const void*) {}
#endif

}  // namespace glimt::emu
