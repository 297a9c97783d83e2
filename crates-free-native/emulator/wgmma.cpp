#include "wgmma.h"

#include <algorithm>
#include <cstring>

#include "block.h"

namespace glimt::emu {

namespace {

constexpr int kRowsOfA = 64, kDepth = 16;
constexpr uint32_t kPoison = 0xFFF1BAD5;  // a NaN

enum class Look { starts, again, ends };

// Elements [rows][16] of the matrix that `descriptor` describes: "Matrix Descriptor Format" and "Canonical Layouts" of
// K-major matrices of 16-bit elements. `look` is what the access checker is told.
std::vector<uint16_t> read_matrix(Block& block, uint64_t descriptor, int rows, Look look) {
  const auto field = [&](int from, int bits) { return static_cast<uint32_t>(descriptor >> from & ((1u << bits) - 1)); };
  const auto refuse = [&](const std::string& what) { block.fail("wrong descriptor", "wgmma: " + what); };
  const uint32_t start = field(0, 14) * 16, stride = field(32, 14) * 16, base_offset = field(49, 3);
  if (field(62, 2) != 1) refuse("swizzling mode " + std::to_string(field(62, 2)) + " is not the 128-byte one (1)");
  if (field(14, 2) || field(30, 2) || field(46, 3) || field(52, 10)) refuse("bits without a meaning are set");
  // The pattern of eight rows must begin at a multiple of 1024, or the base offset say where; that is not modelled.
  if (base_offset != 0) refuse("base offset " + std::to_string(base_offset) + ", and only 0 is modelled");
  if (start % 1024 >= 128)
    refuse("rows begin at address " + std::to_string(start) + ", not in the first row of an atom of 1024 bytes");
  if (stride == 0 || stride % 1024 != 0)
    refuse("eight rows to the next eight are " + std::to_string(stride) + " bytes, not a multiple of 1024");
  if (start % 128 + kDepth * 2 > 128) refuse("16 elements of k run past the 128 bytes of a row");
  const uint32_t first_atom = start / 1024 * 1024, last_atom = first_atom + (rows / 8 - 1) * stride;
  if (!block.shared_at(first_atom, 1024) || !block.shared_at(last_atom, 1024))
    refuse("its " + std::to_string(rows) + " rows do not lie in dynamic shared memory");

  std::vector<uint16_t> elements(static_cast<size_t>(rows) * kDepth);
  for (int row = 0; row < rows; row++)
    for (int half = 0; half < 2; half++) {
      const uint32_t linear = start + row / 8 * stride + row % 8 * 128 + half * 16;
      // Address bits 4-6 are combined with bits 7-9.
      const uint32_t swizzled = linear ^ (linear >> 7 & 7) << 4;
      const void* bytes = block.shared_at(swizzled, 16);
      if (look == Look::starts) note_wgmma_read_started(bytes, 16);
      if (look == Look::ends) note_wgmma_read_ended(bytes, 16);
      std::memcpy(&elements[static_cast<size_t>(row) * kDepth + half * 8], bytes, 16);
    }
  return elements;
}

}  // namespace

void wgmma_fence(std::source_location site) {
  Block& block = *current_block();
  if (block.arrive_warpgroup("wgmma.fence", site)) block.warpgroup().fence();
}

void wgmma(const WgmmaOperands& operands, std::source_location site) {
  Block& block = *current_block();
  static_assert(sizeof operands <= sizeof(Thread::in));
  std::memcpy(block.thread().in, &operands, sizeof operands);
  if (block.arrive_warpgroup("wgmma.mma_async", site)) block.warpgroup().issue(block);
}

void wgmma_commit(std::source_location site) {
  Block& block = *current_block();
  if (block.arrive_warpgroup("wgmma.commit_group", site)) block.warpgroup().commit();
}

void wgmma_wait(unsigned pending, std::source_location site) {
  Block& block = *current_block();
  if (block.arrive_warpgroup("wgmma.wait_group", site)) block.warpgroup().wait(block, pending);
}

void fence_async_proxy() { current_block()->thread().proxy_fences++; }

unsigned shared_address(const void* pointer) {
  Block& block = *current_block();
  const unsigned address = block.shared_address(pointer);
  if (address == 0) block.fail("wrong descriptor", "the address of something else than dynamic shared memory");
  return address;
}

void Warpgroup::issue(Block& block) {
  WgmmaOperands of[kThreads];
  for (unsigned rank = 0; rank < kThreads; rank++) {
    std::memcpy(&of[rank], block.thread_at(number_ * kThreads + rank).in, sizeof of[rank]);
    if (of[rank].a != of[0].a || of[rank].b != of[0].b)
      block.fail("divergent collective", "wgmma: threads of a warpgroup give descriptors that differ");
  }
  const int n = of[0].n, count = n / 2;
  const auto same = [&](const std::shared_ptr<Sums>& sums) { return sums->registers[0] == of[0].sums; };
  auto found = std::find_if(busy_.begin(), busy_.end(), same);
  if (found == busy_.end()) {
    if (!fenced_)
      block.fail("missing fence", "wgmma without a wgmma.fence since its registers could be used by others");
    auto sums = std::make_shared<Sums>();
    sums->count = count;
    for (unsigned rank = 0; rank < kThreads; rank++) {
      sums->registers[rank] = of[rank].sums;
      sums->values.insert(sums->values.end(), of[rank].sums, of[rank].sums + count);
      std::fill_n(reinterpret_cast<uint32_t*>(of[rank].sums), count, kPoison);
    }
    busy_.push_back(sums);
    found = std::prev(busy_.end());
  } else if ((*found)->count != count) {
    block.fail("missing wait", "wgmma of another shape on sums that are under way");
  }
  Operation operation{*found, {of[0].a, of[0].b}, {}};
  operation.rows[0] = read_matrix(block, of[0].a, kRowsOfA, Look::starts);
  operation.rows[1] = read_matrix(block, of[0].b, n, Look::starts);

  std::vector<float> b(static_cast<size_t>(kDepth) * n), row(n);
  for (int column = 0; column < n; column++)
    for (int k = 0; k < kDepth; k++) b[k * n + column] = of[0].widen(operation.rows[1][column * kDepth + k]);
  for (int i = 0; i < kRowsOfA; i++) {
    std::fill(row.begin(), row.end(), 0.0f);
    for (int k = 0; k < kDepth; k++) {
      const float a = of[0].widen(operation.rows[0][i * kDepth + k]);
      for (int column = 0; column < n; column++) row[column] += a * b[k * n + column];
    }
    // "Register Fragments", accumulator D: warp w has rows 16 w to 16 w + 15, lane l rows l / 4 and l / 4 + 8 of them,
    // and of each eight columns 2 (l % 4) and the next.
    for (int column = 0; column < n; column++) {
      const unsigned rank = i / 16 * 32 + i % 8 * 4 + column % 8 / 2;
      (*found)->values[rank * count + column / 8 * 4 + i % 16 / 8 * 2 + column % 2] += row[column];
    }
  }
  (*found)->users++;
  open_.push_back(std::move(operation));
}

void Warpgroup::commit() {
  committed_.push_back(std::move(open_));
  open_.clear();
}

void Warpgroup::wait(Block& block, unsigned pending) {
  fenced_ = false;
  while (committed_.size() > pending) {
    for (const Operation& operation : committed_.front()) retire(block, operation);
    committed_.erase(committed_.begin());
  }
}

void Warpgroup::retire(Block& block, const Operation& operation) {
  for (int i = 0; i < 2; i++) {
    const int rows = static_cast<int>(operation.rows[i].size()) / kDepth;
    if (read_matrix(block, operation.descriptors[i], rows, Look::ends) != operation.rows[i])
      block.fail("data race", "shared memory changed while a wgmma read it");
  }
  Sums& sums = *operation.sums;
  for (unsigned rank = 0; rank < kThreads; rank++) {
    auto* words = reinterpret_cast<const uint32_t*>(sums.registers[rank]);
    if (!std::all_of(words, words + sums.count, [](uint32_t word) { return word == kPoison; }))
      block.fail("missing wait", "the sums of a wgmma were written while it was under way");
  }
  if (--sums.users > 0) return;
  for (unsigned rank = 0; rank < kThreads; rank++)
    std::copy_n(&sums.values[rank * sums.count], sums.count, sums.registers[rank]);
  busy_.erase(std::find(busy_.begin(), busy_.end(), operation.sums));
}

bool Warpgroup::uses(unsigned rank, const void* address) const {
  auto* at = static_cast<const float*>(address);
  return std::any_of(busy_.begin(), busy_.end(), [&](const std::shared_ptr<Sums>& sums) {
    return at >= sums->registers[rank] && at < sums->registers[rank] + sums->count;
  });
}

}  // namespace glimt::emu
