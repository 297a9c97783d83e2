// The device functions on a real GPU, through the CUDA runtime (linked statically: it loads without a driver).
#include <cuda_runtime.h>
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_set>

#include "error.h"
#include "launch.h"
#include "runtime.h"

namespace glimt::rt {

namespace {

std::string describe(cudaError_t status) {
  return std::string(cudaGetErrorString(status)) + " (" + cudaGetErrorName(status) + ")";
}

// For everything but allocation: what fails here leaves the device unusable or the call wrong.
void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  // A sticky error stays; any other must not be reported again by the next call.
  cudaGetLastError();
  throw Error("DEVICE_FAILED", std::string("CUDA: ") + what + " failed: " + describe(status) + ".");
}

std::string format_mib(uint64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

std::string format_version(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// The clearest reason there is for not having a device, before the runtime is asked.
void require_driver() {
  static const std::string reason = [] {
    if (dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)) return std::string();
    return "There is no NVIDIA driver on this machine (" + std::string(dlerror()) +
           "). Install one, or use another backend.";
  }();
  if (!reason.empty()) throw Error("BACKEND_UNAVAILABLE", reason);
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (driver / 1000 < runtime / 1000)
    throw Error("BACKEND_UNAVAILABLE", "The NVIDIA driver supports CUDA " + format_version(driver) +
                                           ", this build needs " + std::to_string(runtime / 1000) +
                                           ".0 or later. Update the driver, or install the package for CUDA " +
                                           std::to_string(driver / 1000) + ".");
}

// Programmatic dependent launch: Hopper and later; GLIMT_OVERLAP=0 turns it off.
bool can_overlap() {
  static const bool allowed = [] {
    const char* wish = std::getenv("GLIMT_OVERLAP");
    return !wish || std::strcmp(wish, "0") != 0;
  }();
  thread_local int known_device = -1, major = 0;
  int device = 0;
  cudaGetDevice(&device);
  if (device != known_device) {
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    known_device = device;
  }
  return allowed && major >= 9;
}

cudaStream_t native(Stream stream) { return reinterpret_cast<cudaStream_t>(stream); }
cudaEvent_t native(Event event) { return reinterpret_cast<cudaEvent_t>(event); }
cudaGraphExec_t native(Graph graph) { return reinterpret_cast<cudaGraphExec_t>(graph); }

}  // namespace

int device_count() {
  require_driver();
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    cudaGetLastError();
    throw Error("BACKEND_UNAVAILABLE", "No CUDA device can be used: " +
                                           (status == cudaSuccess ? "none is there" : describe(status)) +
                                           ". Look at nvidia-smi and CUDA_VISIBLE_DEVICES.");
  }
  return count;
}

DeviceInfo device_info(int device) {
  const int count = device_count();
  if (device < 0 || device >= count)
    throw Error("BACKEND_UNAVAILABLE",
                "Device " + std::to_string(device) + " does not exist: there are " + std::to_string(count) + ".");
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "reading the device's properties");
  if (properties.major < 8)
    throw Error("BACKEND_UNAVAILABLE", std::string(properties.name) + " has compute capability " +
                                           std::to_string(properties.major) + "." + std::to_string(properties.minor) +
                                           "; 8.0 (Ampere) or later is needed.");
  DeviceInfo info;
  info.name = properties.name;
  info.major = properties.major;
  info.minor = properties.minor;
  info.multiprocessors = properties.multiProcessorCount;
  cudaDriverGetVersion(&info.driver_version);
  cudaRuntimeGetVersion(&info.runtime_version);
  use_device(device);
  memory_info(&info.free_bytes, &info.total_bytes);
  return info;
}

void use_device(int device) { check(cudaSetDevice(device), "choosing the device"); }

void memory_info(uint64_t* free_bytes, uint64_t* total_bytes) {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for free memory");
  *free_bytes = free;
  *total_bytes = total;
}

void* allocate(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    uint64_t free = 0, total = 0;
    memory_info(&free, &total);
    throw Error("OUT_OF_MEMORY", "Device memory: " + format_mib(bytes) + " wanted, " + format_mib(free) + " of " +
                                     format_mib(total) + " free.");
  }
  check(status, "allocating device memory");
  return memory;
}

void release(void* memory) noexcept {
  if (memory) cudaFree(memory);
}

void* allocate_pinned(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaHostAlloc(&memory, bytes, cudaHostAllocDefault);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw Error("OUT_OF_MEMORY", "Page-locked host memory: " + format_mib(bytes) + " were refused.");
  }
  check(status, "allocating page-locked memory");
  return memory;
}

void release_pinned(void* memory) noexcept {
  if (memory) cudaFreeHost(memory);
}

Stream create_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  return reinterpret_cast<Stream>(stream);
}
void destroy_stream(Stream stream) noexcept { cudaStreamDestroy(native(stream)); }
void synchronize(Stream stream) { check(cudaStreamSynchronize(native(stream)), "running a program"); }

void copy_to_device(Stream stream, void* to, const void* from, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, native(stream)), "copying to the device");
}
void copy_to_host(Stream stream, void* to, const void* from, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, native(stream)), "copying from the device");
}
void copy_on_device(Stream stream, void* to, const void* from, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, native(stream)), "copying on the device");
}
void fill(Stream stream, void* memory, int byte, size_t bytes) {
  check(cudaMemsetAsync(memory, byte, bytes, native(stream)), "filling device memory");
}

void poison(Stream, void*, size_t) {}

Event create_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "creating an event");
  return reinterpret_cast<Event>(event);
}
void destroy_event(Event event) noexcept { cudaEventDestroy(native(event)); }
void record(Event event, Stream stream) { check(cudaEventRecord(native(event), native(stream)), "recording an event"); }
void wait(Event event, Stream) { check(cudaEventSynchronize(native(event)), "running a program"); }
double milliseconds_between(Event first, Event second) {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, native(first), native(second)), "reading an event");
  return milliseconds;
}

void begin_capture(Stream stream) {
  check(cudaStreamBeginCapture(native(stream), cudaStreamCaptureModeThreadLocal), "starting a capture");
}

Graph end_capture(Stream stream) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(native(stream), &graph), "ending a capture");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "instantiating a graph");
  return reinterpret_cast<Graph>(executable);
}

void abandon_capture(Stream stream) noexcept {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  if (cudaStreamIsCapturing(native(stream), &status) == cudaSuccess && status != cudaStreamCaptureStatusNone) {
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(native(stream), &graph);
    if (graph) cudaGraphDestroy(graph);
  }
  cudaGetLastError();
}

void launch_graph(Graph graph, Stream stream) {
  check(cudaGraphLaunch(native(graph), native(stream)), "launching a graph");
}
void destroy_graph(Graph graph) noexcept { cudaGraphExecDestroy(native(graph)); }

namespace {
thread_local uint64_t t_launches = 0;
}
uint64_t kernel_launches() { return t_launches; }

void launch_kernel(Stream stream, const char* name, const void* kernel, dim3 grid, dim3 block, size_t shared_bytes,
                   void** arguments) {
  if (shared_bytes > 48 * 1024) {
    // Once a kernel (and device) is enough; the set only spares the call.
    static std::mutex mutex;
    static std::unordered_set<const void*> granted;
    std::lock_guard lock(mutex);
    int device = 0;
    cudaGetDevice(&device);
    const void* key = static_cast<const char*>(kernel) + device;
    if (granted.insert(key).second)
      check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
            name);
  }
  // Every kernel begins with start_kernel, so it may be put on the device before its predecessor ends.
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = native(stream);
  config.attrs = &overlap;
  config.numAttrs = can_overlap() ? 1 : 0;
  check(cudaLaunchKernelExC(&config, kernel, arguments), name);
  t_launches++;
}

}  // namespace glimt::rt
