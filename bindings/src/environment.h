// What the addon keeps for one JavaScript thread: its open engines, and the way their results come back to it.
#pragma once
#include <napi.h>

#include <memory>
#include <mutex>
#include <vector>

#include "engine.h"

namespace glimt::addon {

class Environment : public std::enable_shared_from_this<Environment> {
 public:
  // The environment of the calling JavaScript thread.
  static const std::shared_ptr<Environment>& of(Napi::Env env);
  // To be called once for each JavaScript thread that loads the addon.
  static void install(Napi::Env env);

  // On JavaScript's thread, before work is handed to another: keeps the process alive until it is delivered.
  void expect_delivery();
  // From any thread: the job's promise is settled soon.
  void deliver(std::unique_ptr<Job> job);

  void add(std::shared_ptr<Engine> engine);
  void remove(const Engine* engine);

 private:
  explicit Environment(Napi::Env env) : env_(env) {}
  // Settles the promises of the jobs that are done.
  void settle();
  // Ends all engines, and waits for that: JavaScript's thread is about to end.
  void shut_down();
  std::vector<std::shared_ptr<Engine>> engines();

  static void stop_all_at_exit();

  Napi::Env env_;
  napi_threadsafe_function wake_ = nullptr;
  size_t undelivered_ = 0;
  std::mutex mutex_;
  // Guarded by the mutex.
  std::vector<std::unique_ptr<Job>> done_;
  std::vector<std::shared_ptr<Engine>> engines_;
  bool shut_ = false;
};

}  // namespace glimt::addon
