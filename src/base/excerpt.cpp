// SPDX-License-Identifier: Apache-2.0
#include "base/excerpt.h"

#include <string_view>

#include "base/json.h"
#include "base/problems.h"

namespace millrace {
namespace {

// Writes JSON until there is more than is wanted.
class Writer {
 public:
  explicit Writer(size_t most) : most_(most) {}
  std::string take() { return std::move(out_); }

  void add(const Value& value) {
    bool first = true;
    auto separate = [&] {
      if (!first) out_ += ',';
      first = false;
    };
    if (value.is_list()) {
      out_ += '[';
      for (const Value& item : value.as_list()) {
        if (full()) return;
        separate();
        add(item);
      }
      out_ += ']';
    } else if (value.is_map()) {
      out_ += '{';
      for (const auto& [key, item] : value.as_map()) {
        if (full()) return;
        separate();
        text(key.as_string());
        out_ += ':';
        add(item);
      }
      out_ += '}';
    } else if (value.is_string()) {
      text(value.as_string());
    } else {
      append_json(out_, value);
    }
  }

 private:
  bool full() const { return out_.size() > most_; }
  // One byte more than fits is enough.
  void text(std::string_view text) { append_json_string(out_, text.substr(0, most_ + 1)); }

  size_t most_;
  std::string out_;
};

std::string beginning(const Value& value, size_t most) {
  Writer writer(most);
  writer.add(value);
  return writer.take();
}

}  // namespace

std::string json_excerpt(const Value& value, size_t most) {
  std::string text = beginning(value, most);
  return text.size() <= most ? text : shortened(std::move(text), most + 3);
}

Value excerpt(const Value& value, size_t most) {
  if (!value.is_string() && !value.is_list() && !value.is_map()) return value;
  std::string text = beginning(value, most);
  return text.size() <= most ? value : Value(shortened(std::move(text), most + 3));
}

}  // namespace millrace
