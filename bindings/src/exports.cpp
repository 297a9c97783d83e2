// What the addon exports: each function of the C interface that JavaScript needs, once.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

#include "arguments.h"
#include "glimt_storage.h"
#include "environment.h"
#include "handles.h"
#include "host_array.h"
#include "not_finite.h"
#include "run.h"

namespace glimt::addon {

namespace {

using program::DType;
using Info = Napi::CallbackInfo;

DType dtype_of(uint32_t code) {
  if (code >= program::kFormatCount) throw Failure("INPUT_INVALID", "dtype " + std::to_string(code) + " does not exist.");
  return static_cast<DType>(code);
}

Napi::Number number(Napi::Env env, uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

Napi::Value promise_of(Napi::Env env, Engine& engine, std::unique_ptr<Job> job) {
  const napi_value promise = job->promise;
  engine.submit(std::move(job));
  return {env, promise};
}

// ---- what this build and this machine are ----

Napi::Value supports(const Info& info) {
  glimt_error error{};
  // An error here is an answer; an empty text is yes.
  const Bytes formats = bytes_of(info[2]);
  const bool ok = glimt_supports(code_of(info[0]), code_of(info[1]), static_cast<const uint8_t*>(formats.data),
                                 static_cast<uint32_t>(formats.size), &error) != 0;
  return Napi::String::New(info.Env(), ok ? "" : error.message);
}

// Why cuBLASLt can not be loaded as the engine would load it; empty when it can, or when nothing would.
std::string missing_cublas(const glimt_device_info& device) {
  if (device.runtime_version == 0) return "";
  const std::string soname = "libcublasLt.so." + std::to_string(device.runtime_version / 1000);
  const char* chosen = std::getenv("GLIMT_CUBLASLT");
  void* library = dlopen(chosen ? chosen : soname.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (!library) return dlerror();
  dlclose(library);
  return "";
}

Napi::Value probe(const Info& info) {
  glimt_device_info device{};
  must(glimt_probe, static_cast<int32_t>(code_of(info[0])), &device);
  auto env = info.Env();
  auto result = Napi::Object::New(env);
  result["name"] = Napi::String::New(env, device.name);
  result["major"] = device.major;
  result["minor"] = device.minor;
  result["multiprocessors"] = device.multiprocessors;
  result["driverVersion"] = device.driver_version;
  result["runtimeVersion"] = device.runtime_version;
  result["missingCublas"] = Napi::String::New(env, missing_cublas(device));
  result["totalBytes"] = number(env, device.total_bytes);
  result["freeBytes"] = number(env, device.free_bytes);
  return result;
}

// ---- engines ----

Napi::Value new_group(const Info& info) {
  glimt_group_seat seat{};
  must(glimt_group_id, seat.id);
  const Bytes into = bytes_of(info[0]);
  if (into.size != sizeof seat.id)
    throw Failure("INPUT_INVALID", "A group's id has " + std::to_string(sizeof seat.id) + " bytes.");
  std::memcpy(into.data, seat.id, sizeof seat.id);
  return info.Env().Undefined();
}

// [id, rank, ranks, ranks of a stage, deadline in milliseconds]
glimt_group_seat seat_of(Napi::Value value) {
  const auto list = value.As<Napi::Array>();
  Napi::Value fields[5];
  for (uint32_t i = 0; i < 5; i++) fields[i] = list.Get(i);
  glimt_group_seat seat{};
  const Bytes id = fields[0].IsTypedArray() ? bytes_of(fields[0]) : Bytes{nullptr, 0};
  bool fits = id.size == sizeof seat.id;
  for (int i = 1; i < 5; i++) fits = fits && is_size(fields[i]) && addon::size_of(fields[i]) <= INT32_MAX;
  if (!fits) throw Failure("INPUT_INVALID", "openEngine: a place in a group is [id, rank, ranks, tensor, deadline].");
  std::memcpy(seat.id, id.data, sizeof seat.id);
  seat.rank = static_cast<int32_t>(addon::size_of(fields[1]));
  seat.ranks = static_cast<int32_t>(addon::size_of(fields[2]));
  seat.tensor = static_cast<int32_t>(addon::size_of(fields[3]));
  seat.deadline_milliseconds = static_cast<uint32_t>(addon::size_of(fields[4]));
  return seat;
}

Napi::Value open_engine(const Info& info) {
  auto env = info.Env();
  EngineOptions options{static_cast<int32_t>(code_of(info[0])), code_of(info[1]) != 0, code_of(info[2]) != 0,
                        std::nullopt};
  if (info[3].IsArray()) options.seat = seat_of(info[3]);
  auto engine = std::make_shared<Engine>(Environment::of(env));
  auto opened = std::make_unique<Job>(env);
  opened->result = [engine](Napi::Env now) -> Napi::Value { return wrap<Engine>(now, engine); };
  const napi_value promise = opened->promise;
  engine->start(options, std::move(opened));
  return {env, promise};
}

const std::shared_ptr<Engine>& engine_of(const Info& info) { return unwrap<Engine>(info[0]); }

Napi::Value close_engine(const Info& info) {
  engine_of(info)->close();
  return info.Env().Undefined();
}

Napi::Value live_bytes(const Info& info) {
  return number(info.Env(), glimt_engine_live_bytes(engine_of(info)->live()));
}

Napi::Value memory(const Info& info) {
  glimt_memory memory{};
  must(glimt_engine_memory, engine_of(info)->live(), &memory);
  auto env = info.Env();
  auto result = Napi::Object::New(env);
  result["tensorBytes"] = number(env, memory.tensor_bytes);
  result["arenaBytes"] = number(env, memory.arena_bytes);
  result["pinnedBytes"] = number(env, memory.pinned_bytes);
  result["freeBytes"] = number(env, memory.free_bytes);
  result["totalBytes"] = number(env, memory.total_bytes);
  return result;
}

Napi::Value statistics(const Info& info) {
  glimt_run_statistics statistics{};
  must(glimt_engine_statistics, engine_of(info)->live(), &statistics);
  auto env = info.Env();
  auto result = Napi::Object::New(env);
  result["launches"] = number(env, statistics.launches);
  result["graphCaptures"] = number(env, statistics.graph_captures);
  result["graphReplays"] = number(env, statistics.graph_replays);
  result["eagerRuns"] = number(env, statistics.eager_runs);
  result["bytesGiven"] = number(env, statistics.bytes_given);
  result["lastRunMilliseconds"] = statistics.last_run_milliseconds;
  return result;
}

Napi::Value library(const Info& info) {
  return Napi::String::New(info.Env(), glimt_engine_library(engine_of(info)->live()));
}

Napi::Value trim(const Info& info) {
  must(glimt_engine_trim, engine_of(info)->live());
  return info.Env().Undefined();
}

Napi::Value abort_run(const Info& info) {
  engine_of(info)->abort();
  return info.Env().Undefined();
}

Napi::Value progress(const Info& info) { return Napi::Number::New(info.Env(), engine_of(info)->progress()); }

// ---- tensors ----

Napi::Value allocate(const Info& info) {
  const auto& engine = engine_of(info);
  const uint32_t dtype = code_of(info[1]);
  const uint64_t rows = addon::size_of(info[2]), cols = addon::size_of(info[3]);
  glimt_tensor* native = nullptr;
  must(glimt_tensor_allocate, engine->live(), dtype, rows, cols, &native);
  return wrap(info.Env(), std::make_shared<Tensor>(engine, native, dtype, rows, cols));
}

const std::shared_ptr<Tensor>& tensor_of(const Info& info) { return unwrap<Tensor>(info[0]); }

Napi::Value free_tensor(const Info& info) {
  const auto& tensor = tensor_of(info);
  tensor->live();
  tensor->release();
  return info.Env().Undefined();
}

// Throws when `bytes` are not `rows` rows of the tensor's width.
void check_rows(const Tensor& tensor, uint64_t rows, uint32_t dtype, uint64_t bytes) {
  const uint64_t row_bytes = storageBytes(dtype_of(dtype), 1, tensor.cols);
  if (row_bytes == 0 ? bytes == 0 : bytes / row_bytes == rows && bytes % row_bytes == 0) return;
  throw Failure("INPUT_INVALID", "An array of " + std::to_string(bytes) + " bytes is not " + std::to_string(rows) +
                                     " rows of " + std::to_string(row_bytes) + " bytes.");
}

Napi::Value write(const Info& info) {
  const auto& tensor = tensor_of(info);
  const uint64_t first_row = addon::size_of(info[1]), rows = addon::size_of(info[2]);
  const uint32_t source = code_of(info[3]);
  const Bytes bytes = bytes_of(info[4]);
  check_rows(*tensor, rows, source, bytes.size);
  must(glimt_tensor_write, tensor->engine->live(), tensor->live(), first_row, rows, source, bytes.data);
  return info.Env().Undefined();
}

// Resolves to how many of the values are not finite as stored.
Napi::Value upload(const Info& info) {
  const auto& tensor = tensor_of(info);
  glimt_tensor* native = tensor->live();
  const uint64_t first_row = addon::size_of(info[1]), rows = addon::size_of(info[2]);
  const uint32_t source = code_of(info[3]);
  check_rows(*tensor, rows, source, bytes_of(info[4]).size);
  const auto data = HostArray::copy_of(info[4]);
  auto job = std::make_unique<Job>(info.Env());
  auto bad = std::make_shared<uint64_t>(0);
  job->work = [=, tensor = tensor](glimt_engine* engine) {
    *bad = count_not_finite(source, tensor->dtype, data->data(), rows * tensor->cols);
    must(glimt_tensor_write, engine, native, first_row, rows, source, data->data());
  };
  job->result = [bad](Napi::Env env) -> Napi::Value { return number(env, *bad); };
  return promise_of(info.Env(), *tensor->engine, std::move(job));
}

Napi::Value read(const Info& info) {
  const auto& tensor = tensor_of(info);
  glimt_tensor* native = tensor->live();
  const uint64_t first_row = addon::size_of(info[1]), rows = addon::size_of(info[2]);
  const auto data = HostArray::sized_as(info[3]);
  check_rows(*tensor, rows, tensor->dtype, data->size());
  auto job = std::make_unique<Job>(info.Env());
  job->work = [=, tensor = tensor](glimt_engine* engine) {
    must(glimt_tensor_read, engine, native, first_row, rows, data->data());
  };
  job->result = [data](Napi::Env env) -> Napi::Value {
    data->hand_out("read");
    return env.Undefined();
  };
  return promise_of(info.Env(), *tensor->engine, std::move(job));
}

Napi::Value copy(const Info& info) {
  const auto& to = tensor_of(info);
  const auto& from = unwrap<Tensor>(info[2]);
  must(glimt_tensor_copy, to->engine->live(), to->live(), addon::size_of(info[1]), from->live(),
       addon::size_of(info[3]), addon::size_of(info[4]));
  return info.Env().Undefined();
}

// ---- programs ----

Napi::Value load(const Info& info) {
  const auto& engine = engine_of(info);
  std::vector<std::string> names;
  std::vector<std::shared_ptr<Tensor>> tensors;
  for (Entry& entry : entries_of(info[2], "A weight")) {
    if (entry.values.size() != 1 || !is_wrapped<Tensor>(entry.values[0]))
      throw Failure("INPUT_INVALID", "Weight \"" + entry.name + "\" is no tensor.");
    tensors.push_back(unwrap<Tensor>(entry.values[0]));
    if (tensors.back()->engine != engine)
      throw Failure("DISPOSED", "Weight \"" + entry.name + "\" is a tensor of another engine.");
    names.push_back(std::move(entry.name));
  }
  std::vector<glimt_weight> weights;
  for (size_t i = 0; i < names.size(); i++) weights.push_back({names[i].c_str(), tensors[i]->live()});
  const Bytes program = bytes_of(info[1]);
  glimt_executable* native = nullptr;
  must(glimt_load, engine->live(), program.data, program.size, weights.data(), static_cast<uint32_t>(weights.size()),
       &native);
  return wrap(info.Env(), std::make_shared<Executable>(engine, native, std::move(tensors)));
}

Napi::Value bind(const Info& info) {
  const auto& executable = unwrap<Executable>(info[0]);
  const Bindings resident(info[1], *executable);
  must(glimt_bind, executable->engine->live(), executable->native, resident.data(), resident.size());
  executable->residents = resident.tensors();
  return info.Env().Undefined();
}

Napi::Value run(const Info& info) {
  auto env = info.Env();
  const auto& executable = unwrap<Executable>(info[0]);
  const auto& engine = executable->engine;
  engine->live();
  auto job = std::make_unique<Job>(env);
  auto arguments = std::make_shared<RunArguments>(info[1], info[2], *executable);
  job->work = [executable = executable, arguments, flags = code_of(info[3]), self = job.get()](glimt_engine* native) {
    const glimt_run_args args = arguments->native(flags, *self);
    must(glimt_run, native, executable->native, &args);
  };
  job->result = [arguments](Napi::Env now) -> Napi::Value {
    arguments->hand_out_outputs();
    return now.Undefined();
  };
  return promise_of(env, *engine, std::move(job));
}

Napi::Value arena_bytes(const Info& info) {
  const auto& executable = unwrap<Executable>(info[0]);
  const Symbols symbols(info[1]);
  uint64_t bytes = 0;
  must(glimt_executable_arena_bytes, executable->engine->live(), executable->native, symbols.data(), symbols.size(),
       &bytes);
  return number(info.Env(), bytes);
}

Napi::Value reserve(const Info& info) {
  const auto& executable = unwrap<Executable>(info[0]);
  const Symbols symbols(info[1]);
  const auto list = info[2].As<Napi::Array>();
  std::vector<std::string> names;
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Value name = list.Get(i);
    if (!name.IsString()) throw Failure("INPUT_INVALID", "reserve: a name is no text.");
    names.push_back(name.As<Napi::String>());
  }
  std::vector<const char*> on_device;
  for (const std::string& name : names) on_device.push_back(name.c_str());
  must(glimt_executable_reserve, executable->engine->live(), executable->native, symbols.data(), symbols.size(),
       on_device.data(), static_cast<uint32_t>(on_device.size()));
  return info.Env().Undefined();
}

// ---- the emulator's controls; refused by the other builds ----

Napi::Value emulator_fail(const Info& info) {
  must(glimt_emulator_fail, static_cast<glimt_fault>(code_of(info[0])), addon::size_of(info[1]));
  return info.Env().Undefined();
}

Napi::Value emulator_schedule(const Info& info) {
  must(glimt_emulator_schedule, static_cast<int32_t>(code_of(info[0])), addon::size_of(info[1]));
  return info.Env().Undefined();
}

Napi::Value emulator_memory_limit(const Info& info) {
  must(glimt_emulator_memory_limit, addon::size_of(info[0]));
  return info.Env().Undefined();
}

}  // namespace

const std::vector<Export>& exports() {
  static const std::vector<Export> all = {
      {"supports", "code code bytes -> text", supports},
      {"probe", "code -> device", probe},
      {"newGroup", "bytes -> none", new_group},
      {"openEngine", "code code code group -> later engine", open_engine},
      {"closeEngine", "engine -> none", close_engine},
      {"liveBytes", "engine -> size", live_bytes},
      {"memory", "engine -> memory", memory},
      {"statistics", "engine -> statistics", statistics},
      {"library", "engine -> text", library},
      {"trim", "engine -> none", trim},
      {"abort", "engine -> none", abort_run},
      {"progress", "engine -> size", progress},
      {"allocate", "engine code size size -> tensor", allocate},
      {"free", "tensor -> none", free_tensor},
      {"write", "tensor size size code bytes -> none", write},
      {"upload", "tensor size size code bytes -> later size", upload},
      {"read", "tensor size size bytes -> later none", read},
      {"copy", "tensor size tensor size size -> none", copy},
      {"load", "engine bytes weights -> executable", load},
      {"bind", "executable bindings -> none", bind},
      {"run", "executable symbols bindings code -> later none", run},
      {"arenaBytes", "executable symbols -> size", arena_bytes},
      {"reserve", "executable symbols names -> none", reserve},
      {"emulatorFail", "code size -> none", emulator_fail},
      {"emulatorSchedule", "code size -> none", emulator_schedule},
      {"emulatorMemoryLimit", "size -> none", emulator_memory_limit},
  };
  return all;
}

}  // namespace glimt::addon
