// Groups of engines on the emulator: the emulated NCCL by itself, and what ends a group. Ranks are threads.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "executor/group.h"
#include "glimt_engine.h"
#include "glimt_float.h"
#include "runtime/communicator.h"
#include "runtime/error.h"

namespace {

using namespace glimt;
using program::DType;
using std::chrono::milliseconds;

int failures = 0;

void expect(bool good, const std::string& name, const std::string& found = "") {
  std::printf("%s %s%s%s\n", good ? "ok  " : "FAIL", name.c_str(), found.empty() ? "" : ": ", found.c_str());
  if (!good) failures++;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// What a rank has on its device.
class Rank {
 public:
  Rank(const rt::Seat& seat, const std::function<void()>& keep_waiting)
      : seat(seat), communicator(seat, seat.rank, keep_waiting) {
    rt::use_device(seat.rank);
    stream = rt::create_stream();
  }
  ~Rank() {
    for (void* memory : held_) rt::release(memory);
    rt::destroy_stream(stream);
  }

  void* hold(const void* from, size_t bytes) {
    void* memory = rt::allocate(bytes);
    held_.push_back(memory);
    std::memcpy(memory, from, bytes);
    return memory;
  }
  float* floats(const std::vector<float>& values) {
    return static_cast<float*>(hold(values.data(), values.size() * sizeof(float)));
  }
  std::vector<float> take(const float* from, size_t count) {
    rt::synchronize(stream);
    return {from, from + count};
  }
  void finish() { rt::synchronize(stream); }

  const rt::Seat seat;
  rt::Communicator communicator;
  rt::Stream stream = nullptr;

 private:
  std::vector<void*> held_;
};

std::string error_of(const std::function<void()>& body) {
  try {
    body();
    return "";
  } catch (const Error& error) {
    return std::string(error.code()) + ": " + error.what();
  }
}

// What each rank failed with; "" where it went well. Whoever waits after `patience` is aborted.
std::vector<std::string> run_ranks(int ranks, int tensor, const std::function<void(Rank&)>& body,
                                   milliseconds patience = milliseconds(5000)) {
  std::vector<std::string> errors(ranks);
  std::vector<std::thread> threads;
  const rt::GroupId id = rt::make_group_id();
  std::atomic<int> left{ranks};
  std::vector<std::atomic<Rank*>> there(ranks);
  for (int r = 0; r < ranks; r++)
    threads.emplace_back([&, r] {
      errors[r] = error_of([&] {
        Rank rank({id, r, ranks, tensor}, [] {});
        there[r] = &rank;
        const std::string error = error_of([&] { body(rank); });
        there[r] = nullptr;
        // Who is done stays: leaving is another case.
        left--;
        while (left > 0) std::this_thread::sleep_for(milliseconds(1));
        if (!error.empty()) throw Error("", error);
      });
    });
  for (auto waited = milliseconds(0); left > 0 && waited < patience; waited += milliseconds(1))
    std::this_thread::sleep_for(milliseconds(1));
  for (auto& rank : there)
    if (Rank* one = rank) one->communicator.abort();
  for (std::thread& thread : threads) thread.join();
  return errors;
}

void expect_well(const std::string& name, const std::vector<std::string>& errors) {
  std::string all;
  for (const std::string& error : errors) all += error;
  expect(all.empty(), name, all);
}

void expect_error(const std::string& name, const std::vector<std::string>& errors, const std::string& part) {
  bool good = true;
  for (const std::string& error : errors) good = good && contains(error, "GROUP_FAILED") && contains(error, part);
  expect(good, name, errors[0]);
}

void test_results() {
  std::atomic<int> right{0};
  expect_well("collectives and messages of 4 ranks in stages of 2", run_ranks(4, 2, [&](Rank& rank) {
    rt::Communicator& to = rank.communicator;
    const auto r = static_cast<float>(rank.seat.rank), first = static_cast<float>(rank.seat.first());
    float* x = rank.floats({r, 10 * r, 0.5f, -r});
    float* y = rank.floats(std::vector<float>(8));
    to.all_reduce(rank.stream, x, y, 4, DType::f32);
    right += rank.take(y, 4) == std::vector<float>{2 * first + 1, 10 * (2 * first + 1), 1, -(2 * first + 1)};
    to.all_gather(rank.stream, x, y, 2, DType::f32);
    right += rank.take(y, 4) == std::vector<float>{first, 10 * first, first + 1, 10 * (first + 1)};
    to.reduce_scatter(rank.stream, x, y, 2, DType::f32);
    const bool is_first = rank.seat.rank == rank.seat.first();
    right += rank.take(y, 2) ==
             (is_first ? std::vector<float>{2 * first + 1, 10 * (2 * first + 1)} : std::vector<float>{1, -(2 * first + 1)});
    if (rank.seat.rank < 2) to.send(rank.stream, x, 4, DType::f32, rank.seat.rank + 2);
    else to.receive(rank.stream, y, 4, DType::f32, rank.seat.rank - 2);
    right += rank.seat.rank < 2 || rank.take(y, 2) == std::vector<float>{r - 2, 10 * (r - 2)};
    to.all_reduce(rank.stream, x, x, 4, DType::f32);
    rank.finish();
  }));
  expect(right == 16, "their results");

  // 256 + 1 + 1 in bf16: 258 when rounded once, 256 when rounded at each step.
  std::atomic<int> once{0};
  run_ranks(3, 3, [&](Rank& rank) {
    const uint16_t value = narrowBf16(rank.seat.rank == 0 ? 256.0f : 1.0f);
    void* x = rank.hold(&value, 2);
    rank.communicator.all_reduce(rank.stream, x, x, 1, DType::bf16);
    rank.finish();
    once += widenBf16(*static_cast<uint16_t*>(x)) == 258;
  });
  expect(once == 3, "sums are rounded once");
}

void test_mismatches() {
  const auto with = [](const std::function<void(Rank&, float*)>& body) {
    return run_ranks(2, 2, [&](Rank& rank) {
      float* x = rank.floats(std::vector<float>(64));
      body(rank, x);
      rank.finish();
    });
  };
  expect_error("other counts", with([](Rank& rank, float* x) {
                 rank.communicator.all_reduce(rank.stream, x, x, 8 + rank.seat.rank, DType::f32);
               }),
               "operations do not match");
  expect_error("other types", with([](Rank& rank, float* x) {
                 rank.communicator.all_reduce(rank.stream, x, x, 8, rank.seat.rank ? DType::bf16 : DType::f32);
               }),
               "operations do not match");
  expect_error("other operations", with([](Rank& rank, float* x) {
                 if (rank.seat.rank) rank.communicator.all_reduce(rank.stream, x, x, 8, DType::f32);
                 else rank.communicator.all_gather(rank.stream, x, x + 16, 8, DType::f32);
               }),
               "operations do not match");
  expect_error("both send", with([](Rank& rank, float* x) {
                 rank.communicator.send(rank.stream, x, 8, DType::f32, 1 - rank.seat.rank);
               }),
               "operations do not match");
  expect_error("a message of another size", with([](Rank& rank, float* x) {
                 if (rank.seat.rank) rank.communicator.receive(rank.stream, x, 9, DType::f32, 0);
                 else rank.communicator.send(rank.stream, x, 8, DType::f32, 1);
               }),
               "operations do not match");
  expect_error("another order", with([](Rank& rank, float* x) {
                 if (rank.seat.rank) rank.communicator.all_reduce(rank.stream, x, x, 8, DType::f32);
                 else rank.communicator.send(rank.stream, x, 8, DType::f32, 1);
               }),
               "operations are in different orders");
  const auto circle = run_ranks(3, 1, [](Rank& rank) {
    float* x = rank.floats(std::vector<float>(4));
    rank.communicator.receive(rank.stream, x, 4, DType::f32, (rank.seat.rank + 1) % 3);
    rank.finish();
  });
  expect_error("a circle of three", circle, "operations are in different orders");
  std::string outside = with([](Rank& rank, float* x) {
    rank.communicator.all_reduce(rank.stream, x, x, 65, DType::f32);
  })[0];
  expect(contains(outside, "out of bounds"), "more than was allocated", outside);
}

void test_ranks_that_do_not_come() {
  const auto start = std::chrono::steady_clock::now();
  const rt::GroupId id = rt::make_group_id();
  std::string error = error_of([&] { Group group({id, 0, 2, 2}, 0, milliseconds(100)); });
  expect(contains(error, "GROUP_FAILED") && contains(error, "waited 100 ms for the other 1"), "a rank that never comes", error);
  error = error_of([&] { Group group({id, 1, 2, 2}, 1, milliseconds(60000)); });
  expect(contains(error, "waited 100 ms"), "a rank that comes after the group has failed", error);

  std::string errors[2];
  const rt::GroupId same = rt::make_group_id();
  std::thread other([&] { errors[1] = error_of([&] { Group group({same, 1, 2, 2}, 3, milliseconds(60000)); }); });
  errors[0] = error_of([&] { Group group({same, 0, 2, 2}, 3, milliseconds(60000)); });
  other.join();
  expect(contains(errors[0] + errors[1], "device 3 is used by two of its ranks"), "two ranks on a device", errors[0]);

  glimt_group_seat seat{};
  glimt_group_id(seat.id, nullptr);
  seat.ranks = seat.tensor = 2;
  seat.deadline_milliseconds = 60000;
  glimt_error failed{}, refused{};
  std::thread first([&] {
    glimt_engine_options options{0, 0, 0, &seat};
    glimt_engine* engine = nullptr;
    glimt_engine_create(&options, &engine, &failed);
  });
  glimt_group_seat second = seat;
  second.rank = 1;
  glimt_engine_options options{99, 0, 0, &second};
  glimt_engine* engine = nullptr;
  glimt_engine_create(&options, &engine, &refused);
  first.join();
  expect(std::string(refused.code) == "BACKEND_UNAVAILABLE" && std::string(failed.code) == "GROUP_FAILED" &&
             contains(failed.message, "Rank 1 of the group of devices could not be opened: Device 99"),
         "a rank that can not be opened", failed.message);
  second.rank = 2;
  options.device = 0;
  glimt_engine_create(&options, &engine, &refused);
  expect(std::string(refused.code) == "INPUT_INVALID", "a rank that can not be", refused.message);
  const auto took = std::chrono::steady_clock::now() - start;
  expect(took < milliseconds(5000), "none of them waits long");
}

// A rank that waits in a run, until something ends its group.
std::string ended(milliseconds deadline, const std::function<void(Group&, std::atomic<int32_t>&)>& end) {
  const rt::GroupId id = rt::make_group_id();
  std::string error;
  std::unique_ptr<Group> other;
  std::thread comes([&] { other = std::make_unique<Group>(rt::Seat{id, 1, 2, 2}, 1, deadline); });
  Group group({id, 0, 2, 2}, 0, deadline);
  comes.join();
  std::atomic<int32_t> abort{0};
  std::thread waits([&] {
    rt::use_device(0);
    rt::Stream stream = rt::create_stream();
    void* x = rt::allocate(64);
    error = error_of([&] {
      const Group::Run run(group, reinterpret_cast<const volatile int32_t*>(&abort));
      group.communicator().all_reduce(stream, x, x, 16, DType::f32);
      rt::synchronize(stream);
    });
    error += " | " + group.failure() + " | " + error_of([&] { Group::Run(group, nullptr); });
    rt::release(x);
    rt::destroy_stream(stream);
  });
  std::this_thread::sleep_for(milliseconds(20));
  end(*other, abort);
  waits.join();
  return error;
}

void test_ends() {
  const auto start = std::chrono::steady_clock::now();
  const auto expect_end = [](const std::string& name, const std::string& found, const std::string& reason) {
    // The wait, the group, and whoever comes later.
    const bool good = contains(found, "GROUP_FAILED") && contains(found, "| " + reason) &&
                      contains(found, "GROUP_FAILED: " + reason);
    expect(good, name, found);
  };
  const milliseconds minute(60000);
  expect_end("the deadline of a run", ended(milliseconds(200), [](Group&, auto&) {}),
             "Rank 0 of the group of devices was not done with a run after 200 ms");
  expect_end("an aborted run", ended(minute, [](Group&, auto& abort) { abort = 1; }),
             "Rank 0 of the group of devices was closed.");
  expect_end("another rank that fails", ended(minute, [](Group& other, auto&) { other.fail("it broke."); }),
             "Rank 1 of the group of devices: it broke.");
  expect(std::chrono::steady_clock::now() - start < milliseconds(5000), "none of them waits long");
}

}  // namespace

int main() {
  test_results();
  test_mismatches();
  test_ranks_that_do_not_come();
  test_ends();
  return failures ? 1 : 0;
}
