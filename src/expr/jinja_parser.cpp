// SPDX-License-Identifier: Apache-2.0
#include "expr/jinja_parser.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::expr {

using Kind = JinjaToken::Kind;

bool JinjaParser::is(std::string_view punct) const {
  return current().kind == Kind::Punct && current().text == punct;
}
bool JinjaParser::is_name(std::string_view name) const {
  return current().kind == Kind::Name && current().text == name;
}
bool JinjaParser::accept(std::string_view punct) {
  if (!is(punct)) return false;
  ++at_;
  return true;
}
bool JinjaParser::accept_name(std::string_view name) {
  if (!is_name(name)) return false;
  ++at_;
  return true;
}
Result<void> JinjaParser::expect(std::string_view punct) {
  if (accept(punct)) return {};
  return unexpected(fmt::format("'{}'", punct));
}
Result<std::string> JinjaParser::expect_any_name() {
  if (current().kind != Kind::Name) return unexpected("a name");
  return tokens_[at_++].text;
}

Error JinjaParser::unexpected(std::string_view wanted) const {
  std::string found;
  switch (current().kind) {
    case Kind::End: found = "end of template"; break;
    case Kind::PrintEnd: found = "end of print statement"; break;
    case Kind::BlockEnd: found = "end of statement block"; break;
    case Kind::Literal: found = "literal"; break;
    case Kind::Data: found = "template text"; break;
    default: found = fmt::format("'{}'", current().text);
  }
  std::string where = current().line > 1 ? fmt::format(" (line {})", current().line) : "";
  return syntax_error(fmt::format("expected {}, got {}{}", wanted, found, where));
}

Result<NodeId> JinjaParser::whole_expression() {
  TRY(NodeId root, expression());
  if (current().kind != Kind::End) return syntax_error("chunk after expression");
  return root;
}

Result<NodeId> JinjaParser::expression(bool with_condition) {
  if (++depth_ > kMaxNesting) return syntax_error("the expression nests too deep");
  TRY(NodeId value, or_expression());
  while (with_condition && accept_name("if")) {
    TRY(NodeId test, or_expression());
    NodeId otherwise = kNone;
    if (accept_name("else")) {
      TRY(otherwise, expression());
    }
    value = out_.add(Op::Condition, {{.node = otherwise}}, test, value);
  }
  --depth_;
  return value;
}

Result<NodeId> JinjaParser::or_expression() {
  TRY(NodeId left, and_expression());
  while (accept_name("or")) {
    TRY(NodeId right, and_expression());
    left = out_.add(Op::Or, left, right);
  }
  return left;
}

Result<NodeId> JinjaParser::and_expression() {
  TRY(NodeId left, not_expression());
  while (accept_name("and")) {
    TRY(NodeId right, not_expression());
    left = out_.add(Op::And, left, right);
  }
  return left;
}

Result<NodeId> JinjaParser::not_expression() {
  int negations = 0;
  while (accept_name("not")) ++negations;
  if (negations > kMaxNesting) return syntax_error("the expression nests too deep");
  TRY(NodeId operand, comparison());
  for (; negations > 0; --negations) operand = out_.add(Op::Not, operand);
  return operand;
}

Result<NodeId> JinjaParser::comparison() {
  constexpr std::pair<std::string_view, Comparison> kComparisons[] = {
      {"==", Comparison::Eq}, {"!=", Comparison::Ne}, {"<", Comparison::Lt},
      {"<=", Comparison::Le}, {">", Comparison::Gt},  {">=", Comparison::Ge}};
  TRY(NodeId left, sum());
  std::vector<Arg> operands;
  while (true) {
    auto match = std::find_if(std::begin(kComparisons), std::end(kComparisons),
                              [&](const auto& c) { return is(c.first); });
    Comparison how = Comparison::In;
    if (match != std::end(kComparisons)) {
      how = match->second;
      ++at_;
    } else if (is_name("not") && tokens_[at_ + 1].kind == Kind::Name &&
               tokens_[at_ + 1].text == "in") {
      how = Comparison::NotIn;
      at_ += 2;
    } else if (!accept_name("in")) {
      break;
    }
    TRY(NodeId right, sum());
    operands.push_back({.node = right, .aux = static_cast<uint8_t>(how)});
  }
  if (operands.empty()) return left;
  return out_.add(Op::Compare, std::move(operands), left);
}

Result<NodeId> JinjaParser::binary(NodeId left, python::Arithmetic op, NodeId right) {
  return out_.add(Op::Binary, left, right, static_cast<uint8_t>(op));
}

Result<NodeId> JinjaParser::sum() {
  TRY(NodeId left, concat());
  while (is("+") || is("-")) {
    auto op = is("+") ? python::Arithmetic::Add : python::Arithmetic::Subtract;
    ++at_;
    TRY(NodeId right, concat());
    TRY(left, binary(left, op, right));
  }
  return left;
}

Result<NodeId> JinjaParser::concat() {
  TRY(NodeId first, product());
  if (!is("~")) return first;
  std::vector<Arg> parts{{.node = first}};
  while (accept("~")) {
    TRY(NodeId part, product());
    parts.push_back({.node = part});
  }
  return out_.add(Op::Concat, std::move(parts));
}

Result<NodeId> JinjaParser::product() {
  TRY(NodeId left, power());
  while (is("*") || is("/") || is("//") || is("%")) {
    auto op = is("*")    ? python::Arithmetic::Multiply
              : is("/")  ? python::Arithmetic::Divide
              : is("//") ? python::Arithmetic::FloorDivide
                         : python::Arithmetic::Modulo;
    ++at_;
    TRY(NodeId right, power());
    TRY(left, binary(left, op, right));
  }
  return left;
}

Result<NodeId> JinjaParser::power() {
  TRY(NodeId left, unary());
  while (accept("**")) {
    TRY(NodeId right, unary());
    // Jinja folds `-1` into a constant, and Python then reads `-1 ** x` as -(1 ** x).
    const Node base = out_.node(left);
    bool folded = mode_ == Mode::Orquesta && base.op == Op::Negate &&
                  out_.node(base.a).op == Op::Const && out_.node(right).op != Op::Const;
    if (folded) left = base.a;
    TRY(left, binary(left, python::Arithmetic::Power, right));
    if (folded) left = out_.add(Op::Negate, left);
  }
  return left;
}

Result<NodeId> JinjaParser::unary(bool with_filter) {
  if (++depth_ > kMaxNesting) return syntax_error("the expression nests too deep");
  NodeId node = kNone;
  if (is("-") || is("+")) {
    Op op = is("-") ? Op::Negate : Op::Plus;
    ++at_;
    TRY(NodeId operand, unary(false));
    node = out_.add(op, operand);
  } else {
    TRY(node, primary());
  }
  TRY(node, postfix(node));
  if (with_filter) {
    TRY(node, filters_and_tests(node));
  }
  --depth_;
  return node;
}

Result<NodeId> JinjaParser::primary() {
  const JinjaToken& token = current();
  if (token.kind == Kind::Name) {
    ++at_;
    if (token.text == "true" || token.text == "True") return out_.literal(Value(true));
    if (token.text == "false" || token.text == "False") return out_.literal(Value(false));
    if (token.text == "none" || token.text == "None") return out_.literal(Value());
    return out_.add(Op::Name, out_.constant(Value(token.text)));
  }
  if (token.kind == Kind::Literal) {
    ++at_;
    if (!token.value.is_string() || current().kind != Kind::Literal ||
        !current().value.is_string()) {
      return out_.literal(token.value);
    }
    std::string joined(token.value.as_string());
    while (current().kind == Kind::Literal && current().value.is_string()) {
      joined += current().value.as_string();
      ++at_;
    }
    return out_.literal(Value(joined));
  }
  if (accept("(")) {
    TRY(NodeId inner, tuple(true, {}, true));
    TRY(expect(")"));
    return inner;
  }
  if (accept("[")) return list();
  if (accept("{")) return map();
  return unexpected("an expression");
}

Result<NodeId> JinjaParser::list() {
  std::vector<Arg> items;
  while (!accept("]")) {
    if (!items.empty()) {
      TRY(expect(","));
      if (accept("]")) break;
    }
    TRY(NodeId item, expression());
    items.push_back({.node = item});
    if (items.size() > kMaxArgs) return syntax_error("more than 60000 items in one list");
  }
  return out_.add(Op::List, std::move(items));
}

Result<NodeId> JinjaParser::map() {
  std::vector<Arg> entries;
  while (!accept("}")) {
    if (!entries.empty()) {
      TRY(expect(","));
      if (accept("}")) break;
    }
    TRY(NodeId key, expression());
    TRY(expect(":"));
    TRY(NodeId value, expression());
    entries.push_back({.node = key});
    entries.push_back({.node = value});
    if (entries.size() > kMaxArgs) return syntax_error("more than 30000 entries in one map");
  }
  return out_.add(Op::Dict, std::move(entries));
}

// Without commas: the expression itself. `()` only where `parentheses` stand around.
Result<NodeId> JinjaParser::tuple(bool with_condition, std::string_view end_name,
                                  bool parentheses) {
  std::vector<Arg> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) {
      if (!accept(",")) break;
      is_tuple = true;
    }
    bool ends = current().kind == Kind::PrintEnd || current().kind == Kind::BlockEnd || is(")") ||
                (!end_name.empty() && is_name(end_name));
    if (ends) break;
    TRY(NodeId item, expression(with_condition));
    items.push_back({.node = item});
    if (items.size() > kMaxArgs) return syntax_error("more than 60000 items in one tuple");
  }
  if (!is_tuple) {
    if (!items.empty()) return items[0].node;
    if (!parentheses) return unexpected("an expression");
  }
  return out_.add(Op::Tuple, std::move(items));
}

Result<NodeId> JinjaParser::postfix(NodeId node) {
  for (int links = 0;; ++links) {
    if (links > kMaxChain) return syntax_error("the expression chains too many parts");
    if (accept(".")) {
      TRY(node, attribute(node));
    } else if (accept("[")) {
      TRY(node, subscript(node));
    } else if (accept("(")) {
      TRY(node, call(node));
    } else {
      return node;
    }
  }
}

Result<NodeId> JinjaParser::attribute(NodeId object) {
  if (current().kind == Kind::Literal && current().value.is_int()) {
    NodeId index = out_.literal(current().value);
    ++at_;
    return out_.add(Op::Subscript, object, index);
  }
  TRY(std::string name, expect_any_name());
  uint32_t constant = out_.constant(Value(name));
  const Node base = out_.node(object);
  if (base.op == Op::Ctx) {
    out_.drop(object);
    return out_.add(Op::CtxAttr, constant);
  }
  bool is_kv = base.op == Op::Name && mode_ == Mode::Native && !is_assigned(base.a) &&
               (out_.tree().text(base.a) == "st2kv" || out_.tree().text(base.a) == "keystore");
  if (is_kv) {
    out_.drop(object);
    return out_.add(Op::Kv, {{.node = constant}}, base.a);
  }
  if (base.op == Op::Kv) {
    auto path = out_.tree().args_of(base);
    std::vector<Arg> longer(path.begin(), path.end());
    longer.push_back({.node = constant});
    out_.drop(object);
    return out_.add(Op::Kv, std::move(longer), base.a);
  }
  return out_.add(Op::Attr, object, constant);
}

Result<NodeId> JinjaParser::subscript(NodeId object) {
  auto part = [&]() -> Result<NodeId> {
    if (is(":") || is("]") || is(",")) return kNone;
    return expression();
  };
  TRY(NodeId first, part());
  if (is(":")) {
    std::vector<Arg> bounds{{.node = first}};
    while (bounds.size() < 3 && accept(":")) {
      TRY(NodeId bound, part());
      bounds.push_back({.node = bound});
    }
    bounds.resize(3);
    TRY(expect("]"));
    return out_.add(Op::Slice, std::move(bounds), object);
  }
  if (first == kNone) return unexpected("an expression");
  if (is(",")) {
    std::vector<Arg> items{{.node = first}};
    while (accept(",") && !is("]")) {
      TRY(NodeId item, expression());
      items.push_back({.node = item});
    }
    first = out_.add(Op::Tuple, std::move(items));
  }
  TRY(expect("]"));
  return out_.add(Op::Subscript, object, first);
}

Result<std::vector<Arg>> JinjaParser::arguments() {
  std::vector<Arg> args;
  bool named = false;
  while (!accept(")")) {
    if (!args.empty()) {
      TRY(expect(","));
      if (accept(")")) break;
    }
    Arg arg;
    if (accept("*")) {
      arg.aux = Arg::Spread;
    } else if (accept("**")) {
      arg.aux = Arg::SpreadMap;
    } else if (current().kind == Kind::Name && tokens_[at_ + 1].kind == Kind::Punct &&
               tokens_[at_ + 1].text == "=") {
      arg.name = out_.constant(Value(current().text));
      named = true;
      at_ += 2;
    } else if (named) {
      return syntax_error("invalid syntax for function call expression");
    }
    TRY(arg.node, expression());
    args.push_back(arg);
    if (args.size() > 1000) return syntax_error("more than 1000 arguments");
  }
  return args;
}

Result<NodeId> JinjaParser::call(NodeId callee) {
  TRY(auto args, arguments());
  const Node node = out_.node(callee);
  if (node.op == Op::Attr) {
    out_.drop(callee);
    return out_.add(Op::Method, std::move(args), node.a, node.b);
  }
  if (node.op == Op::CtxAttr) {
    out_.drop(callee);
    NodeId object = out_.add(Op::Ctx);
    return out_.add(Op::Method, std::move(args), object, node.a);
  }
  if (node.op != Op::Name || is_assigned(node.a)) {
    return out_.add(Op::Call, std::move(args), callee);
  }
  std::string_view name = out_.tree().text(node.a);
  if (name == "ctx" && args.empty()) {
    out_.drop(callee);
    return out_.add(Op::Ctx);
  }
  if (name == "ctx" && args.size() == 1 && args[0].name == kNone && args[0].aux == 0) {
    const Node& key = out_.node(args[0].node);
    bool is_text = key.op == Op::Const && out_.tree().constants[key.a].is_string();
    if (is_text && !out_.tree().text(key.a).empty()) {
      out_.drop(callee);
      return out_.add(Op::CtxKey, key.a);
    }
  }
  uint32_t row = jinja_globals().find(name);
  if (row == kNone) {
    if (mode_ == Mode::Native && name != "caller") {
      return syntax_error(
          fmt::format("unknown function '{}'{}", name, jinja_globals().suggest(name)));
    }
    return out_.add(Op::Call, std::move(args), callee);
  }
  out_.drop(callee);
  return out_.add(Op::Function, std::move(args), row);
}

Result<NodeId> JinjaParser::filters_and_tests(NodeId node) {
  for (int links = 0;; ++links) {
    if (links > kMaxChain) return syntax_error("the expression chains too many parts");
    if (is("|")) {
      TRY(node, filter(node));
    } else if (accept_name("is")) {
      TRY(node, test(node));
    } else if (accept("(")) {
      TRY(node, call(node));
    } else {
      return node;
    }
  }
}

// One or, for a filter block, more `| name(args)`.
Result<NodeId> JinjaParser::filter(NodeId input) {
  TRY(expect("|"));
  return filter_after_bar(input);
}

Result<NodeId> JinjaParser::filter_after_bar(NodeId input) {
  TRY(std::string name, expect_any_name());
  while (accept(".")) {
    TRY(std::string part, expect_any_name());
    name += "." + part;
  }
  std::vector<Arg> args;
  if (accept("(")) {
    TRY(args, arguments());
  }
  if (name == "decrypt_kv" && input != kNone && out_.node(input).op == Op::Kv) {
    out_.node(input).aux = 1;
    return input;
  }
  uint32_t row = jinja_filters().find(name);
  if (row != kNone) return out_.add(Op::Filter, std::move(args), input, row);
  std::string message = fmt::format("No filter named '{}'", name);
  if (mode_ == Mode::Native) return syntax_error(message + jinja_filters().suggest(name));
  return out_.add(Op::Fail, out_.constant(Value("TemplateAssertionError: " + message)));
}

Result<NodeId> JinjaParser::test(NodeId input) {
  bool negated = accept_name("not");
  TRY(std::string name, expect_any_name());
  while (accept(".")) {
    TRY(std::string part, expect_any_name());
    name += "." + part;
  }
  std::vector<Arg> args;
  bool operand =
      current().kind == Kind::Literal || is("[") || is("{") ||
      (current().kind == Kind::Name && !is_name("else") && !is_name("or") && !is_name("and"));
  if (accept("(")) {
    TRY(args, arguments());
  } else if (operand) {
    if (is_name("is")) return syntax_error("You cannot chain multiple tests with is");
    bool ends = is_name("if") || is_name("not") || is_name("in");
    if (!ends) {
      TRY(NodeId value, primary());
      TRY(value, postfix(value));
      args.push_back({.node = value});
    }
  }
  uint32_t row = jinja_tests().find(name);
  NodeId node = kNone;
  if (row != kNone) {
    node = out_.add(Op::Test, std::move(args), input, row);
  } else {
    std::string message = fmt::format("No test named '{}'", name);
    if (mode_ == Mode::Native) return syntax_error(message + jinja_tests().suggest(name));
    node = out_.add(Op::Fail, out_.constant(Value("TemplateAssertionError: " + message)));
  }
  return negated ? out_.add(Op::Not, node) : node;
}

bool JinjaParser::is_assigned(uint32_t name) const {
  return assigned_.contains(out_.tree().text(name));
}

Result<NodeId> parse_jinja_expression(Tree& tree, std::string_view source, Mode mode) {
  TRY(auto tokens, lex_jinja_expression(source));
  return JinjaParser(tree, std::move(tokens), mode).whole_expression();
}

Result<void> check_jinja_expression(std::string_view source, Mode mode) {
  Tree tree;
  TRY(auto tokens, lex_jinja_expression(source));
  TRY(JinjaParser(tree, std::move(tokens), mode).first_expression());
  return {};
}

Result<NodeId> parse_jinja_template(Tree& tree, std::string_view source, Mode mode) {
  TRY(auto tokens, lex_jinja_template(source));
  return JinjaParser(tree, std::move(tokens), mode).whole_template();
}

}  // namespace millrace::expr
