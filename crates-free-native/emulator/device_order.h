// Whether an access to device memory is ordered after the write it meets, in the launch that runs: within a block by a
// barrier; between blocks by a __threadfence behind the write, an atomic update of the writing block, a later one of the
// same word by the reading block, and a __threadfence there, with barriers where the threads are not the same.
// Blocks run one after another here, so that without this a missing fence would never show.
#pragma once
#include <cstdint>

namespace glimt::emu {

// What is known of a byte of device memory: nobody wrote it, an earlier launch or a copy did, or a stamp.
constexpr uint32_t kNotWritten = 0, kWrittenBefore = 1;

void device_order_launch_started();
void device_order_block_started();
void device_order_fence();
// Of a word of device memory, by the running thread.
void device_order_update(const void* address);
// The stamp of what the running thread writes now.
uint32_t device_order_stamp(bool is_atomic);
// What is missing between the write with that stamp and an access of the running thread now, or null.
const char* device_order_complaint(uint32_t stamp, const void* address, bool is_atomic);

}  // namespace glimt::emu
