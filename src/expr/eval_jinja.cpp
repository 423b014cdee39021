// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/problems.h"
#include "expr/eval.h"
#include "expr/string_methods.h"
#include "expr/unicode.h"

// Jinja's expressions. Statements are in eval_statements.cpp.
namespace millrace::expr {
namespace {

std::string object_name(const Item& item) {
  return item.is_null() ? "None" : fmt::format("'{} object'", python::type_name(item));
}

// Nothing for a name that a loop does not have there.
std::optional<Item> loop_attribute(const Loop& loop, std::string_view name) {
  auto n = static_cast<int64_t>(loop.items.size());
  auto i = static_cast<int64_t>(loop.at);
  if (name == "index") return Item(i + 1);
  if (name == "index0") return Item(i);
  if (name == "revindex") return Item(n - i);
  if (name == "revindex0") return Item(n - i - 1);
  if (name == "first") return Item(i == 0);
  if (name == "last") return Item(i == n - 1);
  if (name == "length") return Item(n);
  if (name == "depth") return Item(static_cast<int64_t>(loop.depth));
  if (name == "depth0") return Item(static_cast<int64_t>(loop.depth) - 1);
  if (name == "previtem" && i > 0) return loop.items[loop.at - 1];
  if (name == "nextitem" && i + 1 < n) return loop.items[loop.at + 1];
  return {};
}

std::string why_not_in_loop(std::string_view name) {
  if (name == "previtem") return "there is no previous item";
  if (name == "nextitem") return "there is no next item";
  return fmt::format("'loop' has no attribute '{}'", brief(name));
}

}  // namespace

std::string brief(std::string_view name) {
  constexpr size_t kShown = 200;
  return shortened(std::string(name.substr(0, kShown + 1)), kShown);
}

Result<Item> Evaluator::undefined(std::string reason) {
  TRY(meter.take(sizeof(Undefined) + reason.size()));
  return Item(make<Undefined>(std::move(reason)));
}

Result<Item> Evaluator::eval_jinja(const Node& node) {
  switch (node.op) {
    case Op::Name: return eval_name(node);
    case Op::Tuple: return eval_list(node, Flavor::Tuple);
    case Op::Concat: {
      std::string out;
      for (const Arg& arg : tree_.args_of(node)) {
        TRY(Item part, eval(arg.node));
        TRY(python::append_str(meter, out, part));
      }
      return text(std::move(out));
    }
    case Op::Compare: return eval_compare(node);
    case Op::Condition: {
      TRY(Item test, eval(node.a));
      TRY(bool holds, truth_of(test));
      if (holds) return eval(node.b);
      NodeId otherwise = tree_.args_of(node)[0].node;
      if (otherwise != kNone) return eval(otherwise);
      return undefined(
          "the inline if-expression evaluated to false and no else section was defined.");
    }
    case Op::Attr: {
      TRY(Item object, eval(node.a));
      return attribute(object, tree_.text(node.b));
    }
    case Op::Subscript: {
      TRY(Item object, eval(node.a));
      TRY(Item index, defined(node.b));
      return subscript(object, index);
    }
    case Op::Slice: return eval_slice(node);
    case Op::Call:
    case Op::Method: return eval_call(node);
    case Op::Filter:
    case Op::Test: return eval_filter(node);
    default: return eval_error("this statement has no value");
  }
}

Result<Item> Evaluator::eval_filter(const Node& node) {
  Args args;
  if (node.a == kNone) {
    args.push(captured_);
  } else {
    TRY(Item input, eval(node.a));
    args.push(std::move(input));
  }
  TRY(eval_args(tree_.args_of(node), args));
  if (node.op == Op::Test) return apply(jinja_tests().at(node.b), args);
  const Function& filter = jinja_filters().at(node.b);
  bool takes_undefined = filter.name == "default" || filter.name == "d" || filter.name == "items";
  if (args[0].is_undefined() && !takes_undefined) return undefined_use(args[0]);
  return apply(filter, args);
}

const Item* Evaluator::find_local(std::string_view name) const {
  for (size_t i = locals_.size(); i > 0; --i) {
    if (locals_[i - 1].name == name) return &locals_[i - 1].value;
  }
  return nullptr;
}

Result<Item> Evaluator::eval_name(const Node& node) {
  std::string_view name = tree_.text(node.a);
  TRY(meter.step(locals_.size() / 16));
  if (const Item* local = find_local(name)) return *local;
  if (scope.mode == Mode::Native) {
    if (const Value* root = scope.names.find(name)) return Item(*root);
  }
  return undefined(fmt::format("'{}' is undefined", brief(name)));
}

Result<Item> Evaluator::attribute(const Item& object, std::string_view name) {
  if (object.is_undefined()) return undefined_use(object);
  TRY(meter.scan(name.size()));
  if (object.is_plain_map()) {
    if (const Value* found = object.value().find(name)) return object.child(*found);
  } else if (auto* dict = object.as<Dict>(ObjectKind::Dict)) {
    TRY(Item key, copied(name));
    TRY(const Item* found, dict->find(meter, key));
    if (found) return *found;
  } else if (auto* loop = object.as<Loop>(ObjectKind::Loop)) {
    if (auto found = loop_attribute(*loop, name)) return *found;
    return undefined(why_not_in_loop(name));
  } else if (auto* ns = object.as<Namespace>(ObjectKind::Namespace)) {
    TRY(meter.step(ns->data.size() / 16));
    for (const auto& [key, value] : ns->data) {
      if (key == name) return value;
    }
  } else if (auto* seq = object.as<Seq>(ObjectKind::Seq); seq && seq->is_group) {
    if (name == "grouper") return seq->items[0];
    if (name == "list") return seq->items[1];
  } else if (auto* cycler = object.as<Cycler>(ObjectKind::Cycler)) {
    if (name == "current") return cycler->items[cycler->at];
  }
  return undefined(fmt::format("{} has no attribute '{}'", object_name(object), brief(name)));
}

Result<Item> Evaluator::subscript(const Item& object, const Item& index) {
  if (index.is_string()) return attribute(object, index.str());
  if (object.is_undefined()) return undefined_use(object);
  if (auto* dict = object.as<Dict>(ObjectKind::Dict)) {
    TRY(const Item* found, dict->find(meter, index));
    if (found) return *found;
  }
  bool sequence = object.is_string() || object.is_plain_list() || object.is(ObjectKind::Seq);
  if (sequence && (index.is_int() || index.is_bool())) {
    TRY(int64_t i, python::as_index(index, "an index"));
    TRY(int64_t size, length(object));
    if (i < 0) i += size;
    if (i >= 0 && i < size) {
      if (object.is_string()) {
        std::string_view text = object.str();
        size_t at = unicode::offset_of(text, static_cast<size_t>(i));
        return Item(text.substr(at, unicode::width(text, at)));
      }
      if (auto* seq = object.as<Seq>(ObjectKind::Seq)) return seq->items[static_cast<size_t>(i)];
      return object.child(object.value().as_list()[static_cast<size_t>(i)]);
    }
  }
  TRY(std::string key, str(index));
  return undefined(fmt::format("{} has no element {}", object_name(object), brief(key)));
}

Result<Item> Evaluator::eval_slice(const Node& node) {
  TRY(Item object, defined(node.a));
  std::optional<int64_t> bounds[3];
  auto args = tree_.args_of(node);
  for (size_t i = 0; i < 3; ++i) {
    if (args[i].node == kNone) continue;
    TRY(Item bound, defined(args[i].node));
    if (bound.is_null()) continue;
    TRY(bounds[i], python::as_index(bound, "a slice index"));
  }
  int64_t step = bounds[2].value_or(1);
  if (step == 0) return value_error("slice step cannot be zero");
  if (object.is_string()) {
    TRY(meter.step(1 + object.str().size() / 64));
    if (step != 1) TRY(meter.take(object.str().size() * sizeof(uint32_t)));
    return text(unicode::slice(object.str(), bounds[0], bounds[1], step));
  }
  bool sequence = object.is_plain_list() || object.is(ObjectKind::Seq);
  if (!sequence) {
    return type_error(fmt::format("'{}' object cannot be sliced", python::type_name(object)));
  }
  TRY(auto items, items_of(object));
  auto range = unicode::slice_range(static_cast<int64_t>(items.size()), bounds[0], bounds[1], step);
  std::vector<Item> out;
  for (int64_t i = 0; i < range.count; ++i) {
    out.push_back(items[static_cast<size_t>(range.start + i * step)]);
  }
  auto* seq = object.as<Seq>(ObjectKind::Seq);
  bool is_tuple = seq && seq->flavor == Flavor::Tuple;
  return make_seq(meter, is_tuple ? Flavor::Tuple : Flavor::List, std::move(out));
}

Result<Item> Evaluator::eval_compare(const Node& node) {
  TRY(Item left, defined(node.a));
  for (const Arg& operand : tree_.args_of(node)) {
    TRY(Item right, defined(operand.node));
    auto how = static_cast<Comparison>(operand.aux);
    bool holds = false;
    if (how == Comparison::Eq || how == Comparison::Ne) {
      TRY(holds, equal(left, right));
      if (how == Comparison::Ne) holds = !holds;
    } else if (how == Comparison::In || how == Comparison::NotIn) {
      TRY(holds, contains(right, left));
      if (how == Comparison::NotIn) holds = !holds;
    } else {
      constexpr std::string_view kSymbols[] = {"", "", "<", "<=", ">", ">="};
      TRY(auto order, python::compare(meter, left, right, kSymbols[operand.aux]));
      holds = how == Comparison::Lt   ? order < 0
              : how == Comparison::Le ? order <= 0
              : how == Comparison::Gt ? order > 0
                                      : order >= 0;
    }
    if (!holds) return Item(false);
    left = std::move(right);
  }
  return Item(true);
}

Result<Item> Evaluator::eval_call(const Node& node) {
  TRY(Item object, eval(node.a));
  if (object.is_undefined()) return undefined_use(object);
  Args args;
  TRY(eval_args(tree_.args_of(node), args));
  if (node.op == Op::Call) return call(object, args);
  return call_method(object, tree_.text(node.b), args);
}

Result<Item> Evaluator::call(const Item& callable, Args& args) {
  if (callable.is_undefined()) return undefined_use(callable);
  if (auto* macro = callable.as<Macro>(ObjectKind::Macro)) return call_macro(*macro, args);
  if (auto* joiner = callable.as<Joiner>(ObjectKind::Joiner)) {
    if (!std::exchange(joiner->used, true)) return Item("");
    return joiner->separator;
  }
  if (auto* loop = callable.as<Loop>(ObjectKind::Loop); loop && args.size() == 1) {
    auto inner = make<Loop>();
    inner->depth = loop->depth + 1;
    inner->node = loop->node;
    TRY(inner->items, items_of(args[0]));
    std::string out;
    std::string* saved = std::exchange(out_, &out);
    auto done = run_for(loop->node, inner);
    out_ = saved;
    TRY(std::move(done));
    return text(std::move(out));
  }
  return type_error(fmt::format("'{}' object is not callable", python::type_name(callable)));
}

Result<Item> Evaluator::call_method(const Item& object, std::string_view name, Args& args) {
  if (auto* cycler = object.as<Cycler>(ObjectKind::Cycler)) {
    if (name == "next") {
      Item item = cycler->items[cycler->at];
      cycler->at = (cycler->at + 1) % cycler->items.size();
      return item;
    }
    if (name == "reset") {
      cycler->at = 0;
      return Item();
    }
  }
  if (auto* loop = object.as<Loop>(ObjectKind::Loop)) return cycle_of(*loop, name, args);
  bool method = false;
  TRY(Item result, python_method(*this, object, name, args, method));
  if (method) return result;
  TRY(Item member, attribute(object, name));
  return call(member, args);
}

Result<Item> Evaluator::cycle_of(Loop& loop, std::string_view name, Args& args) {
  if (name == "cycle") {
    if (args.size() == 0) return type_error("no items for cycling given");
    return args[loop.at % args.size()];
  }
  if (name == "changed") {
    bool changed = !loop.has_changed_before || loop.last_changed.size() != args.size();
    for (size_t i = 0; !changed && i < args.size(); ++i) {
      TRY(bool same, equal(loop.last_changed[i], args[i]));
      changed = !same;
    }
    loop.has_changed_before = true;
    loop.last_changed.assign(args.rest(0).begin(), args.rest(0).end());
    return Item(changed);
  }
  TRY(Item missing, undefined(why_not_in_loop(name)));
  return undefined_use(missing);
}

}  // namespace millrace::expr
