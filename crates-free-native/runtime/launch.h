// launch(stream, "name", kernel, grid, block, shared bytes, arguments...): for kernel files only.
#pragma once
#include <type_traits>

#include "../kernels/device.h"
#include "runtime.h"

namespace glimt::rt {

#if defined(__CUDACC__)

// Throws when the launch is refused; grants the kernel its shared memory when that is above 48 KiB.
void launch_kernel(Stream stream, const char* name, const void* kernel, dim3 grid, dim3 block, size_t shared_bytes,
                   void** arguments);

template <class... P, class... A>
void launch(Stream stream, const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
            const A&... arguments) {
  // Each argument is converted to the parameter's type first, as a plain call would.
  [&](std::remove_const_t<P>... converted) {
    void* pointers[] = {static_cast<void*>(&converted)...};
    launch_kernel(stream, name, reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, pointers);
  }(static_cast<std::remove_const_t<P>>(arguments)...);
}

#else

void launch_body(Stream stream, const char* name, emu::Index3 grid, emu::Index3 block, size_t shared_bytes,
                 std::function<void()> body);

template <class... P, class... A>
void launch(Stream stream, const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
            const A&... arguments) {
  launch_body(stream, name, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes,
              [=] { kernel(static_cast<std::remove_const_t<P>>(arguments)...); });
}

#endif

inline unsigned blocks_for(size_t count, size_t per_block) {
  return static_cast<unsigned>((count + per_block - 1) / per_block);
}

}  // namespace glimt::rt
