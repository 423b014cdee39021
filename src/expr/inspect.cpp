// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "base/problems.h"
#include "expr/functions.h"
#include "expr/template.h"

// What expressions read, and what is wrong with them, without evaluating them.
namespace millrace::expr {
namespace {

void sort_unique(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

bool is_word(char c) {
  auto u = static_cast<unsigned char>(c);
  return u >= 0x80 || c == '_' || (c >= '0' && c <= '9') ||
         ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}
bool is_name(char c) { return is_word(c) ? static_cast<unsigned char>(c) < 0x80 : c == '-'; }
bool is_reference(char c) {
  constexpr std::string_view kOthers = "][_'\".()";
  return (is_word(c) && static_cast<unsigned char>(c) < 0x80) || kOthers.find(c) != kOthers.npos;
}

// Where `ctx(` begins as a word of its own, from `at`.
size_t find_ctx(std::string_view text, size_t at) {
  for (at = text.find("ctx(", at); at != text.npos; at = text.find("ctx(", at + 1)) {
    if (at == 0 || !is_word(text[at - 1])) return at;
  }
  return text.npos;
}

// x of the first `ctx().x` that is no method call.
std::string attribute_read(std::string_view reference) {
  for (size_t at = find_ctx(reference, 0); at != reference.npos; at = find_ctx(reference, at + 1)) {
    if (!reference.substr(at).starts_with("ctx().")) continue;
    size_t begin = at + 6;
    size_t end = begin;
    while (end < reference.size() && is_name(reference[end])) ++end;
    bool called = end < reference.size() && reference[end] == '(';
    if (end > begin && !called) return std::string(reference.substr(begin, end - begin));
  }
  return {};
}

// x of the first `ctx(x)`, with `quote` around it.
std::string argument_read(std::string_view reference, std::string_view quote) {
  for (size_t at = find_ctx(reference, 0); at != reference.npos; at = find_ctx(reference, at + 1)) {
    std::string_view rest = reference.substr(at + 4);
    if (!rest.starts_with(quote)) continue;
    rest.remove_prefix(quote.size());
    size_t end = 0;
    while (end < rest.size() && is_name(rest[end])) ++end;
    std::string close = std::string(quote) + ")";
    if (end > 0 && rest.substr(end).starts_with(close)) return std::string(rest.substr(0, end));
  }
  return {};
}

// The variables of one expression: each run of name characters, quotes, dots and brackets that
// begins with `ctx(` and closes it counts at most once for each way of writing a variable.
void read_expression(std::string_view expression, std::vector<std::string>& names) {
  for (size_t at = find_ctx(expression, 0); at != expression.npos; at = find_ctx(expression, at)) {
    size_t end = at + 4;
    while (end < expression.size() && is_reference(expression[end])) ++end;
    std::string_view reference = expression.substr(at, end - at);
    bool closed = reference.substr(4).find(')') != reference.npos;
    if (!closed) {  // nor is any that begins inside
      at = end;
      continue;
    }
    for (std::string name : {attribute_read(reference), argument_read(reference, ""),
                             argument_read(reference, "'"), argument_read(reference, "\"")}) {
      if (!name.empty()) names.push_back(std::move(name));
    }
    at = end;
  }
}

struct Marks {
  Language language;
  std::string_view open;
  std::string_view close;
};
constexpr Marks kMarks[] = {{Language::Jinja, "{{", "}}"}, {Language::Yaql, "<%", "%>"}};

// Names that a template sets itself are no reads.
std::set<std::string_view> names_set_by(const Tree& tree) {
  std::set<std::string_view> names{"loop", "caller", "varargs", "kwargs"};
  for (const Node& node : tree.nodes) {
    if (node.op == Op::TargetName || node.op == Op::Macro) names.insert(tree.text(node.a));
    if (node.op != Op::Macro && node.op != Op::CallBlock) continue;
    for (const Arg& param : tree.args_of(node)) names.insert(tree.text(param.name));
  }
  return names;
}

void read_key(const Tree& tree, const Node& call, std::vector<std::string>& keys) {
  if (call.count == 0) return;
  NodeId first = tree.args_of(call)[0].node;
  if (first == kNone || tree.node(first).op != Op::Const) return;
  const Value& key = tree.constants[tree.node(first).a];
  if (key.is_string()) keys.emplace_back(key.as_string());
}

void read_node(const Tree& tree, const Node& node, const std::set<std::string_view>& own,
               Reads& reads) {
  switch (node.op) {
    case Op::CtxAttr:
    case Op::CtxKey: reads.ctx.emplace_back(tree.text(node.a)); break;
    case Op::Name:
      if (!own.contains(tree.text(node.a))) reads.names.emplace_back(tree.text(node.a));
      break;
    case Op::YaqlVar: {
      std::string_view name = tree.text(node.a);
      bool positional = name.empty() || (name[0] >= '0' && name[0] <= '9');
      if (!positional) reads.names.emplace_back(name);
      break;
    }
    case Op::Kv: {
      std::string key;
      for (const Arg& part : tree.args_of(node)) {
        key += (key.empty() ? "" : ".") + std::string(tree.text(part.node));
      }
      reads.keys.push_back(std::move(key));
      break;
    }
    case Op::Function:
      reads.functions.emplace_back(jinja_globals().at(node.a).name);
      if (reads.functions.back() == "st2kv") read_key(tree, node, reads.keys);
      break;
    case Op::YaqlCall:
      reads.functions.emplace_back(tree.text(node.b));
      if (reads.functions.back() == "st2kv") read_key(tree, node, reads.keys);
      break;
    default: break;
  }
}

// By language, sorted, each name once.
std::vector<std::pair<Language, std::string>> names_read(std::string_view text) {
  std::vector<std::pair<Language, std::string>> out;
  for (const auto& marks : kMarks) {
    std::vector<std::string> names;
    for (const Span& span : find_spans(text, marks.open, marks.close)) {
      read_expression(strip_marks(span.of(text), marks.language), names);
    }
    sort_unique(names);
    for (auto& name : names) out.emplace_back(marks.language, std::move(name));
  }
  return out;
}

}  // namespace

Reads reads_of(const Program& program) {
  Reads reads;
  auto own = names_set_by(program.tree);
  for (const Node& node : program.tree.nodes) read_node(program.tree, node, own, reads);
  if (program.mode == Mode::Orquesta) {
    reads.ctx.clear();
    for (auto& [language, name] : names_read(program.text)) reads.ctx.push_back(std::move(name));
  }
  for (auto* names : {&reads.ctx, &reads.names, &reads.keys, &reads.functions}) {
    sort_unique(*names);
  }
  return reads;
}

std::vector<VariableRead> orquesta_variables(std::string_view text) {
  std::vector<VariableRead> out;
  // Each read carries the text it stands in: a long one is told by its beginning.
  std::string shown = shortened(std::string(text));
  for (auto& [language, name] : names_read(text)) out.push_back({language, shown, std::move(name)});
  return out;
}

void check_text(std::string_view text, Mode mode, std::vector<SyntaxProblem>& problems) {
  if (mode == Mode::Native) {
    auto program = compile_program(text, mode);
    if (program.ok()) return;
    problems.push_back({detect(text, mode), std::string(text), program.error().message()});
    return;
  }
  bool jinja = has_span(text, "{{", "}}") || has_span(text, "{%", "%}");
  bool yaql = has_span(text, "<%", "%>");
  if (jinja && yaql) {
    problems.push_back(
        {Language::None, std::string(text), "Expression with multiple types is not supported."});
    return;
  }
  if (!jinja && !yaql) return;
  size_t first = problems.size();
  Tree tree;
  if (jinja) {
    auto whole = parse_jinja_template(tree, text, mode);
    if (!whole.ok()) {
      problems.push_back({Language::Jinja, std::string(text), whole.error().message()});
    }
  }
  const Marks& marks = kMarks[jinja ? 0 : 1];
  for (const Span& span : find_spans(text, marks.open, marks.close)) {
    if (problems.size() - first >= kMostProblems) return;
    std::string expression(span.of(text));
    bool reported = std::any_of(problems.begin() + static_cast<ptrdiff_t>(first), problems.end(),
                                [&](const auto& p) { return p.expression == expression; });
    if (reported) continue;
    std::string_view inner = strip_marks(expression, marks.language);
    std::optional<Error> error;
    if (jinja) {
      if (auto checked = check_jinja_expression(inner, mode); !checked.ok())
        error = checked.error();
    } else {
      if (auto parsed = parse_yaql(tree, inner, mode); !parsed.ok()) error = parsed.error();
    }
    if (error) problems.push_back({marks.language, expression, error->message()});
  }
}

}  // namespace millrace::expr
