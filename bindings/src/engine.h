// An engine and the thread that works for it: runs, uploads and downloads wait in one queue, off JavaScript's thread.
#pragma once
#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "failure.h"
#include "glimt_engine.h"

namespace glimt::addon {

class Engine;
class Environment;

// Work for the thread, and the promise that waits for it. Made and destroyed on JavaScript's thread.
struct Job {
  explicit Job(Napi::Env env) {
    if (napi_create_promise(env, &deferred, &promise) != napi_ok) throw Napi::Error::New(env);
  }

  napi_deferred deferred;
  // Valid while the call that made the job lasts.
  napi_value promise;
  // On the engine's thread.
  std::function<void(glimt_engine*)> work;
  // On JavaScript's thread, after `work` went well: what the promise resolves to. Throws Failure.
  std::function<Napi::Value(Napi::Env)> result;
  std::optional<Failure> failure;
  // Read by glimt_run between instructions; not 0 ends it.
  std::atomic<int32_t> abort{0};
  // Share of the run that is done, in 1/1000.
  std::atomic<int32_t> progress{0};
};

struct EngineOptions {
  int32_t device;
  bool use_cublas, batch_invariant;
  // In a group; none where the engine is alone.
  std::optional<glimt_group_seat> seat;
};

// All methods belong to the JavaScript thread that opened the engine, but `serve` and `request_stop`.
class Engine : public std::enable_shared_from_this<Engine> {
 public:
  static constexpr napi_type_tag kTag = {0x676c696d74656e67, 0x51e79a03c2d86bf8};

  explicit Engine(std::shared_ptr<Environment> environment) : environment_(std::move(environment)) {}
  Engine(const Engine&) = delete;

  // Starts the thread, which creates the engine; `opened` is settled by that.
  void start(EngineOptions options, std::unique_ptr<Job> opened);
  bool open() const { return native_ && !closing_; }
  // Calls on JavaScript's own thread; they wait for a run under way. Throws DISPOSED.
  glimt_engine* live() const {
    if (!open()) throw disposed();
    return native_;
  }

  void submit(std::unique_ptr<Job> job);
  // Makes the job under way, and those that wait, end with ABORTED.
  void abort();
  // Share of the latest job, in 1/1000.
  int32_t progress();

  // Frees native memory after all work that was submitted before; at once when there is none.
  void release(glimt_tensor* tensor);
  void release(glimt_executable* executable);

  // Ends work under way and frees everything. Does not wait for a run, but for the rest when the engine is idle.
  void close();
  // From any thread: the thread ends soon. `wait_until_stopped` waits for that.
  void request_stop();
  // False when the thread has not ended in time.
  bool wait_until_stopped(std::optional<std::chrono::milliseconds> limit);

 private:
  using Release = std::function<void(glimt_engine*)>;
  struct Entry {
    std::unique_ptr<Job> job;
    Release release;
  };

  void serve(const EngineOptions& options, std::unique_ptr<Job> opened);
  void perform(Job& job);
  void release_later(Release release);

  std::shared_ptr<Environment> environment_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by the mutex, as long as the thread lives.
  std::deque<Entry> queue_;
  Job* current_ = nullptr;
  bool busy_ = false, stopped_ = true;
  std::atomic<bool> closing_{false};
  std::atomic<glimt_engine*> native_{nullptr};
};

}  // namespace glimt::addon
