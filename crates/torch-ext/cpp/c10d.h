// A group of processes, for the parts of the shim that use it.

#pragma once
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <atomic>
#include <memory>

struct Group {
  c10::intrusive_ptr<c10d::ProcessGroup> processes;
  // Set once an operation failed, in contrast to a call that was refused.
  std::shared_ptr<std::atomic<bool>> failed = std::make_shared<std::atomic<bool>>(false);
};
