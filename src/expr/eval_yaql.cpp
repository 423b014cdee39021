// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "expr/eval.h"
#include "expr/text_formats.h"
#include "expr/yaql.h"

// YAQL's expressions. Operators are in yaql_operators.cpp.
namespace millrace::expr {

size_t Context::names() const {
  size_t count = 0;
  for (const Context* at = this; at; at = at->parent.get()) count += at->data.size();
  return count;
}

const Item* Context::find(std::string_view name) const {
  for (const Context* at = this; at; at = at->parent.get()) {
    for (const auto& [key, value] : at->data) {
      if (key == name) return &value;
    }
  }
  return nullptr;
}

Result<Ref<Context>> child_context(Meter& meter, const Ref<Context>& parent) {
  TRY(meter.take(sizeof(Context)));
  auto child = make<Context>(parent);
  TRY(nest(meter, *child, parent ? parent->depth : uint16_t{0}));
  return child;
}

Result<void> set_variable(Meter& meter, Context& context, std::string_view name, Item value) {
  if (name.starts_with('$')) name.remove_prefix(1);
  if (name.empty()) name = "1";
  TRY(nest(meter, context, depth_of(value)));
  TRY(meter.step(context.data.size() / 16));
  for (auto& [key, old] : context.data) {
    if (key == name) {
      old = std::move(value);
      return {};
    }
  }
  TRY(meter.take(name.size() + sizeof(context.data[0])));
  context.data.emplace_back(std::string(name), std::move(value));
  return {};
}

Result<Item> make_rule(Meter& meter, Item source, Item destination) {
  uint16_t below = std::max(depth_of(source), depth_of(destination));
  auto rule = make<Rule>(std::move(source), std::move(destination));
  TRY(nest(meter, *rule, below));
  return Item(rule);
}

Result<Item> Evaluator::eval_yaql(const Node& node) {
  switch (node.op) {
    case Op::YaqlBinary: {
      auto op = static_cast<YaqlOperator>(node.aux);
      TRY(Item left, eval(node.a));
      if (op == YaqlOperator::Send) {
        auto* context = left.as<Context>(ObjectKind::Context);
        if (!context) return no_match("#operator_->");
        return eval_in(node.b, Ref<Context>(context));
      }
      TRY(Item right, eval(node.b));
      return yaql_operator(op, left, right);
    }
    case Op::YaqlNot: {
      TRY(Item operand, eval(node.a));
      return Item(!python::truth(operand));
    }
    case Op::YaqlAttr: {
      TRY(Item object, eval(node.a));
      if (node.aux == 1 && object.is_null()) return Item();
      return yaql_attribute(object, tree_.text(node.b));
    }
    case Op::YaqlCall:
    case Op::YaqlMethod: return yaql_call(node);
    case Op::YaqlIndex: return yaql_index(node);
    case Op::YaqlVar: {
      std::string_view name = tree_.text(node.a);
      if (context_) TRY(meter.step(context_->names() / 16));
      const Item* found = context_ ? context_->find(name.empty() ? "1" : name) : nullptr;
      if (found) return *found;
      // Native: $event is the root name `event`.
      bool native = scope.mode == Mode::Native && !name.empty();
      const Value* root = native ? scope.names.find(name) : nullptr;
      return root ? Item(*root) : Item();
    }
    case Op::YaqlRule: {
      TRY(Item source, eval(node.a));
      TRY(Item destination, eval(node.b));
      return make_rule(meter, std::move(source), std::move(destination));
    }
    default: return eval_error("this is not a YAQL expression");
  }
}

Result<Item> Evaluator::yaql_attribute(const Item& object, std::string_view name) {
  if (object.is_plain_map()) {
    TRY(meter.scan(name.size()));
    if (const Value* found = object.value().find(name)) return object.child(*found);
    return Error(ErrorKind::Invalid, kUndefined, fmt::format("KeyError: {}", name));
  }
  if (auto* dict = object.as<Dict>(ObjectKind::Dict)) {
    TRY(Item key, copied(name));
    TRY(const Item* found, dict->find(meter, key));
    if (found) return *found;
    return Error(ErrorKind::Invalid, kUndefined, fmt::format("KeyError: {}", name));
  }
  if (accepts(Type::Iterable, object)) {
    TRY(Cursor cursor, Cursor::over(object));
    TRY(meter.take(name.size()));
    return make_iterator(meter, depth_of(object),
                         [cursor = std::move(cursor), key = std::string(name)](
                             Evaluator& eval, Item& out) mutable -> Result<bool> {
                           Item item;
                           TRY(bool more, cursor.next(eval, item));
                           if (!more) return false;
                           TRY(out, eval.yaql_attribute(item, key));
                           return true;
                         });
  }
  return eval_error(
      fmt::format("NoFunctionRegisteredException: Unknown function \"#property#{}\"", name));
}

Result<Item> Evaluator::yaql_index(const Node& node) {
  TRY(Item object, eval(node.a));
  std::vector<Item> args;
  for (const Arg& arg : tree_.args_of(node)) {
    if (arg.node == kNone || tree_.node(arg.node).op == Op::YaqlRule) return no_match("#indexer");
    TRY(Item value, eval(arg.node));
    args.push_back(std::move(value));
  }
  if (is_map(object) && (args.size() == 1 || args.size() == 2)) {
    Item found;
    TRY(bool has, map_lookup(*this, object, args[0], found));
    if (has) return found;
    if (args.size() == 2) return args[1];
    TRY(std::string key, str(args[0]));
    return Error(ErrorKind::Invalid, kUndefined, fmt::format("KeyError: {}", key));
  }
  if (accepts(Type::Sequence, object) && args.size() == 1 && accepts(Type::Int, args[0])) {
    TRY(Item element, subscript(object, args[0]));
    if (element.is_undefined()) return eval_error("IndexError: tuple index out of range");
    return element;
  }
  return no_match("#indexer");
}

Result<Item> Evaluator::eval_in(NodeId node, Ref<Context> context) {
  Ref<Context> saved = std::exchange(context_, std::move(context));
  auto result = eval(node);
  context_ = std::move(saved);
  return result;
}

Result<Item> Evaluator::call_lambda(const Item& lambda, std::span<const Item> args) {
  auto* code = lambda.as<Lambda>(ObjectKind::Lambda);
  if (!code) return type_error("expected an expression");
  TRY(auto context, child_context(meter, code->context));
  for (size_t i = 0; i < args.size(); ++i) {
    TRY(nest(meter, *context, depth_of(args[i])));
    context->data.emplace_back(std::to_string(i + 1), args[i]);
  }
  return eval_in(code->node, std::move(context));
}

Result<Item> Evaluator::lazy_argument(NodeId node) {
  TRY(meter.take(sizeof(Lambda)));
  if (!context_) {
    TRY(context_, child_context(meter, nullptr));
  }
  if (tree_.node(node).op == Op::YaqlRule) {
    TRY(Item source, lazy_argument(tree_.node(node).a));
    TRY(Item destination, lazy_argument(tree_.node(node).b));
    return make_rule(meter, std::move(source), std::move(destination));
  }
  auto lambda = make<Lambda>(node, context_);
  TRY(nest(meter, *lambda, context_->depth));
  return Item(lambda);
}

bool accepts(Type type, const Item& item) {
  auto* seq = item.as<Seq>(ObjectKind::Seq);
  switch (type) {
    case Type::Any: return true;
    case Type::NonNull: return !item.is_null();
    case Type::MaybeString: return item.is_null() || item.is_string();
    case Type::String: return item.is_string();
    case Type::Int: return python::is_integer(item);
    case Type::Bool: return item.is_bool();
    case Type::MaybeNumber: return item.is_null() || accepts(Type::Number, item);
    case Type::Number: return python::is_number(item) && !item.is_bool();
    case Type::Iterable: return item.is_plain_list() || seq || item.is(ObjectKind::Iterator);
    case Type::Iterator: return item.is(ObjectKind::Iterator);
    case Type::Sequence: return is_sequence(item);
    case Type::Map: return is_map(item);
    case Type::Set: return seq && seq->is_set();
    case Type::Regex: return item.is(ObjectKind::Regex);
    case Type::Ordering: return seq && seq->flavor == Flavor::Ordering;
    case Type::Context: return item.is(ObjectKind::Context);
    case Type::Lambda: return item.is(ObjectKind::Lambda);
    case Type::Rule:
    case Type::Pair: return item.is(ObjectKind::Rule);
  }
  return false;
}

Error no_match(std::string_view name) {
  return eval_error(fmt::format(
      "NoMatchingFunctionException: No function \"{}\" matches supplied arguments", name));
}

}  // namespace millrace::expr
