// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "expr/eval.h"

// Jinja's tags: each writes to the text that out_ collects.
namespace millrace::expr {
namespace {

// A copy that shares no list or map with its source, so that a change of one cannot make a cycle
// or a nesting that the depth of the other does not tell.
Result<Item> snapshot(Meter& meter, const Item& item) {
  auto* seq = item.as<Seq>(ObjectKind::Seq);
  auto* dict = item.as<Dict>(ObjectKind::Dict);
  if (!seq && !dict) {
    bool keeps = item.is_value() || item.is_undefined() || item.is(ObjectKind::Wide);
    if (keeps) return item;
    return unsupported("only values can be kept in a namespace, list or map: no macro, no loop");
  }
  TRY(meter.enter());
  Level level(meter);
  if (seq) {
    TRY(meter.step(seq->items.size()));
    std::vector<Item> items;
    for (const auto& child : seq->items) {
      TRY(Item copy, snapshot(meter, child));
      items.push_back(std::move(copy));
    }
    return make_seq(meter, seq->flavor, std::move(items));
  }
  TRY(meter.step(dict->values.size()));
  auto out = make<Dict>(dict->frozen);
  for (size_t i = 0; i < dict->values.size(); ++i) {
    TRY(Item copy, snapshot(meter, dict->values[i]));
    TRY(out->set(meter, dict->table.keys()[i], std::move(copy)));
  }
  return Item(out);
}

}  // namespace

Result<Item> snapshot_item(Meter& meter, const Item& item) { return snapshot(meter, item); }

Result<void> Evaluator::put(std::string_view text) {
  TRY(meter.room(out_->size(), text.size()));
  TRY(meter.take(text.size()));
  *out_ += text;
  return {};
}

// The text is paid for here: macros within macros hold one each.
Result<void> Evaluator::print(const Item& value) {
  if (value.is_string()) return put(value.str());
  std::string text;
  TRY(python::append_repr(meter, text, value));
  return put(text);
}

Result<std::string> Evaluator::run_template(NodeId body) { return capture(body); }

Result<std::string> Evaluator::capture(NodeId body) {
  std::string out;
  std::string* saved = std::exchange(out_, &out);
  auto done = run(body);
  out_ = saved;
  TRY(std::move(done));
  return out;
}

Result<void> Evaluator::run(NodeId id) {
  TRY(meter.step());
  TRY(meter.enter());
  Level level(meter);
  const Node& node = tree_.node(id);
  switch (node.op) {
    case Op::Body:
      for (const Arg& statement : tree_.args_of(node)) TRY(run(statement.node));
      return {};
    case Op::Data: return put(tree_.text(node.a));
    case Op::Print: {
      TRY(Item value, eval(node.a));
      TRY(value, drained(std::move(value)));
      return print(value);
    }
    case Op::If: return run_if(node);
    case Op::For: {
      auto loop = make<Loop>();
      loop->node = id;
      TRY(Item iterable, defined(tree_.args_of(node)[1].node));
      TRY(loop->items, items_of(iterable));
      return run_for(id, loop);
    }
    case Op::Set: {
      TRY(Item value, eval(node.b));
      return assign(node.a, value);
    }
    case Op::SetBlock:
    case Op::FilterBlock: return run_captured(node);
    case Op::With: return run_with(node);
    case Op::Macro: {
      locals_.push_back({std::string(tree_.text(node.a)), Item(make<Macro>(id))});
      return {};
    }
    case Op::CallBlock: {
      Frame frame(*this);
      locals_.push_back({"caller", Item(make<Macro>(id))});
      TRY(Item value, eval(node.a));
      return print(value);
    }
    default: {
      TRY(Item value, eval(id));
      return print(value);
    }
  }
}

// {% set x %}...{% endset %} and {% filter f %}...{% endfilter %}
Result<void> Evaluator::run_captured(const Node& node) {
  std::string inner;
  {
    Frame frame(*this);
    TRY(inner, capture(node.b));
  }
  TRY(Item value, text(std::move(inner)));
  NodeId filters = node.op == Op::FilterBlock ? node.a : tree_.args_of(node)[0].node;
  if (filters != kNone) {
    Item saved = std::exchange(captured_, value);
    auto filtered = eval(filters);
    captured_ = saved;
    TRY(value, std::move(filtered));
  }
  if (node.op == Op::SetBlock) return assign(node.a, value);
  return print(value);
}

// The values are those of the outer names.
Result<void> Evaluator::run_with(const Node& node) {
  auto args = tree_.args_of(node);
  std::vector<Item> values;
  for (size_t i = 1; i < args.size(); i += 2) {
    TRY(Item value, eval(args[i].node));
    values.push_back(std::move(value));
  }
  Frame frame(*this);
  for (size_t i = 0; i < values.size(); ++i) TRY(assign(args[i * 2].node, values[i]));
  return run(args.back().node);
}

Result<void> Evaluator::run_if(const Node& node) {
  auto parts = tree_.args_of(node);
  for (size_t i = 0; i + 1 < parts.size(); i += 2) {
    TRY(Item condition, eval(parts[i].node));
    TRY(bool holds, truth_of(condition));
    if (holds) return run(parts[i + 1].node);
  }
  if (parts.size() % 2 == 1) return run(parts.back().node);
  return {};
}

Result<void> Evaluator::run_for(NodeId id, Ref<Loop> loop) {
  TRY(meter.enter());
  Level level(meter);
  const Node& node = tree_.node(id);
  auto parts = tree_.args_of(node);
  if (parts[4].node != kNone) {
    std::vector<Item> kept;
    for (auto& item : loop->items) {
      Frame frame(*this);
      TRY(assign(parts[0].node, item));
      TRY(Item condition, eval(parts[4].node));
      TRY(bool holds, truth_of(condition));
      if (holds) kept.push_back(item);
    }
    loop->items = std::move(kept);
  }
  for (loop->at = 0; loop->at < loop->items.size(); ++loop->at) {
    Frame frame(*this);
    locals_.push_back({"loop", Item(loop)});
    TRY(assign(parts[0].node, loop->items[loop->at]));
    TRY(run(parts[2].node));
  }
  if (loop->items.empty() && parts[3].node != kNone) {
    Frame frame(*this);
    return run(parts[3].node);
  }
  return {};
}

Result<void> Evaluator::assign(NodeId target, const Item& value) {
  const Node& node = tree_.node(target);
  if (node.op == Op::TargetTuple) {
    if (value.is_undefined()) return undefined_use(value);
    TRY(auto items, items_of(value));
    auto targets = tree_.args_of(node);
    if (items.size() != targets.size()) {
      return value_error(
          fmt::format("expected {} values to unpack, got {}", targets.size(), items.size()));
    }
    for (size_t i = 0; i < items.size(); ++i) TRY(assign(targets[i].node, items[i]));
    return {};
  }
  std::string_view name = tree_.text(node.a);
  if (node.op == Op::TargetAttr) {
    const Item* holder = find_local(name);
    auto* ns = holder ? holder->as<Namespace>(ObjectKind::Namespace) : nullptr;
    if (!ns)
      return eval_error("TemplateRuntimeError: cannot assign attribute on non-namespace object");
    TRY(Item copy, snapshot(meter, value));
    std::string_view attribute_name = tree_.text(node.b);
    TRY(meter.step(ns->data.size() / 16));
    for (auto& [key, old] : ns->data) {
      if (key == attribute_name) {
        old = std::move(copy);
        return {};
      }
    }
    ns->data.emplace_back(std::string(attribute_name), std::move(copy));
    return {};
  }
  TRY(meter.step((locals_.size() - frame_base_) / 16));
  for (size_t i = locals_.size(); i > frame_base_; --i) {
    if (locals_[i - 1].name == name) {
      locals_[i - 1].value = value;
      return {};
    }
  }
  locals_.push_back({std::string(name), value});
  return {};
}

Result<Item> Evaluator::call_macro(const Macro& macro, Args& args) {
  TRY(meter.enter());
  Level level(meter);
  const Node& node = tree_.node(macro.node);
  Frame frame(*this);
  auto params = tree_.args_of(node);
  for (size_t i = 0; i < params.size(); ++i) {
    std::string_view name = tree_.text(params[i].name);
    Item value(make<Undefined>(fmt::format("parameter '{}' was not provided", name)));
    if (i < args.size()) {
      value = args[i];
    } else if (const Item* named = args.find_named(name)) {
      value = *named;
    } else if (params[i].node != kNone) {
      TRY(value, eval(params[i].node));
    }
    locals_.push_back({std::string(name), std::move(value)});
  }
  Item rest;
  std::vector<Item> extra(args.rest(params.size()).begin(), args.rest(params.size()).end());
  auto kwargs = make<Dict>(false);
  TRY(meter.step(args.named().size() * params.size() / 16));
  for (const auto& [name, value] : args.named()) {
    bool is_param = false;
    for (const auto& param : params) is_param |= tree_.text(param.name) == name;
    if (name == "caller") {
      locals_.push_back({"caller", value});
    } else if (!is_param) {
      TRY(Item key, copied(name));
      TRY(kwargs->set(meter, key, value));
    }
  }
  TRY(rest, tuple(std::move(extra)));
  locals_.push_back({"varargs", rest});
  locals_.push_back({"kwargs", Item(kwargs)});
  TRY(std::string out, capture(node.b));
  return text(std::move(out));
}

}  // namespace millrace::expr
