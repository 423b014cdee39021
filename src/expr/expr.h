// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"

// Expressions and templates: `<% YAQL %>` and `{{ Jinja }}`, with plain text around them.
// Pure: no clock, no I/O, no threads; what is outside comes in through Scope.
//
//   expr::Engine engine;                                     // one per deciding thread
//   TRY(auto t, engine.compile("<% ctx().n + 1 %>", expr::Mode::Orquesta));
//   TRY(Value v, engine.evaluate(*t, {.ctx = ctx, .mode = expr::Mode::Orquesta}));
//
// Error codes: EXP-0001 syntax, EXP-0002 evaluation, EXP-0003 undefined name, EXP-0004 a value
// must be loaded first (see needed_key), EXP-0005 steps, EXP-0006 depth, EXP-0007 output size,
// EXP-0008 memory, EXP-0009 integer too large, EXP-0010 not supported by this implementation.
namespace millrace::expr {

enum class Language : uint8_t { None, Jinja, Yaql };

// Orquesta: exactly as the reference, string results are evaluated again as expressions; but a
// text that came out of a value reads no key (st2kv): it is left as it came.
// Native: one pass; data is never evaluated. Root names of Scope::names are usable directly:
// `{{ event.id }}`, `<% $event.id %>`.
enum class Mode : uint8_t { Orquesta, Native };

// The language that a text is given to (Jinja before YAQL), None when it has no expression.
Language detect(std::string_view text, Mode mode);

// Ceilings of one evaluate or render call; each has its own error. Memory counts what the
// evaluation allocates, not what it reads.
struct Budget {
  uint64_t steps = 1'000'000;
  uint32_t depth = 200;
  size_t output_bytes = 16 << 20;
  size_t memory_bytes = 64 << 20;
};

// Steps that many evaluations may take together, beside the ceiling of each: those of one decision.
// A step stands for some 50 ns of one core, so that a decision takes 200 ms at most.
struct Allowance {
  uint64_t of = 4'000'000;
  uint64_t left = of;
  // False, and nothing is taken, when that much is not left.
  bool take(uint64_t steps) {
    if (steps > left) return false;
    left -= steps;
    return true;
  }
  // What writing a value as JSON costs, so many times. False when that is not left; what was found
  // out on the way is gone then, but a text that is too long costs nothing.
  bool take_writing(const Value& value, uint64_t times);
};

// What the outside says to a question: here it is, there is no such thing, "load K first", or that
// it gives no answer.
class Answer {
 public:
  // `steps`: what it has cost to make the value.
  static Answer of(Value value, uint64_t steps = 0) {
    return {Kind::Found, std::move(value), {}, steps};
  }
  static Answer absent() { return {Kind::Absent, Value(), {}}; }
  static Answer need(std::string key) { return {Kind::Need, Value(), std::move(key)}; }
  static Answer refused(std::string why) { return {Kind::Refused, Value(), std::move(why)}; }

  bool found() const { return kind_ == Kind::Found; }
  bool is_absent() const { return kind_ == Kind::Absent; }
  bool needs_load() const { return kind_ == Kind::Need; }
  bool is_refused() const { return kind_ == Kind::Refused; }
  const Value& value() const { return value_; }
  const std::string& key() const { return text_; }
  const std::string& why() const { return text_; }
  uint64_t steps() const { return steps_; }

 private:
  enum class Kind : uint8_t { Found, Absent, Need, Refused };
  Answer(Kind kind, Value value, std::string text, uint64_t steps = 0)
      : kind_(kind), value_(std::move(value)), text_(std::move(text)), steps_(steps) {}
  Kind kind_;
  Value value_;
  std::string text_;
  uint64_t steps_;
};

// The error that a refused answer is.
Error refused(const Answer& answer);

// Values from outside. After an Answer::need(K) the evaluation goes on as if K were absent, to find
// what else it needs, and ends with EXP-0004: load them all, evaluate again. Every question has the
// answer "absent" unless it is overridden.
class Lookup {
 public:
  virtual ~Lookup() = default;
  // st2kv('system.x'), {{ st2kv.system.x }}: `key` includes the scope.
  virtual Answer kv(std::string_view key, bool decrypt) const;
  // task('t'), task('t', 1), task(): without `id` the current task, without `route` its route.
  virtual Answer task(std::optional<std::string_view> id, std::optional<int64_t> route) const;
  // task_status('t'), as a string; absent gives null ("null" in Orquesta mode).
  virtual Answer task_status(std::string_view id, std::optional<int64_t> route) const;
  // The status of the current task: succeeded(), failed(), completed(), timed_out().
  virtual Answer current_status() const;
  // result() of the current task; absent: there is no current task.
  virtual Answer result() const;
  // The current item of a with-items task.
  virtual Answer item() const;
};

struct Scope {
  Value ctx;    // a map: what ctx() sees; names that begin with "__" are private
  Value names;  // a map, Native mode only: root names such as event, trigger, pack, parameters
  const Lookup* lookup = nullptr;
  uint64_t random_seed = 0;  // of random(); the same seed gives the same values
  Mode mode = Mode::Native;
  // Orquesta: the evaluated texts are data themselves, from whoever started the run.
  bool texts_are_data = false;
  Budget budget;
  Allowance* allowance = nullptr;  // outlives the evaluation
};

// K of the first Answer::need(K) of an evaluation that ended with EXP-0004; empty for every other
// error.
std::string_view needed_key(const Error& error);
// All of them: the paths of the error's problems.
const std::vector<Problem>& needed_keys(const Error& error);
// One EXP-0004 for what several evaluations need. Nothing is added when `more` is another error.
void add_needs(std::optional<Error>& needs, const Error& more);

// Python's truth of a value: null, false, 0, "", [] and {} are false. Conditions use it.
bool truthy(const Value& value);
// Python's str(): `None`, `True`, `{'a': 1}`; a string is itself.
std::string to_text(const Value& value);

// What an expression reads, as far as its text tells. Sorted, without repetition.
struct Reads {
  std::vector<std::string> ctx;        // x of ctx().x and ctx('x')
  std::vector<std::string> names;      // root names (native)
  std::vector<std::string> keys;       // constant keys of st2kv
  std::vector<std::string> functions;  // called functions
};

struct Program;
class TemplateCache;

// The compiled form of one text. Immutable: may be shared between threads.
class Template {
 public:
  explicit Template(std::unique_ptr<const Program> program);
  ~Template();
  const std::string& text() const;
  Language language() const;  // None: the text stands for itself
  Mode mode() const;
  const Reads& reads() const;
  const Program& program() const { return *program_; }

 private:
  std::unique_ptr<const Program> program_;
};
using TemplatePtr = std::shared_ptr<const Template>;

struct SyntaxProblem {
  Language language;  // None: several languages in one text (Orquesta)
  std::string expression;
  std::string message;
};

struct VariableRead {
  Language language;
  std::string text;  // the string that holds the expression, its first KiB
  std::string name;
  auto operator<=>(const VariableRead&) const = default;
};

// Compiles, caches by text and evaluates. The cache is bounded in bytes of text. Not thread-safe:
// one per thread that decides. Templates outlive the engine.
class Engine {
 public:
  explicit Engine(size_t max_cached_bytes = 4 << 20);
  ~Engine();
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;

  // EXP-0001 when the text is malformed. In Orquesta mode that error waits for the evaluation,
  // as in the reference: there compile never fails.
  Result<TemplatePtr> compile(std::string_view text, Mode mode);

  // A text that is exactly one expression keeps its type, else the result is a string with
  // Python's spellings. `compiled.mode()` must be `scope.mode`.
  Result<Value> evaluate(const Template& compiled, const Scope& scope);
  Result<Value> evaluate(std::string_view text, const Scope& scope);
  // Evaluates every string of a nested value, keys too.
  Result<Value> render(const Value& tree, const Scope& scope);
  // The truth of a condition: an expression text; a value that is no string counts by its truth.
  Result<bool> test(const Value& condition, const Scope& scope);

  // All syntax errors of the strings of a nested value, keys too.
  std::vector<SyntaxProblem> check(const Value& tree, Mode mode);
  // The context variables that the strings of a nested value read, sorted by name.
  std::vector<VariableRead> variables(const Value& tree, Mode mode);

 private:
  std::unique_ptr<TemplateCache> cache_;
};

}  // namespace millrace::expr
