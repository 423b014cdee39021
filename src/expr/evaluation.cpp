// SPDX-License-Identifier: Apache-2.0
#include "expr/evaluation.h"

#include <fmt/format.h>

#include "base/problems.h"
#include "base/text.h"
#include "expr/template.h"

namespace millrace::expr {
namespace {

// Puts the expression before the message, in the words of the reference when it is exact. Strings
// that are evaluated again and again wrap their errors as often: a long message grows no more.
Error explain(const Error& error, std::string_view whole, const Program& program) {
  constexpr size_t kShown = 1000;
  const std::string& message = error.message();
  if (error.code() == kNeeded) return error;
  if (message.size() > 8 * kShown) {
    return Error(error.kind(), error.code(), shortened(message, 8 * kShown));
  }
  std::string expression(whole.substr(0, kShown));
  if (whole.size() > kShown) expression += "...";
  if (program.mode == Mode::Native) {
    return Error(error).with_context(fmt::format("expression '{}'", expression));
  }
  bool yaql = program.language == Language::Yaql;
  std::string_view name = yaql ? "YaqlEvaluationException" : "JinjaEvaluationException";
  constexpr std::string_view kKey = "KeyError: ";
  std::string text =
      yaql && message.starts_with(kKey)
          ? fmt::format("{}: Unable to resolve key '{}' in expression '{}' from context.", name,
                        message.substr(kKey.size()), expression)
          : fmt::format("{}: Unable to evaluate expression '{}'. {}", name, expression, message);
  return Error(error.kind(), error.code(), std::move(text));
}

Result<void> replace_all(Meter& meter, std::string& text, std::string_view from,
                         std::string_view to) {
  if (from.empty()) return {};
  TRY(meter.step(1 + text.size() / 64));
  std::string out;
  size_t at = 0;
  for (size_t next = find_in(text, from); next != std::string::npos;
       next = find_in(text, from, at)) {
    TRY(meter.room(out.size(), next - at + to.size()));
    TRY(meter.take(to.size()));
    out.append(text, at, next - at);
    out += to;
    at = next + from.size();
  }
  TRY(meter.room(out.size(), text.size() - at));
  out.append(text, at);
  text = std::move(out);
  return {};
}

Result<std::string> without_raw_marks(Meter& meter, std::string text) {
  TRY(replace_all(meter, text, "{% raw %}", ""));
  TRY(replace_all(meter, text, "{% endraw %}", ""));
  return text;
}

std::string unresolved(std::string_view text) {
  std::string names;
  for (const Span& span : find_spans(text, "{{", "}}")) {
    if (!names.empty()) names += ", ";
    names += strip_marks(span.of(text), Language::Jinja);
  }
  return names;
}

}  // namespace

void Evaluation::need_keys_of(const Program& program) {
  if (shared_.scope.texts_are_data) return;  // data reads no key
  auto eval = evaluator(program);
  for (const std::string& key : program.reads.keys) {
    // may fail: it is asked for what it needs, not for its value
    (void)eval.ask(shared_.scope.lookup->kv(key, false), Item());
  }
}

Result<Value> Evaluation::evaluate(const Program& source) {
  if (!shared_.scope.texts_are_data) return program(source);
  return of_data<Value>(Value(source.text), [&] { return program(source); });
}

Result<Value> Evaluation::program(const Program& program) {
  meter_.frozen_input = program.language == Language::Yaql;
  switch (program.language) {
    case Language::None: return Value(program.text);
    case Language::Yaql: return program.mode == Mode::Native ? native(program) : yaql(program);
    case Language::Jinja: return program.mode == Mode::Native ? native(program) : jinja(program);
  }
  return Value();
}

Result<Value> Evaluation::render_tree(const Value& tree) {
  if (tree.is_string()) return text(tree);
  if (!tree.is_list() && !tree.is_map()) return tree;
  TRY(meter_.enter());
  Level level(meter_);
  if (tree.is_list()) {
    ValueList out;
    bool changed = false;
    for (const auto& item : tree.as_list()) {
      TRY(Value rendered, render_tree(item));
      changed |= !rendered.same_as(item);
      out.push_back(std::move(rendered));
    }
    return changed ? Value(std::move(out)) : tree;
  }
  Value out = Value::map();
  bool changed = false;
  for (const auto& entry : tree.as_map()) {
    TRY(Value key, render_tree(entry.key));
    TRY(Value value, render_tree(entry.value));
    changed |= !key.same_as(entry.key) || !value.same_as(entry.value);
    if (!key.is_string()) key = Value(to_text(key));
    out.mutable_map().set(std::move(key), std::move(value));
  }
  return changed ? out : tree;
}

Result<Value> Evaluation::text(const Value& string) {
  const Mode mode = shared_.scope.mode;
  if (detect(string.as_string(), mode) == Language::None) return string;
  TRY(auto compiled, cache_.get(string.as_string(), mode));
  return evaluate(compiled->program());
}

Evaluator Evaluation::evaluator(const Program& program) { return Evaluator(program.tree, shared_); }

// One pass: what an expression gives is data.
Result<Value> Evaluation::native(const Program& program) {
  auto eval = evaluator(program);
  if (program.body != kNone) {
    auto text = eval.run_template(program.body);
    if (!text.ok()) return explain(text.error(), program.text, program);
    return Value(*text);
  }
  std::string out;
  for (const auto& segment : program.segments) {
    if (!segment.is_expression()) {
      out += segment.text;
      continue;
    }
    auto item = eval.eval(segment.root);
    if (!item.ok()) return explain(item.error(), segment.text, program);
    if (program.segments.size() == 1) {
      auto value = to_value(eval, *item);
      if (!value.ok()) return explain(value.error(), segment.text, program);
      return value;
    }
    TRY(append(eval, *item, segment, program, out));
  }
  return Value(out);
}

Result<void> Evaluation::append(Evaluator& eval, const Item& item, const Segment& segment,
                                const Program& program, std::string& out) {
  auto final = finalize(eval, item);
  auto done = final.ok() ? append_final(*final, out) : Result<void>(final.error());
  if (!done.ok()) return explain(done.error(), segment.text, program);
  return {};
}

Result<void> Evaluation::append_final(const Item& item, std::string& out) {
  if (item.is_string()) TRY(meter_.take(item.str().size()));
  const size_t had = out.size();
  bool saved = std::exchange(meter_.frozen_input, false);
  auto done = python::append_str(meter_, out, item);
  meter_.frozen_input = saved;
  TRY(std::move(done));
  if (!item.is_string()) TRY(meter_.take(out.size() - had));
  return {};
}

// What the text shows of an expression's result.
Result<Item> Evaluation::finalize(Evaluator& eval, const Item& item) {
  return eval.is_yaql() ? finalize_yaql(eval, item) : eval.drained(item);
}

template <typename T, typename Run>
Result<T> Evaluation::of_data(const Value& text, Run run) {
  ++shared_.data_depth;
  const bool outer = std::exchange(shared_.data_read_key, false);
  Result<T> result = run();
  --shared_.data_depth;
  if (!std::exchange(shared_.data_read_key, outer)) return result;
  left_.push_back(text);
  return T(text);
}

// Strings that come out are evaluated again, until none holds an expression.
Result<Value> Evaluation::yaql(const Program& program) {
  TRY(meter_.enter());
  Level level(meter_);
  TRY(meter_.step());
  auto eval = evaluator(program);
  bool whole = program.segments.size() == 1;
  std::string out = program.text;
  for (const auto& segment : program.segments) {
    if (!segment.is_expression()) continue;
    auto value = yaql_segment(eval, segment, whole);
    if (!value.ok()) return explain(value.error(), segment.text, program);
    if (whole) return value;
    TRY(replace_all(meter_, out, segment.text, value->as_string()));
  }
  return Value(out);
}

// The value of one expression, as text unless it is the whole.
Result<Value> Evaluation::yaql_segment(Evaluator& eval, const Segment& segment, bool whole) {
  if (segment.error) return Error(*segment.error);
  TRY(Item item, eval.eval(segment.root));
  if (item.is_string()) {
    if (!has_span(item.str(), "<%", "%>")) return item.value();
    TRY(meter_.step(1 + item.str().size() / 8));
    TRY(auto inner, cache_.get(item.str(), Mode::Orquesta, Language::Yaql));
    TRY(Value value, of_data<Value>(item.value(), [&] { return yaql(inner->program()); }));
    if (whole || value.is_string()) return value;
    item = Item(std::move(value));
  }
  if (whole) return to_value(eval, item);
  std::string text;
  TRY(Item final, finalize(eval, item));
  TRY(append_final(final, text));
  return Value(text);
}

Result<Value> Evaluation::jinja(const Program& program) {
  Item output;
  if (program.raw_blocks.empty()) {
    TRY(output, expand(program));
  } else {
    std::string text = program.text;
    for (size_t i = 0; i < program.raw_blocks.size(); ++i) {
      TRY(replace_all(meter_, text, program.raw_blocks[i], fmt::format("{{{}}}", i)));
    }
    TRY(output, expand_text(Value(text)));
  }
  if (output.is_string() && has_span(output.str(), "{{", "}}")) {
    TRY(bool forgotten, has_unresolved(output.str()));
    if (forgotten) {
      return Error(ErrorKind::Invalid, kUndefined,
                   fmt::format("JinjaEvaluationException: There are unresolved variables: {}",
                               unresolved(output.str())));
    }
  }
  if (output.is_string() && !program.raw_blocks.empty()) {
    std::string text(output.str());
    for (size_t i = 0; i < program.raw_blocks.size(); ++i) {
      TRY(replace_all(meter_, text, fmt::format("{{{}}}", i), program.raw_blocks[i]));
    }
    TRY(std::string plain, without_raw_marks(meter_, text));
    return of_data<Value>(Value(plain), [&] { return render_raw(program, text); });
  }
  auto eval = evaluator(program);
  auto value = to_value(eval, output);
  if (!value.ok()) return explain(value.error(), program.text, program);
  return value;
}

// What was left as it came is no forgotten variable.
Result<bool> Evaluation::has_unresolved(std::string_view output) {
  std::string rest(output);
  for (const Value& text : left_) {
    TRY(replace_all(meter_, rest, text.as_string(), ""));
  }
  return has_span(rest, "{{", "}}");
}

// A text with raw blocks, which Jinja itself takes out of their marks.
Result<Value> Evaluation::render_raw(const Program& program, const std::string& text) {
  Program whole;
  whole.language = Language::Jinja;
  whole.mode = Mode::Orquesta;
  auto body = parse_jinja_template(whole.tree, text, Mode::Orquesta);
  if (!body.ok()) return explain(body.error(), text, program);
  auto eval = evaluator(whole);
  auto rendered = eval.run_template(*body);
  if (!rendered.ok()) return explain(rendered.error(), text, program);
  return Value(*rendered);
}

Result<Item> Evaluation::expand_text(const Value& text) {
  if (text.as_string().find('{') == std::string_view::npos) return Item(text);
  bool some = has_span(text.as_string(), "{{", "}}") || has_span(text.as_string(), "{%", "%}");
  if (!some) return Item(text);
  TRY(meter_.step(1 + text.size() / 8));
  TRY(auto inner, cache_.get(text.as_string(), Mode::Orquesta, Language::Jinja));
  return expand(inner->program());
}

// What comes out is settled before it leaves the data: an iterator that is drawn later would read
// as the author's text does.
Result<Item> Evaluation::expand_data(Evaluator& eval, const Value& text, bool whole) {
  return of_data<Item>(text, [&] -> Result<Item> {
    TRY(Item item, expand_text(text));
    if (item.is_undefined() || item.is_string() || shared_.data_depth > 1) return item;
    if (!whole) return as_text(eval, std::move(item));
    TRY(Value value, to_value(eval, item));
    return Item(std::move(value));
  });
}

Result<Item> Evaluation::as_text(Evaluator& eval, Item item) {
  TRY(item, eval.drained(std::move(item)));
  std::string text;
  TRY(append_final(item, text));
  return Item(text);
}

Result<Item> Evaluation::expand(const Program& program) {
  TRY(meter_.enter());
  Level level(meter_);
  TRY(meter_.step());
  auto eval = evaluator(program);
  if (program.error) return explain(*program.error, program.text, program);
  if (!program.raw_blocks.empty()) {
    TRY(Value text, render_raw(program, program.text));
    return expand_data(eval, text, true);
  }
  if (program.body != kNone) {
    auto text = eval.run_template(program.body);
    if (!text.ok()) return explain(text.error(), program.text, program);
    return expand_data(eval, Value(*text), true);
  }
  bool whole = program.segments.size() == 1;
  std::string out = program.text;
  for (const auto& segment : program.segments) {
    if (!segment.is_expression()) continue;
    auto item = jinja_segment(eval, segment, whole);
    if (!item.ok()) return explain(item.error(), segment.text, program);
    if (item->is_undefined()) continue;  // stays in the text and is reported at the end
    if (whole) return item;
    TRY(replace_all(meter_, out, segment.text, item->str()));
  }
  return Item(out);
}

Result<Item> Evaluation::jinja_segment(Evaluator& eval, const Segment& segment, bool whole) {
  if (segment.error) return Error(*segment.error);
  TRY(Item item, eval.eval(segment.root));
  if (item.is_undefined()) return item;
  if (item.is_string()) {
    TRY(item, expand_data(eval, item.value(), whole));
  }
  if (whole || item.is_undefined()) return item;
  return as_text(eval, std::move(item));
}

}  // namespace millrace::expr
