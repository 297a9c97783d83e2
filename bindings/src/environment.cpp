#include "environment.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace glimt::addon {

namespace {

// How long the exit of the process waits for a kernel that does not end.
constexpr std::chrono::milliseconds kExitLimit{5000};

// Environments of all JavaScript threads of the process.
std::mutex g_mutex;
std::vector<Environment*> g_environments;

}  // namespace

const std::shared_ptr<Environment>& Environment::of(Napi::Env env) {
  return *env.GetInstanceData<std::shared_ptr<Environment>>();
}

void Environment::install(Napi::Env env) {
  auto environment = std::shared_ptr<Environment>(new Environment(env));
  auto name = Napi::String::New(env, "glimt");
  // Results wait in `done_`; the call only says that there are some.
  const auto call = [](napi_env alive, napi_value, void* self, void*) {
    if (alive) static_cast<Environment*>(self)->settle();
  };
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, environment.get(), call,
                                      &environment->wake_) != napi_ok)
    throw Napi::Error::New(env);
  napi_unref_threadsafe_function(env, environment->wake_);
  env.SetInstanceData(new std::shared_ptr<Environment>(environment));
  // Runs before Node closes the thread-safe function above, while references can still be deleted.
  env.AddCleanupHook([environment] { environment->shut_down(); });
  std::lock_guard lock(g_mutex);
  g_environments.push_back(environment.get());
  // process.exit runs no cleanup hooks on the main thread, but destroys globals that engines use.
  static std::once_flag registered;
  std::call_once(registered, [] { std::atexit(stop_all_at_exit); });
}

void Environment::expect_delivery() {
  if (undelivered_++ == 0) napi_ref_threadsafe_function(env_, wake_);
}

void Environment::deliver(std::unique_ptr<Job> job) {
  std::lock_guard lock(mutex_);
  done_.push_back(std::move(job));
  if (!shut_) napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

void Environment::settle() {
  std::vector<std::unique_ptr<Job>> jobs;
  {
    std::lock_guard lock(mutex_);
    jobs.swap(done_);
  }
  for (auto& job : jobs) {
    Napi::HandleScope scope(env_);
    if (--undelivered_ == 0) napi_unref_threadsafe_function(env_, wake_);
    // A thread that is being terminated refuses calls; then nobody waits for the promise either.
    try {
      Napi::Value value = env_.Undefined();
      try {
        if (!job->failure && job->result) value = job->result(env_);
      } catch (const Failure& failure) {
        job->failure = failure;
      }
      if (job->failure)
        napi_reject_deferred(env_, job->deferred, job->failure->to_js(env_).Value());
      else
        napi_resolve_deferred(env_, job->deferred, value);
    } catch (const Napi::Error& error) {
      napi_reject_deferred(env_, job->deferred, error.Value());
    }
  }
}

void Environment::add(std::shared_ptr<Engine> engine) {
  std::lock_guard lock(mutex_);
  engines_.push_back(std::move(engine));
}

void Environment::remove(const Engine* engine) {
  std::lock_guard lock(mutex_);
  std::erase_if(engines_, [engine](const auto& held) { return held.get() == engine; });
}

std::vector<std::shared_ptr<Engine>> Environment::engines() {
  std::lock_guard lock(mutex_);
  return engines_;
}

void Environment::shut_down() {
  const auto engines = this->engines();
  for (const auto& engine : engines) engine->request_stop();
  for (const auto& engine : engines) engine->wait_until_stopped({});
  {
    std::lock_guard lock(g_mutex);
    std::erase(g_environments, this);
  }
  std::vector<std::unique_ptr<Job>> dropped;
  std::lock_guard lock(mutex_);
  shut_ = true;
  // Their promises have nobody left to tell; their references must go while the JavaScript thread lives.
  dropped.swap(done_);
}

void Environment::stop_all_at_exit() {
  std::vector<std::shared_ptr<Engine>> engines;
  {
    std::lock_guard lock(g_mutex);
    for (Environment* environment : g_environments)
      for (auto& engine : environment->engines()) engines.push_back(std::move(engine));
  }
  for (const auto& engine : engines) engine->request_stop();
  for (const auto& engine : engines) engine->wait_until_stopped(kExitLimit);
}

}  // namespace glimt::addon
