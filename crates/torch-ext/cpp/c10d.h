// A group of processes, for the parts of the shim that use it.

#pragma once
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <atomic>
#include <memory>

struct Group {
  c10::intrusive_ptr<c10d::ProcessGroup> processes;
  // Set once a reduction of gradients failed, whose error passes through libtorch's engine.
  std::shared_ptr<std::atomic<bool>> failed = std::make_shared<std::atomic<bool>>(false);
};
