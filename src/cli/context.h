// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/command.h"
#include "cli/output.h"
#include "cli/session.h"

namespace millrace::cli {

// What the handler of a remote command works with.
struct Context {
  const Invocation& in;
  Session& session;
  Style style;

  bool is_table() const { return style.format == Format::Table; }
  // To stdout.
  void print(std::string_view text) const;
  void print_object(const Value& value) const { print(style.object(value)); }
};

}  // namespace millrace::cli
