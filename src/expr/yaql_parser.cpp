// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>

#include "expr/ast.h"
#include "expr/functions.h"
#include "expr/python.h"
#include "expr/unicode.h"

// YAQL 2.0: the tokens of yaql/language/lexer.py, and precedence climbing over its operator table.
// Highest first: . ?. | [] | unary + - | =~ !~ | * / mod | + - | comparisons, in | not | and | or |
// -> (right).
namespace millrace::expr {
namespace {

enum class Kind : uint8_t { End, Keyword, Func, Literal, Dollar, Punct };

struct Token {
  Kind kind = Kind::End;
  std::string_view text;  // of Punct, and of word operators
  Value value;            // of Literal, Keyword, Func and Dollar
  size_t position = 0;
};

bool is_word_start(std::string_view s, size_t i) {
  if (i >= s.size()) return false;
  return s[i] == '_' || unicode::is_alpha(unicode::decode(s, i));
}
bool is_word(std::string_view s, size_t i) {
  return is_word_start(s, i) || (i < s.size() && s[i] >= '0' && s[i] <= '9');
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> run() {
    std::vector<Token> tokens;
    while (true) {
      at_ = source_.find_first_not_of(" \t\r\n", at_);
      if (at_ == std::string_view::npos) break;
      TRY(Token token, next());
      tokens.push_back(std::move(token));
    }
    tokens.push_back({.position = source_.size()});
    return tokens;
  }

 private:
  Error lexical_error() const {
    return syntax_error(fmt::format("Lexical error: illegal character '{}' at position {}",
                                    source_.substr(at_, unicode::width(source_, at_)), at_));
  }

  size_t word_end(size_t i) const {
    while (is_word(source_, i)) i += unicode::width(source_, i);
    return i;
  }

  Result<Token> next() {
    char c = source_[at_];
    if (c == '$') {
      size_t end = word_end(at_ + 1);
      if (end - at_ > kLongestName) return too_long();
      return take(Kind::Dollar, end, Value(source_.substr(at_ + 1, end - at_ - 1)));
    }
    if (c >= '0' && c <= '9') return number();
    if (is_word_start(source_, at_)) return word();
    if (c == '\'' || c == '"' || c == '`') return string(c);
    constexpr std::array<std::string_view, 23> kPuncts = {
        "?.", "=>", "=~", "!~", "!=", ">=", "<=", "->", "(", ")", "[", "]",
        "{",  "}",  ",",  ".",  "+",  "-",  "*",  "/",  ">", "<", "="};
    for (auto punct : kPuncts) {
      if (source_.substr(at_).starts_with(punct)) return take(Kind::Punct, at_ + punct.size());
    }
    return lexical_error();
  }

  static Error too_long() { return syntax_error("a name is longer than 1024 bytes"); }

  Token take(Kind kind, size_t end, Value value = {}) {
    Token token{kind, source_.substr(at_, end - at_), std::move(value), at_};
    at_ = end;
    return token;
  }

  // \b\d+(\.?\d+)?\b
  Result<Token> number() {
    auto digits = [&](size_t i) {
      while (i < source_.size() && source_[i] >= '0' && source_[i] <= '9') ++i;
      return i;
    };
    size_t end = digits(at_);
    size_t fraction = end < source_.size() && source_[end] == '.' ? digits(end + 1) : end;
    bool is_float = fraction > end + 1 && !is_word(source_, fraction);
    if (is_float) end = fraction;
    if (is_word(source_, end)) return lexical_error();
    std::string_view text = source_.substr(at_, end - at_);
    if (is_float) {
      double d = 0;
      python::parse_float(text, d);
      return take(Kind::Literal, end, Value(d));
    }
    Item item;
    if (!python::parse_int(text, 10, item) || !item.is_int()) {
      return syntax_error(fmt::format("the integer {} does not fit 64 bits", text));
    }
    return take(Kind::Literal, end, item.value());
  }

  Result<Token> word() {
    size_t end = word_end(at_);
    if (end - at_ > kLongestName) return too_long();
    std::string_view text = source_.substr(at_, end - at_);
    if (end < source_.size() && source_[end] == '(') {
      return take(Kind::Func, end + 1, Value(text));
    }
    if (text.starts_with("__")) return lexical_error();
    if (text == "true" || text == "false") return take(Kind::Literal, end, Value(text == "true"));
    if (text == "null") return take(Kind::Literal, end, Value());
    for (std::string_view op : {"and", "or", "not", "in", "mod"}) {
      if (text == op) return take(Kind::Punct, end);
    }
    return take(Kind::Keyword, end, Value(text));
  }

  Result<Token> string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return lexical_error();
    std::string_view body = source_.substr(at_ + 1, end - at_ - 1);
    std::string decoded;
    if (quote == '`') {
      for (size_t i = 0; i < body.size(); ++i) {
        if (body.substr(i).starts_with("\\`")) ++i;
        decoded += body[i];
      }
    } else if (!decode_escapes(body, decoded, true)) {
      return syntax_error("malformed escape in a string literal, or half of a character");
    }
    return take(Kind::Literal, end + 1, Value(decoded));
  }

  std::string_view source_;
  size_t at_ = 0;
};

struct Operator {
  std::string_view text;
  int binding;  // higher binds tighter
  YaqlOperator op;
};

constexpr int kSend = 1, kOr = 2, kAnd = 3, kNot = 4, kUnary = 9, kIndex = 10, kDot = 11;
constexpr std::array<Operator, 15> kOperators = {{{"->", kSend, YaqlOperator::Send},
                                                  {">", 5, YaqlOperator::Gt},
                                                  {"<", 5, YaqlOperator::Lt},
                                                  {">=", 5, YaqlOperator::Ge},
                                                  {"<=", 5, YaqlOperator::Le},
                                                  {"!=", 5, YaqlOperator::Ne},
                                                  {"=", 5, YaqlOperator::Eq},
                                                  {"in", 5, YaqlOperator::In},
                                                  {"+", 6, YaqlOperator::Add},
                                                  {"-", 6, YaqlOperator::Sub},
                                                  {"*", 7, YaqlOperator::Mul},
                                                  {"/", 7, YaqlOperator::Div},
                                                  {"mod", 7, YaqlOperator::Mod},
                                                  {"=~", 8, YaqlOperator::Match},
                                                  {"!~", 8, YaqlOperator::NotMatch}}};

class Parser {
 public:
  Parser(Tree& tree, std::vector<Token> tokens, Mode mode)
      : out_(tree), tokens_(std::move(tokens)), mode_(mode) {}

  Result<NodeId> run() {
    TRY(NodeId root, expression(0));
    if (current().kind != Kind::End) return unexpected();
    return root;
  }

 private:
  const Token& current() const { return tokens_[at_]; }
  bool is(std::string_view punct) const {
    return current().kind == Kind::Punct && current().text == punct;
  }
  bool accept(std::string_view punct) {
    if (!is(punct)) return false;
    ++at_;
    return true;
  }
  Result<void> expect(std::string_view punct) {
    if (!accept(punct)) return unexpected();
    return {};
  }
  Error unexpected() const {
    if (current().kind == Kind::End)
      return syntax_error("Parse error: unexpected end of statement");
    return syntax_error(fmt::format("Parse error: unexpected '{}' at position {}", current().text,
                                    current().position));
  }

  Result<NodeId> expression(int least) {
    if (++depth_ > kMaxNesting) return syntax_error("the expression nests too deep");
    TRY(NodeId left, prefix());
    for (int links = 0;; ++links) {
      if (links > kMaxChain) return syntax_error("the expression chains too many parts");
      TRY(NodeId next, infix(left, least));
      if (next == kNone) break;
      left = next;
    }
    --depth_;
    return left;
  }

  Result<NodeId> prefix() {
    if (accept("not")) {
      TRY(NodeId operand, expression(kNot));
      return out_.add(Op::YaqlNot, operand);
    }
    if (is("-") || is("+")) {
      Op op = is("-") ? Op::Negate : Op::Plus;
      ++at_;
      TRY(NodeId operand, expression(kUnary));
      return out_.add(op, operand);
    }
    return primary();
  }

  // One operator after `left` that binds at least as tightly as `least`, or kNone.
  Result<NodeId> infix(NodeId left, int least) {
    if (current().kind != Kind::Punct) return kNone;
    if ((is(".") || is("?.")) && kDot > least) return dot(left);
    if (is("[") && kIndex > least) {
      ++at_;
      TRY(auto args, arguments("]"));
      return out_.add(Op::YaqlIndex, std::move(args), left);
    }
    if ((is("and") && kAnd > least) || (is("or") && kOr > least)) {
      bool both = is("and");
      ++at_;
      TRY(NodeId right, expression(both ? kAnd : kOr));
      return out_.add(both ? Op::And : Op::Or, left, right);
    }
    for (const auto& op : kOperators) {
      if (op.text != current().text || op.binding <= least) continue;
      ++at_;
      TRY(NodeId right, expression(op.binding == kSend ? kSend - 1 : op.binding));
      return out_.add(Op::YaqlBinary, left, right, static_cast<uint8_t>(op.op));
    }
    return kNone;
  }

  Result<NodeId> dot(NodeId object) {
    uint8_t elvis = current().text == "?." ? 1 : 0;
    ++at_;
    if (current().kind == Kind::Keyword) {
      std::string_view name = current().value.as_string();
      ++at_;
      const Node& node = out_.node(object);
      if (node.op == Op::Ctx && elvis == 0) return out_.add(Op::CtxAttr, out_.constant(name));
      return out_.add(Op::YaqlAttr, object, out_.constant(name), elvis);
    }
    if (current().kind == Kind::Func) {
      Value name = current().value;
      ++at_;
      TRY(auto args, arguments(")"));
      args.insert(args.begin(), Arg{.node = object});
      return out_.add(Op::YaqlMethod, std::move(args), yaql_rows(name.as_string()),
                      out_.constant(name), elvis);
    }
    // Grammatically any value may follow, but nothing else has a meaning.
    TRY(NodeId right, expression(kDot));
    (void)right;
    return out_.add(
        Op::Fail, out_.constant("NoMatchingFunctionException: No function \"#operator_.\" matches "
                                "supplied arguments"));
  }

  Result<NodeId> primary() {
    Token token = current();
    ++at_;
    switch (token.kind) {
      case Kind::Literal: return out_.literal(token.value);
      case Kind::Keyword: return out_.add(Op::Const, out_.constant(token.value), kNone, 1);
      case Kind::Dollar: return out_.add(Op::YaqlVar, out_.constant(token.value));
      case Kind::Func: return function(token.value);
      case Kind::Punct:
        if (token.text == "(") {
          TRY(NodeId inner, expression(0));
          TRY(expect(")"));
          return inner;
        }
        if (token.text == "[") {
          TRY(auto args, arguments("]"));
          return out_.add(Op::List, std::move(args));
        }
        if (token.text == "{") {
          TRY(auto args, arguments("}"));
          return out_.add(Op::YaqlCall, std::move(args), yaql_rows("dict"), out_.constant("dict"));
        }
        break;
      case Kind::End: break;
    }
    --at_;
    return unexpected();
  }

  Result<NodeId> function(const Value& name) {
    TRY(auto args, arguments(")"));
    std::string_view text = name.as_string();
    bool constant = args.size() == 1 && out_.node(args[0].node).op == Op::Const;
    if (text == "ctx" && args.empty()) return out_.add(Op::Ctx);
    if (text == "ctx" && constant) {
      const Value& key = out_.tree().constants[out_.node(args[0].node).a];
      if (key.is_string() && key.size() > 0) return out_.add(Op::CtxKey, out_.node(args[0].node).a);
    }
    uint32_t rows = yaql_rows(text);
    if (rows == kNone && mode_ == Mode::Native) {
      return syntax_error(fmt::format("unknown function '{}'{}", text, suggest_yaql(text)));
    }
    return out_.add(Op::YaqlCall, std::move(args), rows, out_.constant(name));
  }

  // Up to and including `close`. A rule `name => value` is an argument of its own kind; only rules
  // may follow a rule. An omitted argument has no node.
  Result<std::vector<Arg>> arguments(std::string_view close) {
    std::vector<Arg> args;
    if (accept(close)) return args;
    bool rules = false;
    while (true) {
      if (is(",")) {
        if (rules) return unexpected();
        args.push_back({});
      } else {
        TRY(NodeId value, expression(0));
        if (accept("=>")) {
          rules = true;
          TRY(NodeId target, expression(0));
          value = out_.add(Op::YaqlRule, value, target);
        } else if (rules) {
          return unexpected();
        }
        args.push_back({.node = value});
      }
      if (accept(close)) break;
      TRY(expect(","));
      if (is(close)) return unexpected();
    }
    if (args.size() > 1000) return syntax_error("more than 1000 arguments");
    return args;
  }

  TreeBuilder out_;
  std::vector<Token> tokens_;
  Mode mode_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Result<NodeId> parse_yaql(Tree& tree, std::string_view source, Mode mode) {
  TRY(auto tokens, Lexer(source).run());
  return Parser(tree, std::move(tokens), mode).run();
}

}  // namespace millrace::expr
