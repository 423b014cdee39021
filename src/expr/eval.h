// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "expr/ast.h"
#include "expr/functions.h"
#include "expr/item.h"
#include "expr/python.h"
#include "expr/regex.h"

namespace millrace::expr {

// YAQL's variables: `$`, `$1`, `$name`. A child shadows its parent.
struct Context : Object {
  explicit Context(Ref<Context> p) : Object(ObjectKind::Context), parent(std::move(p)) {}
  const Item* find(std::string_view name) const;
  size_t names() const;  // that find() may have to look at
  Ref<Context> parent;
  std::vector<std::pair<std::string, Item>> data;
};

// An argument of YAQL, evaluated where it was written whenever the function asks.
struct Lambda : Object {
  Lambda(NodeId n, Ref<Context> c) : Object(ObjectKind::Lambda), node(n), context(std::move(c)) {}
  NodeId node;
  Ref<Context> context;
};

// YAQL's `a => b`, evaluated (its parts are lambdas when the function wants it so).
struct Rule : Object {
  Rule(Item s, Item d)
      : Object(ObjectKind::Rule), source(std::move(s)), destination(std::move(d)) {}
  Item source;
  Item destination;
};

struct Macro : Object {
  explicit Macro(NodeId n) : Object(ObjectKind::Macro), node(n) {}
  NodeId node;  // Op::Macro or Op::CallBlock
};

struct Cycler : Object {
  explicit Cycler(std::vector<Item> v) : Object(ObjectKind::Cycler), items(std::move(v)) {}
  std::vector<Item> items;
  size_t at = 0;
};

struct Joiner : Object {
  explicit Joiner(Item s) : Object(ObjectKind::Joiner), separator(std::move(s)) {}
  Item separator;
  bool used = false;
};

struct Loop : Object {
  Loop() : Object(ObjectKind::Loop) {}
  std::vector<Item> items;
  size_t at = 0;
  size_t depth = 1;
  NodeId node = kNone;
  std::vector<Item> last_changed;
  bool has_changed_before = false;
};

struct Namespace : Object {
  Namespace() : Object(ObjectKind::Namespace) {}
  std::vector<std::pair<std::string, Item>> data;
};

// Walks one expression tree. One evaluate call makes one Evaluator for each text that it meets.
class Evaluator {
 public:
  struct Shared {  // of all texts in one evaluate or render call
    const Scope& scope;
    Meter& meter;
    RegexCache& regexes;
    uint64_t random_state;
    uint32_t data_depth = 0;          // above 0: the running text came out of a value
    bool data_read_key = false;       // it asked for a key, which it did not get
    std::optional<Error> needs = {};  // what must be loaded first
  };

  Evaluator(const Tree& tree, Shared& shared)
      : scope(shared.scope), meter(shared.meter), tree_(tree), shared_(shared) {}

  const Scope& scope;
  Meter& meter;

  Result<Item> eval(NodeId id);
  // The node's value where it lies in the scope, without a copy; nullptr when it is not a plain
  // path or not there: then eval says. `bytes` grows by the names that it looked for.
  const Value* peek(NodeId id, size_t& bytes) const;
  // eval, and an error when that is Jinja's undefined.
  Result<Item> defined(NodeId id);
  Result<std::string> run_template(NodeId body);

  // For the functions of the tables.
  bool is_yaql() const { return meter.frozen_input; }
  uint64_t random();
  RegexCache& regexes() { return shared_.regexes; }
  // A key of the datastore, by whatever spelling. Data gets none: who may send a webhook would
  // read every key that the workflow may read.
  Result<Answer> key(std::string_view name, bool decrypt);
  Result<std::string> str(const Item& item) { return python::str(meter, item); }
  Result<Item> text(std::string value);        // counts its memory
  Result<Item> copied(std::string_view text);  // counts it before
  Result<Item> list(std::vector<Item> items) {
    return make_seq(meter, Flavor::List, std::move(items));
  }
  Result<Item> tuple(std::vector<Item> items) {
    return make_seq(meter, Flavor::Tuple, std::move(items));
  }
  Result<bool> equal(const Item& a, const Item& b) { return python::equal(meter, a, b); }
  Result<std::vector<Item>> items_of(const Item& iterable);
  // A list in the place of an iterator: what text shows of it.
  Result<Item> drained(Item item);
  Result<Item> binary(python::Arithmetic op, const Item& a, const Item& b);
  Result<bool> contains(const Item& container, const Item& item);
  Result<int64_t> length(const Item& item);

  // Jinja
  Result<Item> attribute(const Item& object, std::string_view name);
  Result<Item> subscript(const Item& object, const Item& index);
  Result<Item> call(const Item& callable, Args& args);
  Result<Item> call_method(const Item& object, std::string_view name, Args& args);
  Result<Item> apply(const Function& function, Args& args);  // binds and runs
  Result<Item> ask(const Answer& answer, const Item& when_absent);

  // YAQL
  Result<Item> call_lambda(const Item& lambda, std::span<const Item> args);
  Result<Item> eval_in(NodeId node, Ref<Context> context);
  Result<Item> yaql_operator(YaqlOperator op, const Item& a, const Item& b);
  Result<Item> yaql_attribute(const Item& object, std::string_view name);
  Result<Item> lazy_argument(NodeId node);
  const Ref<Context>& context() const { return context_; }
  const Tree& tree() const { return tree_; }

 private:
  Result<Item> eval_node(const Node& node);
  Result<Item> eval_common(const Node& node);
  Result<Item> eval_jinja(const Node& node);
  Result<Item> eval_yaql(const Node& node);
  Result<Item> eval_binary(const Node& node);
  Result<Item> eval_compare(const Node& node);
  Result<Item> eval_slice(const Node& node);
  Result<Item> eval_name(const Node& node);
  Result<Item> eval_filter(const Node& node);
  Result<Item> eval_kv(const Node& node);
  Result<Item> eval_call(const Node& node);
  Result<Item> eval_list(const Node& node, Flavor flavor);
  Result<Item> eval_dict(const Node& node);
  Result<void> eval_args(std::span<const Arg> list, Args& out);
  Result<Item> ctx_attribute(std::string_view name);
  Result<Item> ctx_key(std::string_view name);

  // Jinja statements
  Result<void> run(NodeId id);
  Result<void> run_for(NodeId id, Ref<Loop> loop);
  Result<void> run_if(const Node& node);
  Result<void> run_captured(const Node& node);
  Result<void> run_with(const Node& node);
  Result<void> assign(NodeId target, const Item& value);
  Result<std::string> capture(NodeId body);
  Result<void> put(std::string_view text);
  Result<void> print(const Item& value);
  Result<Item> call_macro(const Macro& macro, Args& args);
  Result<Item> cycle_of(Loop& loop, std::string_view name, Args& args);
  Result<Item> undefined(std::string reason);
  const Item* find_local(std::string_view name) const;

  // YAQL
  Result<Item> yaql_call(const Node& node);
  Result<Item> yaql_index(const Node& node);

  struct Local {
    std::string name;
    Item value;
  };
  // Names set inside end with the block.
  class Frame {
   public:
    explicit Frame(Evaluator& e) : eval_(e), size_(e.locals_.size()), base_(e.frame_base_) {
      eval_.frame_base_ = size_;
    }
    ~Frame() {
      eval_.locals_.resize(size_);
      eval_.frame_base_ = base_;
    }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;

   private:
    Evaluator& eval_;
    size_t size_;
    size_t base_;
  };

  const Tree& tree_;
  Shared& shared_;
  std::vector<Local> locals_;
  size_t frame_base_ = 0;
  std::string* out_ = nullptr;
  Item captured_;  // the text that a filter block works on
  Ref<Context> context_;
};

// Pulls the elements of anything that Python can iterate. A map gives its keys, a string its
// characters.
class Cursor {
 public:
  static Result<Cursor> over(const Item& iterable);
  Result<bool> next(Evaluator& eval, Item& out);

 private:
  explicit Cursor(Item source) : source_(std::move(source)) {}
  Item source_;
  size_t at_ = 0;
};

// bool(x) of Python; an error for Jinja's undefined.
Result<bool> truth_of(const Item& item);
Error undefined_use(const Item& undefined);
// The beginning of a name, for a message that many values may hold.
std::string brief(std::string_view name);

Result<Item> finalize_yaql(Evaluator& eval, const Item& item);
// The end of an evaluation: a Value without anything of Python, within the output budget.
Result<Value> to_value(Evaluator& eval, const Item& item);

// An Iterator whose step is a lambda `Result<bool>(Evaluator&, Item&)`. `below` is the depth of
// what the lambda holds.
template <typename Step>
struct StepIterator final : Iterator {
  explicit StepIterator(Step s) : step(std::move(s)) {}
  Result<bool> next(Evaluator& eval, Item& out) override { return step(eval, out); }
  Step step;
};
template <typename Step>
Result<Item> make_iterator(Meter& meter, uint16_t below, Step step) {
  auto iterator = make<StepIterator<Step>>(std::move(step));
  TRY(nest(meter, *iterator, below));
  return Item(Ref<Iterator>(iterator));
}

// An iterator over what is already there: no length, no index, consumed once.
Result<Item> iterate_over(Evaluator& eval, std::vector<Item> items);

}  // namespace millrace::expr
