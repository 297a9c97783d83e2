// The device functions the engine needs, chosen at compile time: CUDA (runtime_cuda.cu) or the emulator
// (runtime_emulator.cpp). All throw glimt::Error.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace glimt::rt {

#if defined(GLIMT_EMULATOR)
constexpr bool kEmulated = true;
#else
constexpr bool kEmulated = false;
#endif

// Opaque: cudaStream_t, cudaEvent_t, cudaGraphExec_t; or the emulator's own.
using Stream = struct StreamHandle*;
using Event = struct EventHandle*;
using Graph = struct GraphHandle*;

struct DeviceInfo {
  std::string name;
  int major = 0, minor = 0, multiprocessors = 0, driver_version = 0, runtime_version = 0;
  uint64_t total_bytes = 0, free_bytes = 0;
};

// ---- devices. BACKEND_UNAVAILABLE says what is missing and what to do. ----
int device_count();
DeviceInfo device_info(int device);
// Makes `device` the calling thread's; needed at the start of each call from another thread.
void use_device(int device);
void memory_info(uint64_t* free_bytes, uint64_t* total_bytes);

// ---- memory. OUT_OF_MEMORY names the size. ----
void* allocate(size_t bytes);
void release(void* memory) noexcept;
void* allocate_pinned(size_t bytes);
void release_pinned(void* memory) noexcept;

// ---- streams and events ----
Stream create_stream();
void destroy_stream(Stream stream) noexcept;
void synchronize(Stream stream);
void copy_to_device(Stream stream, void* to, const void* from, size_t bytes);
void copy_to_host(Stream stream, void* to, const void* from, size_t bytes);
void copy_on_device(Stream stream, void* to, const void* from, size_t bytes);
void fill(Stream stream, void* memory, int byte, size_t bytes);
// Emulator: forgets the contents (NaN in every float type), so that reading them shows. CUDA: nothing.
void poison(Stream stream, void* memory, size_t bytes);
Event create_event();
void destroy_event(Event event) noexcept;
void record(Event event, Stream stream);
// Waits until the event, recorded in `stream`, has happened.
void wait(Event event, Stream stream);
// Both events must have happened.
double milliseconds_between(Event first, Event second);

// Kernels that the calling thread has launched or recorded.
uint64_t kernel_launches();

// ---- graphs: what is launched between begin and end is recorded instead of run ----
void begin_capture(Stream stream);
// Ends the capture and instantiates it. Also after a failure inside of it; then call `abandon_capture`.
Graph end_capture(Stream stream);
void abandon_capture(Stream stream) noexcept;
void launch_graph(Graph graph, Stream stream);
void destroy_graph(Graph graph) noexcept;

}  // namespace glimt::rt
