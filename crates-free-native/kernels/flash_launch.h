// Starts flash_kernel; a file of its own, since each including file instantiates the kernels it asks for.
#pragma once
#include "../runtime/launch.h"
#include "flash.h"

namespace glimt {

template <class T, bool Paged>
void launch_flash(const KernelContext& context, const char* name, const AttentionInput& input) {
  with_head_dim(input.head_dim, [&](auto size) {
    constexpr int kHeadDim = decltype(size)::value;
    // Each sequence may end in a tile that is not full.
    const dim3 grid(static_cast<unsigned>(input.q.rows / kTileRows + input.sequences), input.heads);
    rt::launch(context.stream, name, flash_kernel<T, kHeadDim, Paged>, grid, kFlashBlock,
               sizeof(FlashShared<T, kHeadDim>), flash_arguments<T>(input));
  });
}

}  // namespace glimt
