// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "expr/expr.h"

// The compiled form of both languages: nodes in one array, their children by index.
namespace millrace::expr {

using NodeId = uint32_t;
inline constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

// What `a`, `b` and the argument list of a Node hold is said behind each operation.
enum class Op : uint8_t {
  Const,     // a: constant; aux: 1 for a bare word of YAQL
  Ctx,       // ctx()
  CtxKey,    // a: constant name; ctx('x')
  CtxAttr,   // a: constant name; ctx().x
  Function,  // a: row of the function table; args
  Fail,      // a: constant text: the error of evaluating this
  Kv,        // a: constant root, args: constant path; st2kv.system.x; aux: decrypt
  List,      // args
  Dict,      // args: key, value, key, value...
  Binary,    // aux: python::Arithmetic; a, b
  Negate,    // a
  Plus,      // a
  And,       // a, b
  Or,        // a, b
  Not,       // a

  // Jinja expressions
  Name,       // a: constant name
  Tuple,      // args
  Concat,     // args
  Compare,    // a: first; args: operands, each with Arg::aux = Comparison
  Condition,  // a: test, b: then, args[0]: else (or none)
  Attr,       // a: object, b: constant name
  Subscript,  // a: object, b: index
  Slice,      // a: object; args: start, stop, step (kNone when absent)
  Call,       // a: callee; args
  Method,     // a: object, b: constant name; args
  Filter,     // a: input (kNone: the captured text), b: row of the filter table; args
  Test,       // a: input, b: row of the test table; args

  // Jinja statements: each writes to the output
  Body,         // args: statements
  Data,         // a: constant text
  Print,        // a: expression
  If,           // args: test, body, test, body..., [else body]
  For,          // args: target, iterable, body, else (or none), filter (or none); aux: recursive
  Set,          // a: target, b: expression
  SetBlock,     // a: target, b: body; args[0]: filters (or none)
  FilterBlock,  // a: filters, b: body
  With,         // args: target, expression..., body
  Macro,        // a: constant name, b: body; args: parameters (name, default or none)
  CallBlock,    // a: call, b: body; args: parameters
  TargetName,   // a: constant name
  TargetAttr,   // a: constant name, b: constant attribute (namespace)
  TargetTuple,  // args

  // YAQL
  YaqlBinary,  // aux: YaqlOperator; a, b
  YaqlNot,     // a
  YaqlAttr,    // a: object, b: constant name; aux: 1 for ?.
  YaqlCall,    // a: first row of the function, b: constant name; args
  YaqlMethod,  // as YaqlCall; the object is args[0]; aux: 1 for ?.
  YaqlIndex,   // a: object; args
  YaqlVar,     // a: constant name without `$`
  YaqlRule,    // a => b
};

enum class Comparison : uint8_t { Eq, Ne, Lt, Le, Gt, Ge, In, NotIn };
enum class YaqlOperator : uint8_t {
  Add,
  Sub,
  Mul,
  Div,
  Mod,
  Eq,
  Ne,
  Lt,
  Le,
  Gt,
  Ge,
  In,
  Match,
  NotMatch,
  Send
};

struct Node {
  Op op = Op::Const;
  uint8_t aux = 0;
  uint16_t count = 0;  // of args
  uint32_t a = kNone;
  uint32_t b = kNone;
  uint32_t first = 0;  // of args
};

struct Arg {
  enum Aux : uint8_t { Plain = 0, Spread = 1, SpreadMap = 2 };
  NodeId node = kNone;
  uint32_t name = kNone;  // constant: a keyword argument
  uint8_t aux = Plain;    // or Comparison
};

struct Tree {
  std::vector<Node> nodes;
  std::vector<Arg> args;
  std::vector<Value> constants;

  const Node& node(NodeId id) const { return nodes[id]; }
  std::span<const Arg> args_of(const Node& n) const {
    return std::span(args).subspan(n.first, n.count);
  }
  std::string_view text(uint32_t constant) const { return constants[constant].as_string(); }
};

// One `{{ }}` or `<% %>` of a text, or the text between two of them.
struct Segment {
  std::string text;     // of the expression with its delimiters, or the literal
  NodeId root = kNone;  // kNone: literal text, or `error`
  std::optional<Error> error;
  bool is_expression() const { return root != kNone || error.has_value(); }
};

struct Program {
  std::string text;
  Language language = Language::None;
  Mode mode = Mode::Native;
  Tree tree;
  std::vector<Segment> segments;        // empty when `body` is used
  NodeId body = kNone;                  // a whole Jinja template
  std::optional<Error> error;           // of `body`, Orquesta only
  std::vector<std::string> raw_blocks;  // Orquesta: `{% raw %}...{% endraw %}`
  Reads reads;
};

// Puts nodes into a Tree. Equal constants are stored once.
class TreeBuilder {
 public:
  explicit TreeBuilder(Tree& tree) : tree_(tree) {}
  NodeId add(Op op, uint32_t a = kNone, uint32_t b = kNone, uint8_t aux = 0);
  NodeId add(Op op, std::vector<Arg> args, uint32_t a = kNone, uint32_t b = kNone, uint8_t aux = 0);
  uint32_t constant(Value value);
  NodeId literal(Value value) { return add(Op::Const, constant(std::move(value))); }
  Node& node(NodeId id) { return tree_.nodes[id]; }
  // A node that another has taken the place of: inspection must not see it.
  void drop(NodeId id) { tree_.nodes[id] = {}; }
  const Tree& tree() const { return tree_; }

 private:
  Tree& tree_;
};

// Parsers. Errors are EXP-0001 with the message of the language's reference where it has one.
inline constexpr int kMaxNesting = 80;
inline constexpr size_t kLongestName = 1024;  // bytes; names are compared at each look-up
inline constexpr int kMaxChain = 1000;        // .a.b.c, | x | y
Result<NodeId> parse_yaql(Tree& tree, std::string_view source, Mode mode);
Result<NodeId> parse_jinja_expression(Tree& tree, std::string_view source, Mode mode);
// As the reference inspects expressions: what follows a whole expression is not looked at.
Result<void> check_jinja_expression(std::string_view source, Mode mode);
Result<NodeId> parse_jinja_template(Tree& tree, std::string_view source, Mode mode);
Error syntax_error(std::string message);

// '\n', '\x41', '\u00e9'... as Python's unicode-escape decodes them; false when malformed.
bool decode_escapes(std::string_view text, std::string& out, bool lenient);

}  // namespace millrace::expr
