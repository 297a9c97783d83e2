// The C interface over Engine: exceptions become error structs, handles become pointers.
#include <algorithm>
#include <cstring>
#include <new>

#include "engine.h"
#include "executable.h"
#include "glimt_engine.h"
#include "kernels/op_entry.h"
#include "runtime/error.h"
#if defined(GLIMT_EMULATOR)
#include "emulator/block.h"
#include "runtime/emulator_control.h"
#endif

using glimt::Engine;
using glimt::Error;
using glimt::Executable;
using glimt::Tensor;

namespace {

void fill_error(glimt_error* error, const char* code, const char* message) {
  if (!error) return;
  std::snprintf(error->code, sizeof error->code, "%s", code);
  std::snprintf(error->message, sizeof error->message, "%s", message);
}

template <class F>
int guarded(glimt_error* error, F&& body) {
  try {
    body();
    return 0;
  } catch (const Error& failure) {
    fill_error(error, failure.code(), failure.what());
  } catch (const std::bad_alloc&) {
    fill_error(error, "OUT_OF_MEMORY", "Host memory is exhausted.");
  } catch (const std::exception& failure) {
    fill_error(error, "DEVICE_FAILED", failure.what());
  }
  return 1;
}

Engine* engine_of(glimt_engine* handle) {
  if (!handle) throw Error("DISPOSED", "The engine was disposed of.");
  return reinterpret_cast<Engine*>(handle);
}

// One call at a time, on the engine's device.
template <class F>
int with_engine(glimt_engine* handle, glimt_error* error, F&& body) {
  return guarded(error, [&] {
    Engine* engine = engine_of(handle);
    std::lock_guard lock(engine->mutex);
    engine->enter();
    body(*engine);
  });
}

glimt::program::DType dtype_of(uint32_t dtype) {
  if (dtype >= glimt::program::kFormatCount)
    throw Error("INPUT_INVALID", "The dtype " + std::to_string(dtype) + " does not exist.");
  return static_cast<glimt::program::DType>(dtype);
}

// The other ranks need not wait for it.
void fail_seat(const glimt_group_seat& seat, const char* reason) {
  glimt::rt::GroupId id;
  std::memcpy(id.data(), seat.id, sizeof seat.id);
  glimt::Group::fail_all(id, "Rank " + std::to_string(seat.rank) + " of the group of devices could not be opened: " + reason);
}

const Tensor* tensor_of(const glimt_tensor* tensor) { return reinterpret_cast<const Tensor*>(tensor); }
Tensor* tensor_of(glimt_tensor* tensor) { return reinterpret_cast<Tensor*>(tensor); }

}  // namespace

extern "C" {

const char* glimt_backend_kind(void) { return glimt::rt::kEmulated ? "emulator" : "cuda"; }
uint32_t glimt_abi_version(void) { return GLIMT_ABI_VERSION; }
uint32_t glimt_program_version(void) { return glimt::program::kVersion; }

int glimt_supports(uint32_t op_code, uint32_t activation_dtype, const uint8_t* formats, uint32_t format_count,
                   glimt_error* error) {
  return guarded(error, [&] {
    const auto op = static_cast<glimt::program::Op>(op_code);
    const auto* info = glimt::program::op_info(op);
    const auto refuse = [&](const std::string& reason) {
      throw Error("BACKEND_UNAVAILABLE",
                  "cuda: " + (info ? info->name : "op " + std::to_string(op_code)) + " " + reason + ".");
    };
    if (!info) refuse("is unknown to this build");
    if (dtype_of(activation_dtype) >= glimt::program::DType::i32) refuse("has no " + std::string(glimt::dtype_name(dtype_of(activation_dtype))) + " activations");
    if (format_count != info->inputs) refuse("has " + std::to_string(info->inputs) + " inputs");
    std::vector<glimt::program::DType> types;
    for (uint32_t i = 0; i < format_count; i++) types.push_back(dtype_of(formats[i]));
    for (const auto type : types)
      if (!glimt::kernels_read(type)) refuse(std::string("has no kernel for ") + glimt::dtype_name(type) + " weights");
    const auto kernels_refuse = glimt::find_op(op)->refuse;
    if (const char* reason = kernels_refuse ? kernels_refuse(types.data()) : nullptr)
      refuse(std::string("can not be run: ") + reason);
  }) == 0;
}

int glimt_probe(int32_t ordinal, glimt_device_info* info, glimt_error* error) {
  return guarded(error, [&] {
    const auto found = glimt::rt::device_info(ordinal);
    *info = {};
    std::snprintf(info->name, sizeof info->name, "%s", found.name.c_str());
    info->major = found.major;
    info->minor = found.minor;
    info->multiprocessors = found.multiprocessors;
    info->driver_version = found.driver_version;
    info->runtime_version = found.runtime_version;
    info->total_bytes = found.total_bytes;
    info->free_bytes = found.free_bytes;
  });
}

int glimt_device_count(int32_t* count, glimt_error* error) {
  return guarded(error, [&] { *count = glimt::rt::device_count(); });
}

int glimt_group_id(uint8_t id[GLIMT_GROUP_ID_BYTES], glimt_error* error) {
  return guarded(error, [&] {
    const glimt::rt::GroupId made = glimt::rt::make_group_id();
    static_assert(sizeof made == GLIMT_GROUP_ID_BYTES);
    std::memcpy(id, made.data(), sizeof made);
  });
}

int glimt_engine_create(const glimt_engine_options* options, glimt_engine** engine, glimt_error* error) {
  return guarded(error, [&] {
    *engine = nullptr;
    const glimt_group_seat* seat = options ? options->group : nullptr;
    try {
      auto created = std::make_unique<Engine>(options ? options->device : 0, !options || options->use_cublas,
                                              options && options->batch_invariant, seat);
      *engine = reinterpret_cast<glimt_engine*>(created.release());
    } catch (const std::exception& failure) {
      if (seat) fail_seat(*seat, failure.what());
      throw;
    }
  });
}

void glimt_engine_destroy(glimt_engine* handle) {
  if (!handle) return;
  auto* engine = reinterpret_cast<Engine*>(handle);
  // Lets a call that is still under way finish.
  { std::lock_guard lock(engine->mutex); }
  delete engine;
}

int glimt_engine_memory(glimt_engine* engine, glimt_memory* memory, glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) { *memory = e.memory(); });
}

uint64_t glimt_engine_live_bytes(glimt_engine* engine) {
  return engine ? reinterpret_cast<Engine*>(engine)->live_bytes() : 0;
}

int glimt_engine_trim(glimt_engine* engine, glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) { e.trim(); });
}

int glimt_tensor_allocate(glimt_engine* engine, uint32_t dtype, uint64_t rows, uint64_t cols, glimt_tensor** tensor,
                          glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) {
    *tensor = reinterpret_cast<glimt_tensor*>(e.allocate(dtype_of(dtype), rows, cols));
  });
}

int glimt_tensor_free(glimt_engine* engine, glimt_tensor* tensor, glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) { e.free(tensor_of(tensor)); });
}

uint64_t glimt_tensor_bytes(const glimt_tensor* tensor) { return tensor_of(tensor)->bytes; }

int glimt_tensor_write(glimt_engine* engine, glimt_tensor* tensor, uint64_t first_row, uint64_t rows,
                       uint32_t source_dtype, const void* data, glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) {
    e.write(tensor_of(tensor), first_row, rows, dtype_of(source_dtype), data);
  });
}

int glimt_tensor_read(glimt_engine* engine, const glimt_tensor* tensor, uint64_t first_row, uint64_t rows, void* data,
                      glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) { e.read(tensor_of(tensor), first_row, rows, data); });
}

int glimt_tensor_copy(glimt_engine* engine, glimt_tensor* to, uint64_t first_row, const glimt_tensor* from,
                      uint64_t from_row, uint64_t rows, glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) { e.copy(tensor_of(to), first_row, tensor_of(from), from_row, rows); });
}

int glimt_pinned_allocate(glimt_engine* engine, uint64_t bytes, void** data, glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) { *data = e.allocate_pinned(bytes); });
}

int glimt_pinned_free(glimt_engine* engine, void* data, glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) { e.free_pinned(data); });
}

int glimt_load(glimt_engine* engine, const void* program, uint64_t program_bytes, const glimt_weight* weights,
                  uint32_t weight_count, glimt_executable** executable, glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) {
    *executable = reinterpret_cast<glimt_executable*>(e.load(program, program_bytes, weights, weight_count));
  });
}

int glimt_executable_free(glimt_engine* engine, glimt_executable* executable, glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) { e.free(reinterpret_cast<Executable*>(executable)); });
}

int glimt_executable_arena_bytes(glimt_engine* engine, const glimt_executable* executable,
                                 const glimt_symbol* symbols, uint32_t symbol_count, uint64_t* bytes,
                                 glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) {
    *bytes = e.arena_bytes(reinterpret_cast<const Executable*>(executable), symbols, symbol_count);
  });
}

int glimt_executable_reserve(glimt_engine* engine, glimt_executable* executable, const glimt_symbol* symbols,
                             uint32_t symbol_count, const char* const* on_device, uint32_t count, glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) {
    e.reserve(reinterpret_cast<Executable*>(executable), symbols, symbol_count, on_device, count);
  });
}

int glimt_executable_writes(const glimt_executable* executable, const char* buffer) {
  return reinterpret_cast<const Executable*>(executable)->writes(buffer);
}

int glimt_bind(glimt_engine* engine, glimt_executable* executable, const glimt_binding* resident, uint32_t count,
               glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) { e.bind(reinterpret_cast<Executable*>(executable), resident, count); });
}

int glimt_run(glimt_engine* engine, glimt_executable* executable, const glimt_run_args* args, glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) { e.run(reinterpret_cast<Executable*>(executable), *args); });
}

const char* glimt_engine_library(glimt_engine* engine) {
  return engine ? reinterpret_cast<Engine*>(engine)->library_status().c_str() : "";
}

int glimt_engine_statistics(glimt_engine* engine, glimt_run_statistics* statistics, glimt_error* error) {
  return with_engine(engine, error, [&](Engine& e) { *statistics = e.statistics(); });
}

#if defined(GLIMT_EMULATOR)

int glimt_emulator_fail(glimt_fault fault, uint64_t countdown, glimt_error* error) {
  return guarded(error, [&] { glimt::rt::arm_fault(static_cast<glimt::rt::Fault>(fault), countdown); });
}
int glimt_emulator_schedule(int32_t schedule, uint64_t seed, glimt_error* error) {
  return guarded(error, [&] {
    if (schedule < 0 || schedule > 2) throw Error("OPTION_INVALID", "The schedule must be 0, 1 or 2.");
    glimt::emu::set_schedule(static_cast<glimt::emu::Schedule>(schedule), seed);
  });
}
int glimt_emulator_memory_limit(uint64_t bytes, glimt_error* error) {
  return guarded(error, [&] { glimt::rt::set_memory_limit(bytes); });
}
int glimt_emulator_multiprocessors(int32_t count, glimt_error* error) {
  return guarded(error, [&] {
    if (count < 1) throw Error("OPTION_INVALID", "A device has one multiprocessor at the least.");
    glimt::rt::set_multiprocessors(count);
  });
}

#else

static int no_emulator(glimt_error* error) {
  fill_error(error, "BACKEND_UNAVAILABLE", "This build runs on real devices; the emulator's controls are not there.");
  return 1;
}
int glimt_emulator_fail(glimt_fault, uint64_t, glimt_error* error) { return no_emulator(error); }
int glimt_emulator_schedule(int32_t, uint64_t, glimt_error* error) { return no_emulator(error); }
int glimt_emulator_memory_limit(uint64_t, glimt_error* error) { return no_emulator(error); }
int glimt_emulator_multiprocessors(int32_t, glimt_error* error) { return no_emulator(error); }

#endif

}  // extern "C"
