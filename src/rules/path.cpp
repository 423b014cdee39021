// SPDX-License-Identifier: Apache-2.0
#include "rules/path.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"

namespace millrace::rules {

class Path::Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), rest_(text) {}

  Result<Path> parse(PathRoot root) {
    TRY(std::string first, name());
    TRY(open(first, root));
    while (!rest_.empty() && rest_[0] != '#') TRY(step());
    return std::move(path_);
  }

 private:
  Error error(std::string_view what) const {
    return Error(ErrorKind::Invalid, "RUL-0001", fmt::format("'{}': {}", text_, what));
  }

  Result<void> open(const std::string& first, PathRoot root) {
    if (root == PathRoot::Item) {
      if (first == "item") return {};
      return error("expected a path that begins with 'item.', as all paths inside a search");
    }
    if (first == "trigger") {
      path_.add({.kind = Step::Kind::Name, .name = "payload"});
      return {};
    }
    if (first != "event") {
      constexpr std::array kRoots = {std::string_view("trigger"), std::string_view("event")};
      return error(fmt::format("expected a path that begins with 'trigger.' or 'event.'{}",
                               did_you_mean(first, kRoots)));
    }
    return open_event();
  }

  Result<void> open_event() {
    constexpr std::array kFields = {std::string_view("payload"), std::string_view("id"),
                                    std::string_view("trigger"), std::string_view("created"),
                                    std::string_view("parameters")};
    if (!rest_.starts_with('.')) return error("expected 'event.payload', 'event.id', ...");
    rest_.remove_prefix(1);
    TRY(std::string field, name());
    if (std::ranges::find(kFields, field) == kFields.end()) {
      return error(fmt::format("an event has no '{}'{}", field, did_you_mean(field, kFields)));
    }
    path_.add({.kind = Step::Kind::Name, .name = std::move(field)});
    return {};
  }

  Result<void> step() {
    if (rest_[0] == '[') return bracket();
    if (rest_[0] != '.') return error(fmt::format("expected '.' or '[' before '{}'", rest_));
    rest_.remove_prefix(1);
    TRY(std::string field, name());
    if (field == "*") {
      path_.add({.kind = Step::Kind::Each});
    } else {
      path_.add({.kind = Step::Kind::Name, .name = std::move(field)});
    }
    return {};
  }

  // A plain name ends at one of . [ ] # or a quote; a quoted one at its quote.
  Result<std::string> name() {
    if (!rest_.empty() && (rest_[0] == '\'' || rest_[0] == '"')) return quoted();
    size_t end = std::min(rest_.find_first_of(".[]#'\""), rest_.size());
    if (end == 0) return error("expected a name");
    std::string found(rest_.substr(0, end));
    rest_.remove_prefix(end);
    return found;
  }

  Result<std::string> quoted() {
    size_t end = rest_.find(rest_[0], 1);
    if (end == rest_.npos) return error(fmt::format("the quote {} is not closed", rest_[0]));
    std::string found(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return found;
  }

  Result<void> bracket() {
    rest_.remove_prefix(1);
    bool is_quoted = rest_.starts_with('\'') || rest_.starts_with('"');
    TRY(std::string inner, name());
    if (!rest_.starts_with(']')) return error("the bracket [ is not closed");
    rest_.remove_prefix(1);
    if (is_quoted) {
      path_.add({.kind = Step::Kind::Name, .name = std::move(inner)});
      return {};
    }
    if (inner == "*") {
      path_.add({.kind = Step::Kind::Each});
      return {};
    }
    size_t index = 0;
    auto [end, failed] = std::from_chars(inner.data(), inner.data() + inner.size(), index);
    if (failed != std::errc() || end != inner.data() + inner.size()) {
      return error(fmt::format("expected a number, * or a quoted name in [], found '{}'", inner));
    }
    path_.add({.kind = Step::Kind::Index, .index = index});
    return {};
  }

  std::string_view text_, rest_;
  Path path_;
};

Result<Path> Path::parse(std::string_view text, PathRoot root) { return Parser(text).parse(root); }

Path Path::of_parameter(std::string_view name) {
  Path path;
  path.add({.kind = Step::Kind::Name, .name = "parameters"});
  if (!name.empty()) path.add({.kind = Step::Kind::Name, .name = std::string(name)});
  return path;
}

void Path::add(Step step) {
  switch (step.kind) {
    case Step::Kind::Name: key_ += fmt::format(".{}:{}", step.name.size(), step.name); break;
    case Step::Kind::Index: key_ += fmt::format("[{}]", step.index); break;
    case Step::Kind::Each: key_ += "[*]"; break;
  }
  steps_.push_back(std::move(step));
}

const Value* Path::find(const Value& root) const { return find_from(&root, 0); }

const Value* Path::find_from(const Value* at, size_t step) const {
  for (; at && step < steps_.size(); ++step) {
    const Step& next = steps_[step];
    if (next.kind == Step::Kind::Name) {
      at = at->find(next.name);
    } else if (next.kind == Step::Kind::Index) {
      at = at->is_list() && next.index < at->size() ? &at->as_list()[next.index] : nullptr;
    } else {
      auto first = [&](const Value& child) { return find_from(&child, step + 1); };
      if (at->is_list()) {
        for (const Value& child : at->as_list()) {
          if (const Value* found = first(child)) return found;
        }
      } else if (at->is_map()) {
        for (const auto& [key, child] : at->as_map()) {
          if (const Value* found = first(child)) return found;
        }
      }
      return nullptr;
    }
  }
  return at;
}

}  // namespace millrace::rules
