// Starts flash_kernel; a file of its own, since each including file instantiates the kernels it asks for.
#pragma once
#include "../runtime/launch.h"
#include "flash.h"

namespace glimt {

template <class T, bool Paged>
void launch_flash(const KernelContext& context, const char* name, const AttentionCall& call) {
  with_head_dim(call.head_dim, [&](auto size) {
    constexpr int kHeadDim = decltype(size)::value;
    // Each sequence may end in a tile that is not full.
    const dim3 grid(static_cast<unsigned>(call.q.rows / kTileRows + call.sequences), call.heads);
    rt::launch(context.stream, name, flash_kernel<T, kHeadDim, Paged>, grid, kFlashBlock,
               sizeof(FlashShared<T, kHeadDim>), flash_arguments<T>(call));
  });
}

}  // namespace glimt
