// A typed array of JavaScript's that the engine's thread works on. JavaScript may transfer, resize or change the array
// meanwhile, so the work is given memory of its own.
#pragma once
#include <napi.h>

#include <memory>
#include <string>

namespace glimt::addon {

// Made, handed out and destroyed on JavaScript's thread.
class HostArray {
 public:
  // Holds what the array holds now.
  static std::shared_ptr<HostArray> copy_of(Napi::Value array);
  // As large as the array; the content is whatever the work writes.
  static std::shared_ptr<HostArray> sized_as(Napi::Value array);
  HostArray(const HostArray&) = delete;

  // Never null.
  void* data() const { return bytes_.get(); }
  uint64_t size() const { return size_; }

  // Fills the array. Throws INPUT_INVALID, which calls it `name`, when it was transferred or resized meanwhile.
  void hand_out(const std::string& name) const;

 private:
  HostArray(Napi::Value array, uint64_t size);

  Napi::ObjectReference array_;
  uint64_t size_;
  std::unique_ptr<char[]> bytes_;
};

}  // namespace glimt::addon
