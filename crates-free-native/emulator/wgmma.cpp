#include "wgmma.h"

#include <algorithm>
#include <cstring>

#include "block.h"

namespace glimt::emu {

namespace {

constexpr int kRowsOfA = 64, kDepth = 16;
constexpr uint32_t kPoison = 0xFFF1BAD5;  // a NaN

enum class Look { starts, ends };

// Elements [rows][16] of the matrix that `descriptor` describes: "Matrix Descriptor Format" and "Canonical Layouts" of
// 16-bit elements. K-major: eight elements of k lie together; transposed: eight rows of one k do. `look` is what the
// access checker is told.
std::vector<uint16_t> read_matrix(Block& block, uint64_t descriptor, bool transposed, int rows, Look look) {
  const auto field = [&](int from, int bits) { return static_cast<uint32_t>(descriptor >> from & ((1u << bits) - 1)); };
  const auto refuse = [&](const std::string& what) { block.fail("wrong descriptor", "wgmma: " + what); };
  const uint32_t start = field(0, 14) * 16, leading = field(16, 14) * 16, stride = field(32, 14) * 16;
  const uint32_t base_offset = field(49, 3);
  if (field(62, 2) != 1) refuse("swizzling mode " + std::to_string(field(62, 2)) + " is not the 128-byte one (1)");
  if (field(14, 2) || field(30, 2) || field(46, 3) || field(52, 10)) refuse("bits without a meaning are set");
  // The pattern of eight rows must begin at a multiple of 1024, or the base offset say where; that is not modelled.
  if (base_offset != 0) refuse("base offset " + std::to_string(base_offset) + ", and only 0 is modelled");
  if (start % 1024 >= 128)
    refuse("rows begin at address " + std::to_string(start) + ", not in the first row of an atom of 1024 bytes");
  if (stride == 0 || stride % 1024 != 0)
    refuse("eight rows to the next eight are " + std::to_string(stride) + " bytes, not a multiple of 1024");
  if (transposed && rows > 64 && (leading == 0 || leading % 1024 != 0))
    refuse("64 columns to the next 64 are " + std::to_string(leading) + " bytes, not a multiple of 1024");
  if (start % 128 + (transposed ? 128 : kDepth * 2) > 128) refuse("its elements run past the 128 bytes of a row");
  const uint32_t first_atom = start / 1024 * 1024;
  const uint32_t last_atom =
      transposed ? first_atom + (rows - 1) / 64 * leading + stride : first_atom + (rows / 8 - 1) * stride;
  if (!block.shared_at(first_atom, 1024) || !block.shared_at(last_atom, 1024))
    refuse("its " + std::to_string(rows) + " rows do not lie in dynamic shared memory");

  std::vector<uint16_t> elements(static_cast<size_t>(rows) * kDepth);
  // Of eight elements that lie together: the first, and how far apart they are in `elements`.
  const auto read = [&](uint32_t linear, uint16_t* to, int apart) {
    // Address bits 4-6 are combined with bits 7-9.
    const void* bytes = block.shared_at(linear ^ (linear >> 7 & 7) << 4, 16);
    if (look == Look::starts) note_wgmma_read_started(bytes, 16);
    if (look == Look::ends) note_wgmma_read_ended(bytes, 16);
    uint16_t eight[8];
    std::memcpy(eight, bytes, 16);
    for (int i = 0; i < 8; i++) to[i * apart] = eight[i];
  };
  if (transposed) {
    for (int row = 0; row < rows; row += 8)
      for (int k = 0; k < kDepth; k++)
        read(start + row % 64 / 8 * 16 + row / 64 * leading + k % 8 * 128 + k / 8 * stride,
             &elements[static_cast<size_t>(row) * kDepth + k], kDepth);
  } else {
    for (int row = 0; row < rows; row++)
      for (int k = 0; k < kDepth; k += 8)
        read(start + row / 8 * stride + row % 8 * 128 + k / 8 * 16, &elements[static_cast<size_t>(row) * kDepth + k], 1);
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
  if (of[0].fragment && !fenced_)
    block.fail("missing fence", "wgmma without a wgmma.fence since its fragment could be written");
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
  Operation operation{*found, {of[0].a, false, {}, {}}, {of[0].b, of[0].transposed_b, {}, {}}};
  if (of[0].fragment)
    read_fragments(of, operation.a);
  else
    operation.a.rows = read_matrix(block, of[0].a, false, kRowsOfA, Look::starts);
  operation.b.rows = read_matrix(block, of[0].b, of[0].transposed_b, n, Look::starts);
  if (of[0].fresh) std::fill((*found)->values.begin(), (*found)->values.end(), 0.0f);

  std::vector<float> b(static_cast<size_t>(kDepth) * n), row(n);
  for (int column = 0; column < n; column++)
    for (int k = 0; k < kDepth; k++) b[k * n + column] = of[0].widen(operation.b.rows[column * kDepth + k]);
  for (int i = 0; i < kRowsOfA; i++) {
    std::fill(row.begin(), row.end(), 0.0f);
    for (int k = 0; k < kDepth; k++) {
      const float a = of[0].widen(operation.a.rows[i * kDepth + k]);
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
  for (const Operation::Operand* operand : {&operation.a, &operation.b}) {
    if (!operand->registers.empty()) {
      restore_fragments(block, *operand);
      continue;
    }
    const int rows = static_cast<int>(operand->rows.size()) / kDepth;
    if (read_matrix(block, operand->descriptor, operand->transposed, rows, Look::ends) != operand->rows)
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

// "Register Fragments", multiplicand A: as of the sums, columns 2 (l % 4) and the next, of each eight of k.
void Warpgroup::read_fragments(const WgmmaOperands (&of)[kThreads], Operation::Operand& a) {
  a.rows.resize(kRowsOfA * kDepth);
  for (unsigned rank = 0; rank < kThreads; rank++) {
    a.registers.push_back(of[rank].fragment);
    for (int i = 0; i < 4; i++) {
      const unsigned row = rank / 32 * 16 + i % 2 * 8 + rank % 32 / 4, k = i / 2 * 8 + rank % 4 * 2;
      const unsigned pair = of[rank].fragment[i];
      a.rows[row * kDepth + k] = static_cast<uint16_t>(pair);
      a.rows[row * kDepth + k + 1] = static_cast<uint16_t>(pair >> 16);
      of[rank].fragment[i] = kPoison;
    }
  }
}

void Warpgroup::restore_fragments(Block& block, const Operation::Operand& a) {
  for (unsigned rank = 0; rank < kThreads; rank++)
    for (int i = 0; i < 4; i++) {
      const unsigned row = rank / 32 * 16 + i % 2 * 8 + rank % 32 / 4, k = i / 2 * 8 + rank % 4 * 2;
      unsigned& pair = a.registers[rank][i];
      if (pair != kPoison) block.fail("missing wait", "a fragment of a wgmma was written while it was under way");
      pair = a.rows[row * kDepth + k] | static_cast<unsigned>(a.rows[row * kDepth + k + 1]) << 16;
    }
}

bool Warpgroup::uses(unsigned rank, const void* address) const {
  const auto in_fragment = [&](const Operation& operation) {
    if (operation.a.registers.empty()) return false;
    auto* at = static_cast<const unsigned*>(address);
    return at >= operation.a.registers[rank] && at < operation.a.registers[rank] + 4;
  };
  const auto in_one = [&](const std::vector<Operation>& group) {
    return std::any_of(group.begin(), group.end(), in_fragment);
  };
  if (in_one(open_) || std::any_of(committed_.begin(), committed_.end(), in_one)) return true;
  auto* at = static_cast<const float*>(address);
  return std::any_of(busy_.begin(), busy_.end(), [&](const std::shared_ptr<Sums>& sums) {
    return at >= sums->registers[rank] && at < sums->registers[rank] + sums->count;
  });
}

}  // namespace glimt::emu
