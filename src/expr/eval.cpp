// SPDX-License-Identifier: Apache-2.0
#include "expr/eval.h"

#include <fmt/format.h>

#include "base/mix.h"
#include "expr/text_formats.h"
#include "expr/unicode.h"

namespace millrace::expr {
namespace {

bool is_private(std::string_view name) { return name.starts_with("__"); }

// The table whose row a Function node names: the language decides.
const Function& function_of(const Node& node) { return jinja_globals().at(node.a); }

}  // namespace

Error undefined_use(const Item& undefined) {
  const auto* u = undefined.as<Undefined>(ObjectKind::Undefined);
  return Error(ErrorKind::Invalid, kUndefined, "UndefinedError: " + u->reason);
}

Result<bool> truth_of(const Item& item) {
  if (item.is_undefined()) return undefined_use(item);
  return python::truth(item);
}

const Value* Evaluator::peek(NodeId id, size_t& bytes) const {
  const Node& node = tree_.node(id);
  switch (node.op) {
    case Op::Const: return &tree_.constants[node.a];
    case Op::CtxAttr:
    case Op::CtxKey: {
      std::string_view name = tree_.text(node.a);
      bytes += name.size();
      return is_private(name) ? nullptr : scope.ctx.find(name);
    }
    case Op::Name:
      if (scope.mode == Mode::Orquesta || !locals_.empty()) return nullptr;
      return scope.names.find(tree_.text(node.a));
    case Op::YaqlAttr:
    case Op::Attr: {
      const Value* object = peek(node.a, bytes);
      bytes += tree_.text(node.b).size();
      return object ? object->find(tree_.text(node.b)) : nullptr;
    }
    default: return nullptr;
  }
}

Result<Item> Evaluator::eval(NodeId id) {
  TRY(meter.step());
  size_t bytes = 0;
  const Value* here = peek(id, bytes);
  TRY(meter.scan(bytes));
  if (here) return Item(*here);
  TRY(meter.enter());
  Level level(meter);
  return eval_node(tree_.node(id));
}

Result<Item> Evaluator::defined(NodeId id) {
  TRY(Item item, eval(id));
  if (item.is_undefined()) return undefined_use(item);
  return item;
}

Result<Item> Evaluator::eval_node(const Node& node) {
  if (node.op >= Op::YaqlBinary) return eval_yaql(node);
  if (node.op >= Op::Name) return eval_jinja(node);
  return eval_common(node);
}

Result<Item> Evaluator::eval_common(const Node& node) {
  switch (node.op) {
    case Op::Const: return Item(tree_.constants[node.a]);
    case Op::Ctx: return ctx_key("");
    case Op::CtxKey: return ctx_key(tree_.text(node.a));
    case Op::CtxAttr: return ctx_attribute(tree_.text(node.a));
    case Op::Function: {
      Args args;
      TRY(eval_args(tree_.args_of(node), args));
      return apply(function_of(node), args);
    }
    case Op::Fail: return eval_error(std::string(tree_.text(node.a)));
    case Op::Kv: return eval_kv(node);
    case Op::List: return eval_list(node, is_yaql() ? Flavor::Tuple : Flavor::List);
    case Op::Dict: return eval_dict(node);
    case Op::Binary: return eval_binary(node);
    case Op::Negate:
    case Op::Plus: {
      TRY(Item operand, defined(node.a));
      bool fits = python::is_number(operand) && !(is_yaql() && operand.is_bool());
      if (!fits) {
        return type_error(fmt::format("bad operand type for unary {}: '{}'",
                                      node.op == Op::Negate ? "-" : "+",
                                      python::type_name(operand)));
      }
      if (node.op == Op::Negate) return python::negate(operand);
      return operand.is_bool() ? Item(int64_t{operand.value().as_bool()}) : operand;
    }
    case Op::And:
    case Op::Or: {
      TRY(Item left, eval(node.a));
      TRY(bool truth, truth_of(left));
      if (truth == (node.op == Op::Or)) return left;
      return eval(node.b);
    }
    case Op::Not: {
      TRY(Item operand, eval(node.a));
      TRY(bool truth, truth_of(operand));
      return Item(!truth);
    }
    default: return eval_error("this is not an expression");
  }
}

Result<Item> Evaluator::ctx_key(std::string_view name) {
  if (!name.empty()) {
    const Value* found = scope.ctx.find(name);
    if (!found) {
      return Error(ErrorKind::Invalid, kUndefined,
                   fmt::format("VariableUndefinedError: The variable \"{}\" is undefined.", name));
    }
    if (is_private(name)) {
      return Error(ErrorKind::Invalid, kUndefined,
                   fmt::format("VariableInaccessibleError: The variable \"{}\" is for internal use "
                               "and inaccessible.",
                               name));
    }
    return Item(*found);
  }
  if (!scope.ctx.is_map()) return Item::shallow_raw(Value::map());
  bool has_private = false;
  for (const auto& entry : scope.ctx.as_map()) has_private |= is_private(entry.name());
  if (!has_private) return Item::shallow_raw(scope.ctx);
  Value visible = Value::map();
  for (const auto& entry : scope.ctx.as_map()) {
    if (!is_private(entry.name())) visible.mutable_map().set(entry.key, entry.value);
  }
  return Item::shallow_raw(std::move(visible));
}

Result<Item> Evaluator::ctx_attribute(std::string_view name) {
  const Value* found = is_private(name) ? nullptr : scope.ctx.find(name);
  if (found) return Item(*found);
  if (is_yaql()) return Error(ErrorKind::Invalid, kUndefined, fmt::format("KeyError: {}", name));
  return undefined(fmt::format("'dict object' has no attribute '{}'", brief(name)));
}

Result<Item> Evaluator::ask(const Answer& answer, const Item& when_absent) {
  TRY(meter.step(answer.steps()));
  if (answer.found()) return Item(answer.value());
  if (answer.is_refused()) return refused(answer);
  if (answer.needs_load()) {
    add_needs(shared_.needs,
              Error(ErrorKind::Unavailable, kNeeded,
                    fmt::format("the value of '{}' must be loaded first", answer.key()))
                  .with_problem(answer.key(), "not loaded"));
  }
  return when_absent;
}

// {{ st2kv.system.a.b }}: a root of that name in the scope goes before the datastore.
Result<Item> Evaluator::eval_kv(const Node& node) {
  if (const Value* root = scope.names.find(tree_.text(node.a))) {
    Item at(*root);
    for (const Arg& part : tree_.args_of(node)) {
      TRY(at, attribute(at, tree_.text(part.node)));
    }
    return at;
  }
  std::string key;
  for (const Arg& part : tree_.args_of(node)) {
    if (!key.empty()) key += '.';
    key += tree_.text(part.node);
  }
  Item absent(make<Undefined>(fmt::format("the datastore has no item '{}'", brief(key))));
  TRY(Answer answer, this->key(key, node.aux == 1));
  return ask(answer, absent);
}

Result<Answer> Evaluator::key(std::string_view name, bool decrypt) {
  if (shared_.data_depth > 0) {
    shared_.data_read_key = true;
    return unsupported("a text that came out of a value reads no key");
  }
  return scope.lookup ? scope.lookup->kv(name, decrypt) : Answer::absent();
}

Result<Item> Evaluator::eval_list(const Node& node, Flavor flavor) {
  std::vector<Item> items;
  items.reserve(node.count);
  for (const Arg& arg : tree_.args_of(node)) {
    bool wrong = arg.node == kNone || (is_yaql() && tree_.node(arg.node).op == Op::YaqlRule);
    if (wrong) return eval_error("NoMatchingFunctionException: no function \"#list\" matches");
    TRY(Item item, eval(arg.node));
    items.push_back(std::move(item));
  }
  return make_seq(meter, flavor, std::move(items));
}

Result<Item> Evaluator::eval_dict(const Node& node) {
  auto dict = make<Dict>(false);
  auto args = tree_.args_of(node);
  for (size_t i = 0; i + 1 < args.size(); i += 2) {
    TRY(Item key, eval(args[i].node));
    TRY(Item value, eval(args[i + 1].node));
    TRY(dict->set(meter, key, std::move(value)));
  }
  return Item(dict);
}

Result<Item> Evaluator::eval_binary(const Node& node) {
  TRY(Item left, defined(node.a));
  TRY(Item right, defined(node.b));
  return binary(static_cast<python::Arithmetic>(node.aux), left, right);
}

Result<void> Evaluator::eval_args(std::span<const Arg> list, Args& out) {
  for (const Arg& arg : list) {
    TRY(Item value, eval(arg.node));
    if (arg.aux == Arg::Spread) {
      TRY(auto items, items_of(value));
      for (auto& item : items) out.push(std::move(item));
    } else if (arg.aux == Arg::SpreadMap) {
      if (!is_map(value)) return type_error("argument after ** must be a map");
      TRY(auto entries, entries_of(*this, value));
      for (auto& [key, item] : entries) {
        if (!key.is_string()) return type_error("keywords must be strings");
        TRY(meter.scan(key.str().size()));
        out.hold(key);
        out.name(key.str(), std::move(item));
      }
    } else if (arg.name != kNone) {
      out.name(tree_.text(arg.name), std::move(value));
    } else {
      out.push(std::move(value));
    }
  }
  return {};
}

Result<Item> Evaluator::apply(const Function& function, Args& args) {
  TRY(bind(function, args));
  TRY(meter.step());
  TRY(meter.scan(args.text_bytes()));  // whatever it does with its texts, it reads them
  return function.run(*this, args);
}

Result<Item> Evaluator::copied(std::string_view text) {
  TRY(meter.take(text.size() + 16));
  return Item(text);
}

Result<Item> Evaluator::text(std::string value) {
  TRY(meter.take(value.size() + 16));
  if (value.size() > meter.budget().output_bytes) return meter.output_spent();
  return Item(value);
}

uint64_t Evaluator::random() { return mix64(shared_.random_state += kGolden64); }

}  // namespace millrace::expr
