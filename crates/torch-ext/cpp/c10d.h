// A group of processes, for the parts of the shim that use it.

#pragma once
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

// What callers of a group wait for, and what ends their waits: Gloo may wait for a dead rank until its timeout.
struct Waits {
  // Set once an operation failed, in contrast to a call that was refused. Ends all waits.
  std::atomic<bool> failed = false;
  // Sums that backward passes wait for. A sum ends under the lock, and once only.
  std::mutex lock;
  std::vector<c10::intrusive_ptr<c10::ivalue::Future>> sums;
};

// Waits for an operation, and notes in `waits` that it failed.
void await(c10d::Work& work, Waits& waits);

struct Group {
  c10::intrusive_ptr<c10d::ProcessGroup> processes;
  std::shared_ptr<Waits> waits = std::make_shared<Waits>();
};
