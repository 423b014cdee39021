// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "expr/expr.h"

// Evaluates any text in all languages and modes under a small budget: every evaluation ends with a
// value that JSON can hold, or with an error.
namespace {

using namespace millrace;
using namespace millrace::expr;

const Value& context() {
  static const Value ctx = *parse_json(R"({"i": 3, "n": -7, "f": 2.5, "s": "Hello World", "e": "",
    "t": true, "z": null, "l": [3, 1, 2, 3], "d": {"a": 1, "b": {"c": "x"}, "k-y": 5},
    "ld": [{"n": "a", "v": 1}, {"n": "b", "v": 2}], "nested": [[1, 2], [3, [4]]], "csv": "a,b,,c",
    "u": "h\u00e9llo", "js": "{\"x\": [1, 2]}", "y": "<% ctx().i %>", "j": "{{ ctx().i }}"})");
  return ctx;
}

class Values : public Lookup {
 public:
  Answer kv(std::string_view key, bool) const override {
    if (key == "n") return Answer::need("n");
    return key == "system.x" ? Answer::of(Value("kv")) : Answer::absent();
  }
  Answer task(std::optional<std::string_view>, std::optional<int64_t>) const override {
    return Answer::of(context());
  }
  Answer task_status(std::string_view, std::optional<int64_t>) const override {
    return Answer::of(Value("succeeded"));
  }
  Answer current_status() const override { return Answer::of(Value("failed")); }
  Answer result() const override { return Answer::of(context()); }
  Answer item() const override { return Answer::of(context()); }
};

void evaluate(std::string_view text, Mode mode) {
  static Engine engine(64 << 10);
  Values lookup;
  Scope scope{.ctx = context(),
              .names = context(),
              .lookup = &lookup,
              .random_seed = 1,
              .mode = mode,
              .budget = {.steps = 20'000, .output_bytes = 64 << 10, .memory_bytes = 1 << 20}};
  auto result = engine.evaluate(text, scope);
  if (!result.ok()) return;
  std::string json = to_json(*result);
  // A value that comes from the context alone is not measured; nothing there is large.
  ASSERT(json.size() < (1 << 20));
  ASSERT(parse_json(json).ok());
  (void)engine.variables(Value(text), mode);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 2048) return 0;
  std::string text(reinterpret_cast<const char*>(data), size);
  evaluate("<% " + text + " %>", Mode::Orquesta);
  evaluate("{{ " + text + " }}", Mode::Orquesta);
  evaluate(text, Mode::Orquesta);
  evaluate(text, Mode::Native);
  return 0;
}
