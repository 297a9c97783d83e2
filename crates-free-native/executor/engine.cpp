#include "engine.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "convert.h"
#include "executable.h"
#include "glimt_blocks.h"
#include "runtime/error.h"

namespace glimt {

namespace {

// Uploads go in pieces of this size through page-locked memory.
constexpr uint64_t kStagingBytes = uint64_t{8} << 20;

std::string format_shape(program::DType dtype, uint64_t rows, uint64_t cols) {
  return std::string(dtype_name(dtype)) + "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
}

// Rows of such a tensor do not lie together.
void refuse_blocks(const char* what, const Tensor& tensor) {
  if (isGrouped(tensor.dtype))
    throw Error("INPUT_INVALID", std::string(what) + ": " + format_shape(tensor.dtype, tensor.rows, tensor.cols) +
                                     " is a weight in blocks, which only kernels read.");
}

// What the environment asks for (docs/gpu.md).
void ask_environment(KernelTerms& terms) {
  const auto wish = [](const char* name) {
    const char* text = std::getenv(name);
    return std::string(text ? text : "");
  };
  const std::string wgmma = wish("GLIMT_WGMMA");
  if (wgmma != "" && wgmma != "0" && wgmma != "1" && wgmma != "always")
    throw Error("INPUT_INVALID", "GLIMT_WGMMA is \"" + wgmma + "\"; it may be 1, always or 0.");
  terms.uses_wgmma = wgmma == "1" || wgmma == "always";
  if (terms.uses_wgmma && terms.invariant)
    throw Error("INPUT_INVALID", "GLIMT_WGMMA: rows that wgmma computes depend on those beside them, and a batch-invariant "
                                 "engine has none such.");
  if (wgmma == "always") prefer(terms, "wgmma");
  std::istringstream kernels(wish("GLIMT_KERNELS"));
  for (std::string kernel; std::getline(kernels, kernel, ',');) prefer(terms, kernel);
}

rt::Seat seat_of(const glimt_group_seat& given) {
  rt::Seat seat{{}, given.rank, given.ranks, given.tensor};
  static_assert(sizeof seat.id == sizeof given.id);
  std::memcpy(seat.id.data(), given.id, sizeof given.id);
  const bool fits = seat.tensor > 0 && seat.ranks > 0 && seat.ranks % seat.tensor == 0 && seat.rank >= 0 &&
                    seat.rank < seat.ranks;
  if (!fits)
    throw Error("INPUT_INVALID", "Rank " + std::to_string(seat.rank) + " of " + std::to_string(seat.ranks) +
                                     ", in stages of " + std::to_string(seat.tensor) + ", can not be.");
  return seat;
}

}  // namespace

Engine::Engine(int device, bool use_library, bool batch_invariant, const glimt_group_seat* seat) : device_(device) {
  const rt::DeviceInfo info = rt::device_info(device);
  terms_.multiprocessors = info.multiprocessors;
  terms_.has_wgmma = rt::kEmulated || info.major == 9;
  terms_.invariant = batch_invariant;
  if (use_library && !batch_invariant) terms_.library = &library_;
  ask_environment(terms_);
  enter();
  try {
    stream_ = rt::create_stream();
    for (rt::Event* event : {&before_, &after_, &paces_[0], &paces_[1]}) *event = rt::create_event();
    reserve_staging(kStagingBytes);
    tickets_ = static_cast<unsigned*>(rt::allocate(ticket_bytes()));
    rt::fill(stream_, tickets_, 0, ticket_bytes());
    if (seat)
      group_ = std::make_unique<Group>(seat_of(*seat), device, std::chrono::milliseconds(seat->deadline_milliseconds));
  } catch (...) {
    rt::release(tickets_);
    rt::release_pinned(staging_);
    for (rt::Event event : {before_, after_, paces_[0], paces_[1]})
      if (event) rt::destroy_event(event);
    if (stream_) rt::destroy_stream(stream_);
    throw;
  }
}

Engine::~Engine() {
  // What waits for other ranks ends; graphs hold what they were captured with.
  if (group_) group_->leave();
  for (Executable* executable : executables_) executable->repeats().forget_graphs();
  // A lost device must not keep the process from freeing its own memory.
  try {
    enter();
    rt::synchronize(stream_);
  } catch (const Error&) {
  }
  group_.reset();
  for (Executable* executable : executables_) delete executable;
  for (const Tensor* tensor : tensors_) {
    rt::release(tensor->data);
    delete tensor;
  }
  for (void* memory : pinned_) rt::release_pinned(memory);
  rt::release(arena_);
  rt::release(tickets_);
  rt::release_pinned(staging_);
  for (rt::Event event : {before_, after_, paces_[0], paces_[1]}) rt::destroy_event(event);
  rt::destroy_stream(stream_);
}

Tensor* Engine::owned(const Tensor* tensor) const {
  if (tensors_.count(tensor)) return const_cast<Tensor*>(tensor);
  throw Error("DISPOSED", "The tensor was freed, or belongs to another engine.");
}

Tensor* Engine::owned(const Tensor* tensor, uint64_t id) const {
  Tensor* found = owned(tensor);
  if (found->id == id) return found;
  throw Error("DISPOSED", "The tensor was freed.");
}

Tensor* Engine::allocate(program::DType dtype, uint64_t rows, uint64_t cols) {
  constexpr uint64_t kLimit = uint64_t{1} << 46;
  if (cols != 0 && rows > kLimit / cols)
    throw Error("OUT_OF_MEMORY", "A tensor of " + format_shape(dtype, rows, cols) + " is larger than any device.");
  if (isGrouped(dtype) && cols % blockCols(dtype) != 0)
    throw Error("INPUT_INVALID", format_shape(dtype, rows, cols) + " can not be: its rows are whole blocks of " +
                                     std::to_string(blockCols(dtype)) + " columns.");
  const uint64_t bytes = storageBytes(dtype, rows, cols);
  auto tensor = std::make_unique<Tensor>(Tensor{dtype, rows, cols, bytes, nullptr, allocations_++});
  // An empty tensor has an address too.
  tensor->data = rt::allocate(std::max<uint64_t>(bytes, 16));
  try {
    rt::fill(stream_, tensor->data, 0, bytes);
    tensors_.insert(tensor.get());
  } catch (...) {
    rt::release(tensor->data);
    throw;
  }
  tensor_bytes_ += bytes;
  return tensor.release();
}

void Engine::free(Tensor* tensor) {
  owned(tensor);
  rt::synchronize(stream_);
  tensors_.erase(tensor);
  frees_++;
  tensor_bytes_ -= tensor->bytes;
  rt::release(tensor->data);
  delete tensor;
}

void Engine::write(Tensor* tensor, uint64_t first_row, uint64_t rows, program::DType dtype, const void* data) {
  owned(tensor);
  if (first_row > tensor->rows || rows > tensor->rows - first_row)
    throw Error("INPUT_INVALID", "write: rows " + std::to_string(first_row) + ".." + std::to_string(first_row + rows) +
                                     " do not fit " + format_shape(tensor->dtype, tensor->rows, tensor->cols) + ".");
  if (isGrouped(tensor->dtype)) return write_blocks(*tensor, first_row, rows, dtype, data);
  const uint64_t size = element_bytes(tensor->dtype), source_size = element_bytes(dtype);
  char* to = static_cast<char*>(tensor->data) + first_row * tensor->cols * size;
  stage_pieces(rows * tensor->cols, kStagingBytes / 2 / size, [&](char* stage, uint64_t done, uint64_t now) {
    convert_elements(dtype, static_cast<const char*>(data) + done * source_size, tensor->dtype, stage, now);
    rt::copy_to_device(stream_, to + done * size, stage, now * size);
  });
}

void Engine::write_blocks(const Tensor& tensor, uint64_t first_row, uint64_t rows, program::DType dtype,
                          const void* data) {
  if (!becomesBlocks(dtype, tensor.dtype))
    throw Error("INPUT_INVALID", std::string("write: ") + dtype_name(dtype) + " values do not fit a tensor of " +
                                     dtype_name(tensor.dtype) + ".");
  const uint64_t across = tensor.cols / blockCols(tensor.dtype), first = first_row * across;
  const uint64_t element_size = blockElementBytes(tensor.dtype), scale_size = blockScaleBytes(tensor.dtype);
  const uint64_t source_size = storageBytes(dtype, 1, blockCols(tensor.dtype));
  char* elements = static_cast<char*>(tensor.data) + first * element_size;
  char* scales = static_cast<char*>(tensor.data) + tensor.rows * across * element_size + first * scale_size;
  const uint64_t piece = kStagingBytes / 2 / (element_size + scale_size);
  stage_pieces(rows * across, piece, [&](char* stage, uint64_t done, uint64_t now) {
    char* staged_scales = stage + now * element_size;
    splitBlocks(dtype, static_cast<const char*>(data) + done * source_size, tensor.dtype, now, stage, staged_scales);
    rt::copy_to_device(stream_, elements + done * element_size, stage, now * element_size);
    rt::copy_to_device(stream_, scales + done * scale_size, staged_scales, now * scale_size);
  });
}

void Engine::stage_pieces(uint64_t count, uint64_t piece,
                          const std::function<void(char* stage, uint64_t done, uint64_t now)>& send) {
  // Two halves take turns: one is filled while the other travels.
  for (uint64_t done = 0, half = 0; done < count; done += piece, half ^= 1) {
    if (half == 0 && done > 0) rt::synchronize(stream_);
    send(staging_ + half * (kStagingBytes / 2), done, std::min(piece, count - done));
  }
  rt::synchronize(stream_);
}

void Engine::read(const Tensor* tensor, uint64_t first_row, uint64_t rows, void* data) {
  owned(tensor);
  if (first_row > tensor->rows || rows > tensor->rows - first_row)
    throw Error("INPUT_INVALID", "read: rows " + std::to_string(first_row) + ".." + std::to_string(first_row + rows) +
                                     " are outside a tensor of " + std::to_string(tensor->rows) + " rows.");
  refuse_blocks("read", *tensor);
  const uint64_t row_bytes = storageBytes(tensor->dtype, 1, tensor->cols), bytes = rows * row_bytes;
  const char* from = static_cast<const char*>(tensor->data) + first_row * row_bytes;
  for (uint64_t done = 0; done < bytes; done += kStagingBytes) {
    const uint64_t now = std::min(kStagingBytes, bytes - done);
    rt::copy_to_host(stream_, staging_, from + done, now);
    rt::synchronize(stream_);
    std::memcpy(static_cast<char*>(data) + done, staging_, now);
  }
}

void Engine::copy(Tensor* to, uint64_t first_row, const Tensor* from, uint64_t from_row, uint64_t rows) {
  refuse_blocks("copy", *owned(to));
  refuse_blocks("copy", *owned(from));
  const auto fits = [&](const Tensor* tensor, uint64_t first) {
    return first <= tensor->rows && rows <= tensor->rows - first;
  };
  const bool overlaps = to == from && first_row < from_row + rows && from_row < first_row + rows;
  if (to->dtype != from->dtype || to->cols != from->cols || !fits(to, first_row) || !fits(from, from_row) || overlaps)
    throw Error("INPUT_INVALID", "copy: rows " + std::to_string(from_row) + ".." + std::to_string(from_row + rows) +
                                     " of " + format_shape(from->dtype, from->rows, from->cols) +
                                     " can not be copied to row " + std::to_string(first_row) + " of " +
                                     format_shape(to->dtype, to->rows, to->cols) + ".");
  const uint64_t row_bytes = storageBytes(to->dtype, 1, to->cols);
  rt::copy_on_device(stream_, static_cast<char*>(to->data) + first_row * row_bytes,
                     static_cast<const char*>(from->data) + from_row * row_bytes, rows * row_bytes);
  // A failure is this call's, not that of whoever waits next.
  rt::synchronize(stream_);
}

void* Engine::allocate_pinned(uint64_t bytes) {
  void* memory = rt::allocate_pinned(std::max<uint64_t>(bytes, 1));
  pinned_.insert(memory);
  return memory;
}

void Engine::free_pinned(void* data) {
  if (!pinned_.erase(data)) throw Error("DISPOSED", "The page-locked memory was freed, or belongs to another engine.");
  rt::release_pinned(data);
}

Executable* Engine::load(const void* program, uint64_t bytes, const glimt_weight* weights, uint32_t count) {
  auto executable = std::make_unique<Executable>(*this, decode_program(program, bytes), weights, count);
  executables_.insert(executable.get());
  return executable.release();
}

void Engine::free(Executable* executable) {
  if (!executables_.erase(executable))
    throw Error("DISPOSED", "The program was freed, or was loaded by another engine.");
  delete executable;
}

void Engine::bind(Executable* executable, const glimt_binding* resident, uint32_t count) {
  if (!executables_.count(executable))
    throw Error("PROGRAM_INVALID", "The program was loaded by another engine.");
  executable->bind(*this, resident, count);
}

uint64_t Engine::arena_bytes(const Executable* executable, const glimt_symbol* symbols, uint32_t count) {
  if (!executables_.count(const_cast<Executable*>(executable)))
    throw Error("PROGRAM_INVALID", "The program was loaded by another engine.");
  return executable->arena_bytes(*this, symbols, count);
}

void Engine::reserve_arena(uint64_t bytes) {
  if (bytes <= arena_size_) return;
  rt::synchronize(stream_);
  for (Executable* executable : executables_) executable->repeats().forget_graphs();
  rt::release(arena_);
  arena_ = nullptr;
  arena_size_ = 0;
  arena_ = rt::allocate(bytes);
  arena_size_ = bytes;
}

size_t Engine::ticket_bytes() const { return ticket_count(terms_.multiprocessors) * sizeof(unsigned); }

void Engine::reserve_staging(uint64_t bytes) {
  if (bytes <= staging_size_) return;
  char* grown = static_cast<char*>(rt::allocate_pinned(bytes));
  rt::release_pinned(staging_);
  staging_ = grown;
  staging_size_ = bytes;
}

void Engine::trim() {
  rt::synchronize(stream_);
  for (Executable* executable : executables_) executable->repeats().forget_graphs();
  rt::release(arena_);
  arena_ = nullptr;
  arena_size_ = 0;
}

void Engine::stage_inputs(const Executable& executable, const Layout& layout, const Binding& binding) {
  const auto& buffers = executable.program().buffers;
  for (size_t index = 0; index < buffers.size(); index++) {
    if (layout.staged[index] >= layout.input_bytes) continue;
    const program::DType to = buffers[index].dtype, from = binding.rounded[index] ? program::DType::f32 : to;
    convert_elements(from, binding.host[index], to, staging_ + layout.staged[index], layout.elements[index]);
  }
  if (layout.input_bytes)
    rt::copy_to_device(stream_, static_cast<char*>(arena_) + layout.staged_offset, staging_, layout.input_bytes);
}

void Engine::start_fetching_outputs(const Layout& layout) {
  const uint64_t bytes = layout.staged_bytes - layout.input_bytes;
  if (bytes)
    rt::copy_to_host(stream_, staging_ + layout.input_bytes,
                     static_cast<char*>(arena_) + layout.staged_offset + layout.input_bytes, bytes);
}

void Engine::hand_out_outputs(const Executable& executable, const Layout& layout, const Binding& binding) {
  const auto& buffers = executable.program().buffers;
  for (size_t index = 0; index < buffers.size(); index++)
    if (buffers[index].kind == program::BufferKind::output && layout.staged[index] != Layout::kNotStaged)
      std::memcpy(binding.host[index], staging_ + layout.staged[index],
                  storageBytes(buffers[index].dtype, 1, layout.elements[index]));
}

void Engine::run_eagerly(Executable& executable, Layout& layout, const Binding& binding, const KernelContext& context,
                         const glimt_run_args& args) {
  // Launching runs ahead of the device by at most two paces, so that an abort or a progress report means something.
  size_t paced = 0;
  const auto pace = [&] {
    if (paced >= 2) rt::wait(paces_[paced % 2], stream_);
    rt::record(paces_[paced++ % 2], stream_);
  };
  const bool watched = args.abort || args.progress;
  const uint64_t before = rt::kernel_launches();
  executable.launch(layout, binding, context, args, watched ? pace : std::function<void()>());
  statistics_.launches += rt::kernel_launches() - before;
  statistics_.eager_runs++;
}

void Engine::replay(const Executable& executable, Repeat& repeat, Layout& layout, const Binding& binding,
                    const KernelContext& context, const glimt_run_args& args) {
  if (!repeat.graph) {
    // As the eager run would: both shall compute alike.
    if (terms_.library) terms_.library->prepare();
    KernelContext capturing = context;
    capturing.capturing = true;
    rt::begin_capture(stream_);
    try {
      executable.launch(layout, binding, capturing, args, {});
      repeat.graph = rt::end_capture(stream_);
    } catch (...) {
      rt::abandon_capture(stream_);
      throw;
    }
    statistics_.graph_captures++;
  }
  rt::launch_graph(repeat.graph, stream_);
  statistics_.graph_replays++;
}

void Engine::reserve(Executable* executable, const glimt_symbol* symbols, uint32_t symbol_count,
                     const char* const* on_device, uint32_t count) {
  if (!executables_.count(executable))
    throw Error("PROGRAM_INVALID", "The program was loaded by another engine.");
  const Layout& layout = executable->foresee(*this, symbols, symbol_count, on_device, count);
  reserve_arena(layout.arena_bytes);
  reserve_staging(layout.staged_bytes);
}

void Engine::run(Executable* executable, const glimt_run_args& args) {
  if (!executables_.count(executable))
    throw Error("PROGRAM_INVALID", "The program was loaded by another engine.");
  if (!executable->communicates()) return run_alone(*executable, args);
  // Whatever keeps this rank from its part, the others wait for it.
  const Group::Run under_way(*group_, args.abort);
  try {
    run_alone(*executable, args);
  } catch (const std::exception& failure) {
    const auto* known = dynamic_cast<const Error*>(&failure);
    const std::string code = known ? known->code() : "";
    if (code == "ABORTED") group_->leave();
    else group_->fail((code.empty() || code == "GROUP_FAILED" ? "" : code + ": ") + failure.what());
  }
  // What was aborted from outside may have ended as if all were well.
  if (const std::string reason = group_->failure(); !reason.empty()) throw Error("GROUP_FAILED", reason);
}

void Engine::run_alone(Executable& program, const glimt_run_args& args) {
  Executable* const executable = &program;
  Binding binding;
  Layout& layout = executable->plan(*this, args, binding);
  executable->check_indices(layout, binding);
  if (args.abort && *args.abort) throw Error("ABORTED", "The operation was aborted.");
  reserve_arena(layout.arena_bytes);
  reserve_staging(layout.staged_bytes);
  executable->place(layout, binding, arena_);
  const KernelContext context{stream_, static_cast<char*>(arena_) + layout.workspace_offset, tickets_, terms_,
                              group_ ? &group_->communicator() : nullptr};

  // The first run is never captured: modules of kernels load on their first launch, which a graph must not contain.
  Repeat* repeat = executable->repeats().find(binding.key);
  try {
    rt::record(before_, stream_);
    rt::poison(stream_, arena_, layout.arena_bytes);
    stage_inputs(*executable, layout, binding);
    if (repeat && (args.flags & GLIMT_RUN_GRAPH))
      replay(*executable, *repeat, layout, binding, context, args);
    else
      run_eagerly(*executable, layout, binding, context, args);
    rt::record(after_, stream_);
    start_fetching_outputs(layout);
    rt::synchronize(stream_);
  } catch (...) {
    // What was launched still reads the arena and the staged inputs: wait before anybody reuses them.
    try {
      rt::synchronize(stream_);
      // A kernel that did not end may have left some.
      rt::fill(stream_, tickets_, 0, ticket_bytes());
      rt::synchronize(stream_);
    } catch (const Error&) {
    }
    throw;
  }
  hand_out_outputs(*executable, layout, binding);
  if (!repeat) executable->repeats().remember(std::move(binding.key));
  if (args.progress) *args.progress = 1000;
  statistics_.bytes_given += layout.bytes_given;
  statistics_.last_run_milliseconds = rt::milliseconds_between(before_, after_);
}

glimt_memory Engine::memory() {
  glimt_memory memory{tensor_bytes_, arena_size_, staging_size_, 0, 0};
  rt::memory_info(&memory.free_bytes, &memory.total_bytes);
  return memory;
}

}  // namespace glimt
