#include "engine.h"

#include <chrono>
#include <thread>

#include "environment.h"

namespace glimt::addon {

void Engine::start(EngineOptions options, std::unique_ptr<Job> opened) {
  stopped_ = false;
  environment_->expect_delivery();
  environment_->add(shared_from_this());
  // The thread keeps its engine alive; who needs its end waits for `stopped_`.
  std::thread([self = shared_from_this(), options, job = std::move(opened)]() mutable {
    self->serve(options, std::move(job));
  }).detach();
}

void Engine::serve(const EngineOptions& options, std::unique_ptr<Job> opened) {
  glimt_engine* native = nullptr;
  const glimt_engine_options given{options.device, options.use_cublas, options.batch_invariant,
                                   options.seat ? &*options.seat : nullptr};
  opened->work = [&](glimt_engine*) { must(glimt_engine_create, &given, &native); };
  perform(*opened);
  native_ = native;
  environment_->deliver(std::move(opened));

  std::unique_lock lock(mutex_);
  if (!native) closing_ = true;
  for (;;) {
    changed_.wait(lock, [&] { return closing_ || !queue_.empty(); });
    // What still waits when the engine closes is refused by `perform`.
    if (queue_.empty()) break;
    Entry entry = std::move(queue_.front());
    queue_.pop_front();
    current_ = entry.job.get();
    busy_ = true;
    lock.unlock();
    if (entry.release && !closing_) entry.release(native);
    if (entry.job) perform(*entry.job);
    lock.lock();
    current_ = nullptr;
    busy_ = false;
    if (entry.job) environment_->deliver(std::move(entry.job));
  }
  lock.unlock();
  native_ = nullptr;
  glimt_engine_destroy(native);
  environment_->remove(this);
  lock.lock();
  stopped_ = true;
  changed_.notify_all();
}

void Engine::perform(Job& job) {
  try {
    if (closing_) throw disposed();
    job.work(native_);
  } catch (const Failure& failure) {
    // Whatever ended a run of an engine that is closing, the reason is that it closes.
    job.failure = closing_ ? disposed() : failure;
  } catch (const std::exception& error) {
    job.failure = Failure("DEVICE_FAILED", error.what());
  }
}

void Engine::submit(std::unique_ptr<Job> job) {
  live();
  environment_->expect_delivery();
  std::lock_guard lock(mutex_);
  queue_.push_back({std::move(job), nullptr});
  changed_.notify_all();
}

void Engine::abort() {
  std::lock_guard lock(mutex_);
  if (current_) current_->abort = 1;
  for (Entry& entry : queue_)
    if (entry.job) entry.job->abort = 1;
}

int32_t Engine::progress() {
  std::lock_guard lock(mutex_);
  return current_ ? current_->progress.load() : 0;
}

void Engine::release(glimt_tensor* tensor) {
  release_later([tensor](glimt_engine* engine) { glimt_tensor_free(engine, tensor, nullptr); });
}

void Engine::release(glimt_executable* executable) {
  release_later([executable](glimt_engine* engine) { glimt_executable_free(engine, executable, nullptr); });
}

void Engine::release_later(Release release) {
  // A closed engine has freed it, or is about to.
  if (!open()) return;
  std::unique_lock lock(mutex_);
  if (busy_ || !queue_.empty()) {
    queue_.push_back({nullptr, std::move(release)});
    changed_.notify_all();
    return;
  }
  // Only this thread adds work, so the engine stays idle meanwhile.
  lock.unlock();
  release(native_);
}

void Engine::close() {
  request_stop();
  std::unique_lock lock(mutex_);
  // A run ends by itself at its next instruction; until then its promise is under way.
  if (!busy_) changed_.wait(lock, [&] { return stopped_; });
}

void Engine::request_stop() {
  std::lock_guard lock(mutex_);
  closing_ = true;
  if (current_) current_->abort = 1;
  changed_.notify_all();
}

bool Engine::wait_until_stopped(std::optional<std::chrono::milliseconds> limit) {
  std::unique_lock lock(mutex_);
  const auto stopped = [&] { return stopped_; };
  if (limit) return changed_.wait_for(lock, *limit, stopped);
  changed_.wait(lock, stopped);
  return true;
}

}  // namespace glimt::addon
