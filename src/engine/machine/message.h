// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

namespace millrace::engine {

class Transition;

// Whoever sends messages need not know what they are made of.
struct DeleteTransition {
  DeleteTransition() = default;
  template <typename Kind>
  DeleteTransition(std::default_delete<Kind>) {}
  void operator()(Transition* message) const noexcept;
};

// A message on its way to a partition: see transition.h.
using Message = std::unique_ptr<Transition, DeleteTransition>;

}  // namespace millrace::engine
