// The part of NCCL's C interface that is used, declared here so that building needs no NCCL. Its values are fixed by the
// library's ABI; where the header is installed they are compared with it.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <type_traits>

namespace glimt::rt::nccl {

constexpr int kSuccess = 0, kSum = 0;
constexpr int kInt32 = 2, kFloat16 = 6, kFloat32 = 7, kBfloat16 = 9;
// 2.18: the first with ncclCommSplit.
constexpr int kLeastVersion = 21800;

struct UniqueId {
  char internal[128];
};

using Comm = struct CommTag*;

struct Api {
  int (*version)(int*);
  const char* (*error_string)(int);
  const char* (*last_error)(Comm);
  int (*unique_id)(UniqueId*);
  int (*init)(Comm*, int ranks, UniqueId, int rank);
  int (*split)(Comm, int color, int key, Comm*, void* config);
  int (*async_error)(Comm, int*);
  int (*abort)(Comm);
  int (*all_reduce)(const void*, void*, size_t count, int type, int op, Comm, cudaStream_t);
  int (*all_gather)(const void*, void*, size_t count, int type, Comm, cudaStream_t);
  int (*reduce_scatter)(const void*, void*, size_t count, int type, int op, Comm, cudaStream_t);
  int (*send)(const void*, size_t count, int type, int peer, Comm, cudaStream_t);
  int (*receive)(void*, size_t count, int type, int peer, Comm, cudaStream_t);
};

}  // namespace glimt::rt::nccl

#if __has_include(<nccl.h>)
#include <nccl.h>
namespace glimt::rt::nccl {
static_assert(kSuccess == ncclSuccess && kSum == ncclSum);
static_assert(kInt32 == ncclInt32 && kFloat16 == ncclFloat16 && kFloat32 == ncclFloat32 && kBfloat16 == ncclBfloat16);
static_assert(sizeof(UniqueId) == sizeof(ncclUniqueId) && NCCL_VERSION(2, 18, 0) == kLeastVersion);

// A declaration of ours and the header's function take the same arguments: enumerations are ints, handles pointers.
template <class T>
struct Plain {
  using Type = T;
};
template <class T>
  requires(std::is_enum_v<T>)
struct Plain<T> {
  using Type = int;
};
template <class T>
struct Plain<T*> {
  using Type = void*;
};
template <>
struct Plain<const char*> {
  using Type = const char*;
};
template <>
struct Plain<ncclUniqueId> {
  using Type = UniqueId;
};
template <class R, class... A>
constexpr auto plain(R (*)(A...)) {
  return static_cast<typename Plain<R>::Type (*)(typename Plain<A>::Type...)>(nullptr);
}
#define GLIMT_SAME(member, function) \
  static_assert(std::is_same_v<decltype(plain(Api{}.member)), decltype(plain(&function))>)
GLIMT_SAME(version, ncclGetVersion);
GLIMT_SAME(error_string, ncclGetErrorString);
GLIMT_SAME(last_error, ncclGetLastError);
GLIMT_SAME(unique_id, ncclGetUniqueId);
GLIMT_SAME(init, ncclCommInitRank);
GLIMT_SAME(split, ncclCommSplit);
GLIMT_SAME(async_error, ncclCommGetAsyncError);
GLIMT_SAME(abort, ncclCommAbort);
GLIMT_SAME(all_reduce, ncclAllReduce);
GLIMT_SAME(all_gather, ncclAllGather);
GLIMT_SAME(reduce_scatter, ncclReduceScatter);
GLIMT_SAME(send, ncclSend);
GLIMT_SAME(receive, ncclRecv);
#undef GLIMT_SAME
}  // namespace glimt::rt::nccl
#endif
