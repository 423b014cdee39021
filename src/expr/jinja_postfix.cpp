// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "expr/jinja_parser.h"

// What follows an operand: .name, [index], (arguments), | filter, is test.
namespace millrace::expr {

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
  if (current().kind == JinjaToken::Kind::Literal && current().value.is_int()) {
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
    } else if (current().kind == JinjaToken::Kind::Name &&
               tokens_[at_ + 1].kind == JinjaToken::Kind::Punct && tokens_[at_ + 1].text == "=") {
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
  bool operand = current().kind == JinjaToken::Kind::Literal || is("[") || is("{") ||
                 (current().kind == JinjaToken::Kind::Name && !is_name("else") && !is_name("or") &&
                  !is_name("and"));
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

}  // namespace millrace::expr
