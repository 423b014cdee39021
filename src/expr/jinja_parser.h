// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "expr/ast.h"
#include "expr/functions.h"
#include "expr/jinja_lexer.h"
#include "expr/python.h"

namespace millrace::expr {

// Recursive descent over the grammar of jinja2/parser.py. Operators in jinja_parser.cpp, what
// follows an operand in jinja_postfix.cpp, tags in jinja_statements.cpp.
class JinjaParser {
 public:
  JinjaParser(Tree& tree, std::vector<JinjaToken> tokens, Mode mode)
      : out_(tree), tokens_(std::move(tokens)), mode_(mode) {}
  Result<NodeId> whole_expression();
  Result<NodeId> first_expression() { return expression(); }
  Result<NodeId> whole_template();

 private:
  static constexpr size_t kMaxArgs = 60000;

  const JinjaToken& current() const { return tokens_[at_]; }
  bool is(std::string_view punct) const;
  bool is_name(std::string_view name) const;
  bool accept(std::string_view punct);
  bool accept_name(std::string_view name);
  Result<void> expect(std::string_view punct);
  Result<std::string> expect_any_name();
  Error unexpected(std::string_view wanted) const;
  bool is_assigned(uint32_t name) const;

  Result<NodeId> expression(bool with_condition = true);
  Result<NodeId> or_expression();
  Result<NodeId> and_expression();
  Result<NodeId> not_expression();
  Result<NodeId> comparison();
  Result<NodeId> sum();
  Result<NodeId> concat();
  Result<NodeId> product();
  Result<NodeId> power();
  Result<NodeId> unary(bool with_filter = true);
  Result<NodeId> primary();
  Result<NodeId> binary(NodeId left, python::Arithmetic op, NodeId right);
  Result<NodeId> list();
  Result<NodeId> map();
  Result<NodeId> tuple(bool with_condition, std::string_view end_name, bool parentheses);
  Result<NodeId> postfix(NodeId node);
  Result<NodeId> attribute(NodeId object);
  Result<NodeId> subscript(NodeId object);
  Result<NodeId> call(NodeId callee);
  Result<std::vector<Arg>> arguments();
  Result<NodeId> filters_and_tests(NodeId node);
  Result<NodeId> filter(NodeId input);
  Result<NodeId> filter_after_bar(NodeId input);
  Result<NodeId> test(NodeId input);

  // Statements until a tag named in `ends`, which is left as the current name.
  Result<NodeId> body(std::vector<std::string_view> ends);
  Result<NodeId> statement();
  Result<NodeId> if_statement();
  Result<NodeId> for_statement();
  Result<NodeId> set_statement();
  Result<NodeId> with_statement();
  Result<NodeId> macro_statement();
  Result<NodeId> call_statement();
  Result<NodeId> filter_statement();
  Result<NodeId> block_statement();
  Result<NodeId> target(bool allow_attribute, bool allow_tuple);
  Result<NodeId> target_name(bool allow_attribute);
  Result<std::vector<Arg>> parameters();
  Result<void> block_end();
  // `{% end... %}`: the name and the closing tag.
  Result<void> end_tag(std::string_view name);

  TreeBuilder out_;
  std::vector<JinjaToken> tokens_;
  Mode mode_;
  size_t at_ = 0;
  int depth_ = 0;
  std::set<std::string, std::less<>> assigned_;  // names that the template itself gives a meaning
};

}  // namespace millrace::expr
