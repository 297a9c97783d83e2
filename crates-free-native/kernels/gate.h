// The gate of a gated MLP, for every kernel that has one.
#pragma once
#include "device.h"

namespace glimt {

__device__ __forceinline__ float gated(float gate, float up) { return gate / (1.0f + expf(-gate)) * up; }

}  // namespace glimt
