// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"

namespace millrace::rules {

enum class PathRoot : uint8_t { Event, Item };

// The place in an event that a criterion looks at:
//
//   trigger.body.ref                        the payload; the same as event.payload.body.ref
//   trigger.headers['X-GitHub-Event']       a name with dots or spaces in quotes
//   trigger.commits[0].id                   an item of a list
//   trigger.commits[*].id                   of the first item that has one
//   event.id event.trigger event.created event.parameters.name
//   item.name                               inside `search`
//
// Whatever follows a '#' is dropped, so that a map of criteria can test one place twice
// (`trigger.level#low`, `trigger.level#high`), as in StackStorm.
class Path {
 public:
  // Error RUL-0001.
  static Result<Path> parse(std::string_view text, PathRoot root);
  // event.parameters.NAME: what the trigger instance that fired was set up with; without a name
  // all of it.
  static Path of_parameter(std::string_view name);

  // The value at this place of an event_value() or of an item; nullptr when there is none.
  const Value* find(const Value& root) const;
  // One spelling per place: paths with equal keys are the same place.
  const std::string& key() const { return key_; }

 private:
  friend class PathTree;
  struct Step {
    enum class Kind : uint8_t { Name, Index, Each } kind;
    std::string name;
    size_t index = 0;
  };
  class Parser;

  void add(Step step);
  const Value* find_from(const Value* at, size_t step) const;

  std::vector<Step> steps_;
  std::string key_;
};

}  // namespace millrace::rules
