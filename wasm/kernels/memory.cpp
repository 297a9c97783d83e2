// Blocks lie one behind another from the end of the module's own data to the end of its memory, each behind a header.
// A block is free or taken; free neighbours are joined. The first free block that is large enough is taken: there are
// hundreds of blocks, and few requests.
#include "memory.h"

#include <emscripten.h>

// Where the module's own data ends; the linker says so.
extern "C" uint8_t __heap_base;
extern "C" void __wasm_call_ctors();

// Called by JavaScript once, in the first instance on a memory.
extern "C" EMSCRIPTEN_KEEPALIVE void _initialize() { __wasm_call_ctors(); }

namespace glimt {
namespace {

constexpr size_t kAlign = 64, kPage = 65536;

struct alignas(kAlign) Header {
  // Of the whole block, with its header.
  size_t bytes;
  bool taken;

  Header* next() { return (Header*)((uint8_t*)this + bytes); }
};
static_assert(sizeof(Header) == kAlign);

Header* first = nullptr;
// Behind the last block.
Header* end = nullptr;
uint64_t limit = UINT64_MAX;

size_t roundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

void joinFollowing(Header* block) {
  while (block->next() != end && !block->next()->taken) block->bytes += block->next()->bytes;
}

// Splits off what is more than `bytes`.
void* take(Header* block, size_t bytes) {
  size_t rest = block->bytes - bytes;
  if (rest > sizeof(Header)) {
    block->bytes = bytes;
    *block->next() = {rest, false};
  }
  block->taken = true;
  return block + 1;
}

// A free block of at least `bytes` at the end; `last` is the block there now if that is free.
Header* grow(Header* last, size_t bytes) {
  Header* block = last ? last : end;
  if ((uint64_t)(size_t)block + bytes > limit) return nullptr;
  size_t have = __builtin_wasm_memory_size(0) * kPage - (size_t)block;
  if (have < bytes) {
    size_t pages = (bytes - have + kPage - 1) / kPage;
    if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX) return nullptr;
    have += pages * kPage;
  }
  // What is there already may reach further.
  uint64_t room = limit - (size_t)block;
  *block = {(have < room ? have : (size_t)room) / kAlign * kAlign, false};
  end = block->next();
  return block;
}

void begin() {
  if (!first) first = end = (Header*)roundUp((size_t)&__heap_base, kAlign);
}

}  // namespace

void* allocate(uint64_t wanted) {
  // More than an address holds is never there.
  if (wanted > SIZE_MAX - kPage - 2 * sizeof(Header)) return nullptr;
  size_t bytes = roundUp((size_t)wanted, kAlign) + sizeof(Header);
  begin();
  Header* last = nullptr;
  for (Header* block = first; block != end; block = block->next()) {
    if (block->taken) continue;
    joinFollowing(block);
    if (block->bytes >= bytes) return take(block, bytes);
    if (block->next() == end) last = block;
  }
  Header* block = grow(last, bytes);
  return block ? take(block, bytes) : nullptr;
}

void* allocateZeros(uint64_t bytes) {
  void* memory = allocate(bytes);
  if (memory) __builtin_memset(memory, 0, (size_t)bytes);
  return memory;
}

void giveBack(void* memory) {
  if (memory) ((Header*)memory - 1)->taken = false;
}

void limitMemory(uint64_t bytes) { limit = bytes; }

uint64_t availableBytes() {
  begin();
  uint64_t bytes = limit > (size_t)end ? limit - (size_t)end : 0;
  for (Header* block = first; block != end; block = block->next()) bytes += block->taken ? 0 : block->bytes;
  return bytes;
}

}  // namespace glimt
