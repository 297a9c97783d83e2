#include "host_array.h"

#include <algorithm>
#include <cstring>

#include "arguments.h"
#include "failure.h"

namespace glimt::addon {

HostArray::HostArray(Napi::Value array, uint64_t size)
    : array_(Napi::Persistent(array.As<Napi::Object>())),
      size_(size),
      bytes_(new char[std::max<uint64_t>(size, 1)]) {}

std::shared_ptr<HostArray> HostArray::sized_as(Napi::Value array) {
  return std::shared_ptr<HostArray>(new HostArray(array, bytes_of(array).size));
}

std::shared_ptr<HostArray> HostArray::copy_of(Napi::Value array) {
  const Bytes now = bytes_of(array);
  auto copy = std::shared_ptr<HostArray>(new HostArray(array, now.size));
  if (now.size > 0) std::memcpy(copy->data(), now.data, now.size);
  return copy;
}

void HostArray::hand_out(const std::string& name) const {
  const Bytes now = bytes_of(array_.Value());
  if (now.size != size_)
    throw Failure("INPUT_INVALID", "The array of \"" + name + "\" was transferred or resized while it was being filled.");
  if (size_ > 0) std::memcpy(now.data, data(), size_);
}

}  // namespace glimt::addon
