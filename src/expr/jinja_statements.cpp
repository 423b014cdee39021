// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "expr/jinja_parser.h"
#include "expr/meter.h"

namespace millrace::expr {

Result<NodeId> JinjaParser::whole_template() {
  TRY(NodeId root, body({}));
  if (current().kind != JinjaToken::Kind::End) return unexpected("end of template");
  return root;
}

Result<NodeId> JinjaParser::body(std::vector<std::string_view> ends) {
  if (++depth_ > kMaxNesting) return syntax_error("the template nests too deep");
  std::vector<Arg> statements;
  while (current().kind != JinjaToken::Kind::End) {
    if (statements.size() > kMaxArgs) return syntax_error("more than 60000 parts in one template");
    if (current().kind == JinjaToken::Kind::Data) {
      statements.push_back({.node = out_.add(Op::Data, out_.constant(current().value))});
      ++at_;
    } else if (current().kind == JinjaToken::Kind::PrintBegin) {
      ++at_;
      TRY(NodeId value, tuple(true, {}, false));
      if (current().kind != JinjaToken::Kind::PrintEnd) return unexpected("end of print statement");
      ++at_;
      statements.push_back({.node = out_.add(Op::Print, value)});
    } else if (current().kind == JinjaToken::Kind::BlockBegin) {
      ++at_;
      if (current().kind != JinjaToken::Kind::Name) return syntax_error("tag name expected");
      if (std::find(ends.begin(), ends.end(), current().text) != ends.end()) break;
      TRY(NodeId node, statement());
      statements.push_back({.node = node});
    } else {
      return unexpected("template text");
    }
  }
  if (!ends.empty() && current().kind == JinjaToken::Kind::End) {
    return syntax_error(
        fmt::format("Unexpected end of template. Jinja was looking for the tag '{}'.", ends[0]));
  }
  --depth_;
  return out_.add(Op::Body, std::move(statements));
}

Result<NodeId> JinjaParser::statement() {
  if (is_name("if")) return if_statement();
  if (is_name("for")) return for_statement();
  if (is_name("set")) return set_statement();
  if (is_name("with")) return with_statement();
  if (is_name("macro")) return macro_statement();
  if (is_name("call")) return call_statement();
  if (is_name("filter")) return filter_statement();
  if (is_name("block")) return block_statement();
  for (std::string_view other : {"extends", "include", "import", "from", "autoescape"}) {
    if (is_name(other)) {
      return unsupported(
          fmt::format("the tag '{}' is not supported: a template stands alone", other));
    }
  }
  return syntax_error(fmt::format("Encountered unknown tag '{}'.", current().text));
}

Result<void> JinjaParser::block_end() {
  if (current().kind != JinjaToken::Kind::BlockEnd) return unexpected("end of statement block");
  ++at_;
  return {};
}

Result<void> JinjaParser::end_tag(std::string_view name) {
  if (!accept_name(name)) return unexpected(fmt::format("'{}'", name));
  return block_end();
}

Result<NodeId> JinjaParser::if_statement() {
  std::vector<Arg> parts;
  while (true) {
    ++at_;  // if, elif
    TRY(NodeId condition, tuple(false, {}, false));
    TRY(block_end());
    TRY(NodeId then, body({"elif", "else", "endif"}));
    parts.push_back({.node = condition});
    parts.push_back({.node = then});
    if (is_name("elif")) continue;
    if (accept_name("else")) {
      TRY(block_end());
      TRY(NodeId otherwise, body({"endif"}));
      parts.push_back({.node = otherwise});
    }
    break;
  }
  TRY(end_tag("endif"));
  return out_.add(Op::If, std::move(parts));
}

Result<NodeId> JinjaParser::for_statement() {
  ++at_;
  TRY(NodeId variable, target(false, true));
  if (!accept_name("in")) return unexpected("'in'");
  TRY(NodeId iterable, tuple(false, "recursive", false));
  NodeId filter = kNone;
  if (accept_name("if")) {
    TRY(filter, expression());
  }
  bool recursive = accept_name("recursive");
  TRY(block_end());
  assigned_.emplace("loop");
  TRY(NodeId inner, body({"endfor", "else"}));
  NodeId otherwise = kNone;
  if (accept_name("else")) {
    TRY(block_end());
    TRY(otherwise, body({"endfor"}));
  }
  TRY(end_tag("endfor"));
  std::vector<Arg> parts;
  for (NodeId part : {variable, iterable, inner, otherwise, filter})
    parts.push_back({.node = part});
  return out_.add(Op::For, std::move(parts), kNone, kNone, recursive ? 1 : 0);
}

Result<NodeId> JinjaParser::target_name(bool allow_attribute) {
  TRY(std::string name, expect_any_name());
  for (std::string_view reserved : {"true", "false", "none", "True", "False", "None"}) {
    if (name == reserved) return syntax_error(fmt::format("can't assign to '{}'", name));
  }
  uint32_t constant = out_.constant(Value(name));
  if (allow_attribute && accept(".")) {
    TRY(std::string attribute, expect_any_name());
    return out_.add(Op::TargetAttr, constant, out_.constant(Value(attribute)));
  }
  assigned_.insert(name);
  return out_.add(Op::TargetName, constant);
}

Result<NodeId> JinjaParser::target(bool allow_attribute, bool allow_tuple) {
  if (++depth_ > kMaxNesting) return syntax_error("the target nests too deep");
  std::vector<Arg> items;
  bool is_tuple = false;
  while (true) {
    NodeId item = kNone;
    if (accept("(")) {
      TRY(item, target(false, true));
      TRY(expect(")"));
    } else {
      TRY(item, target_name(allow_attribute && items.empty()));
    }
    items.push_back({.node = item});
    if (!allow_tuple || !accept(",")) break;
    is_tuple = true;
    if (current().kind != JinjaToken::Kind::Name && !is("(")) break;
    if (is_name("in")) break;
  }
  --depth_;
  if (!is_tuple) return items[0].node;
  return out_.add(Op::TargetTuple, std::move(items));
}

Result<NodeId> JinjaParser::set_statement() {
  ++at_;
  TRY(NodeId variable, target(true, true));
  if (accept("=")) {
    TRY(NodeId value, tuple(true, {}, false));
    TRY(block_end());
    return out_.add(Op::Set, variable, value);
  }
  NodeId filters = kNone;
  while (is("|")) {
    TRY(filters, filter(filters));
  }
  TRY(block_end());
  TRY(NodeId inner, body({"endset"}));
  TRY(end_tag("endset"));
  return out_.add(Op::SetBlock, {{.node = filters}}, variable, inner);
}

Result<NodeId> JinjaParser::with_statement() {
  ++at_;
  std::vector<Arg> parts;
  while (current().kind != JinjaToken::Kind::BlockEnd) {
    if (!parts.empty()) TRY(expect(","));
    TRY(NodeId variable, target(false, false));
    TRY(expect("="));
    TRY(NodeId value, expression());
    parts.push_back({.node = variable});
    parts.push_back({.node = value});
  }
  TRY(block_end());
  TRY(NodeId inner, body({"endwith"}));
  TRY(end_tag("endwith"));
  parts.push_back({.node = inner});
  return out_.add(Op::With, std::move(parts));
}

// name, name=default, ...)
Result<std::vector<Arg>> JinjaParser::parameters() {
  std::vector<Arg> params;
  while (!accept(")")) {
    if (!params.empty()) TRY(expect(","));
    TRY(std::string name, expect_any_name());
    assigned_.insert(name);
    Arg param{.name = out_.constant(Value(name))};
    if (accept("=")) {
      TRY(param.node, expression());
    } else if (!params.empty() && params.back().node != kNone) {
      return syntax_error("non-default argument follows default argument");
    }
    params.push_back(param);
  }
  return params;
}

Result<NodeId> JinjaParser::macro_statement() {
  ++at_;
  TRY(std::string name, expect_any_name());
  assigned_.insert(name);
  for (std::string_view inner : {"caller", "varargs", "kwargs"}) assigned_.emplace(inner);
  TRY(expect("("));
  TRY(auto params, parameters());
  TRY(block_end());
  TRY(NodeId inner, body({"endmacro"}));
  ++at_;
  if (current().kind == JinjaToken::Kind::Name) ++at_;
  TRY(block_end());
  return out_.add(Op::Macro, std::move(params), out_.constant(Value(name)), inner);
}

Result<NodeId> JinjaParser::call_statement() {
  ++at_;
  std::vector<Arg> params;
  if (accept("(")) {
    TRY(params, parameters());
  }
  TRY(NodeId call, expression());
  Op op = out_.node(call).op;
  if (op != Op::Call && op != Op::Function && op != Op::Method) {
    return syntax_error("expected call");
  }
  TRY(block_end());
  TRY(NodeId inner, body({"endcall"}));
  TRY(end_tag("endcall"));
  return out_.add(Op::CallBlock, std::move(params), call, inner);
}

// Without inheritance a block is its body.
Result<NodeId> JinjaParser::block_statement() {
  ++at_;
  TRY(std::string name, expect_any_name());
  TRY(block_end());
  TRY(NodeId inner, body({"endblock"}));
  ++at_;
  accept_name(name);
  TRY(block_end());
  return inner;
}

Result<NodeId> JinjaParser::filter_statement() {
  ++at_;
  TRY(NodeId filters, filter_after_bar(kNone));
  while (is("|")) {
    TRY(filters, filter(filters));
  }
  TRY(block_end());
  TRY(NodeId inner, body({"endfilter"}));
  TRY(end_tag("endfilter"));
  return out_.add(Op::FilterBlock, filters, inner);
}

}  // namespace millrace::expr
