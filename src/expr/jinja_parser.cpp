// SPDX-License-Identifier: Apache-2.0
#include "expr/jinja_parser.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::expr {

bool JinjaParser::is(std::string_view punct) const {
  return current().kind == JinjaToken::Kind::Punct && current().text == punct;
}
bool JinjaParser::is_name(std::string_view name) const {
  return current().kind == JinjaToken::Kind::Name && current().text == name;
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
  if (current().kind != JinjaToken::Kind::Name) return unexpected("a name");
  return tokens_[at_++].text;
}

Error JinjaParser::unexpected(std::string_view wanted) const {
  std::string found;
  switch (current().kind) {
    case JinjaToken::Kind::End: found = "end of template"; break;
    case JinjaToken::Kind::PrintEnd: found = "end of print statement"; break;
    case JinjaToken::Kind::BlockEnd: found = "end of statement block"; break;
    case JinjaToken::Kind::Literal: found = "literal"; break;
    case JinjaToken::Kind::Data: found = "template text"; break;
    default: found = fmt::format("'{}'", current().text);
  }
  std::string where = current().line > 1 ? fmt::format(" (line {})", current().line) : "";
  return syntax_error(fmt::format("expected {}, got {}{}", wanted, found, where));
}

Result<NodeId> JinjaParser::whole_expression() {
  TRY(NodeId root, expression());
  if (current().kind != JinjaToken::Kind::End) return syntax_error("chunk after expression");
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
    } else if (is_name("not") && tokens_[at_ + 1].kind == JinjaToken::Kind::Name &&
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
  if (token.kind == JinjaToken::Kind::Name) {
    ++at_;
    if (token.text == "true" || token.text == "True") return out_.literal(Value(true));
    if (token.text == "false" || token.text == "False") return out_.literal(Value(false));
    if (token.text == "none" || token.text == "None") return out_.literal(Value());
    return out_.add(Op::Name, out_.constant(Value(token.text)));
  }
  if (token.kind == JinjaToken::Kind::Literal) {
    ++at_;
    if (!token.value.is_string() || current().kind != JinjaToken::Kind::Literal ||
        !current().value.is_string()) {
      return out_.literal(token.value);
    }
    std::string joined(token.value.as_string());
    while (current().kind == JinjaToken::Kind::Literal && current().value.is_string()) {
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
    bool ends = current().kind == JinjaToken::Kind::PrintEnd ||
                current().kind == JinjaToken::Kind::BlockEnd || is(")") ||
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
