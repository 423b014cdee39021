// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "expr/yaql.h"

// How YAQL finds the function of a call, as yaql/language/runner.py: among those of one name, by
// the number and names of the arguments, then, with all but the lazy ones evaluated, by their
// types.
namespace millrace::expr {
namespace {

bool is_lazy(Type type) { return type == Type::Lambda || type == Type::Rule; }

// result_index and resultIndex are one name.
bool same_name(std::string_view parameter, std::string_view given) {
  size_t k = 0;
  for (size_t i = 0; i < parameter.size(); ++i, ++k) {
    char c = parameter[i];
    if (c == '_' && i > 0 && i + 1 < parameter.size()) {
      c = parameter[++i];
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    }
    if (k >= given.size() || given[k] != c) return false;
  }
  return k == given.size();
}

// How the arguments of a call fall on the parameters of one function.
class Fit {
 public:
  static constexpr size_t kUnknown = SIZE_MAX;

  // `names[i]` is the name of argument i, empty for a positional one.
  bool fits(const Function& function, std::span<const std::string_view> names,
            const std::vector<bool>& omitted) {
    const Signature& signature = function.signature;
    size_t fixed = signature.params.size() - (signature.varargs ? 1 : 0);
    target_.assign(names.size(), kUnknown);
    uint64_t filled = 0;
    size_t position = 0;
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i].empty()) {
        size_t at = std::min(position++, signature.params.size());
        if (at >= fixed && !signature.varargs) return false;
        target_[i] = std::min(at, fixed);
        if (at < fixed && !omitted[i]) filled |= uint64_t{1} << at;
        if (omitted[i] && (at >= fixed || !signature.params[at].optional)) return false;
        continue;
      }
      size_t at = 0;
      while (at < fixed && !same_name(signature.params[at].name, names[i])) ++at;
      if (at < fixed) {
        if ((filled >> at & 1) != 0) return false;
        filled |= uint64_t{1} << at;
        target_[i] = at;
      } else if (!signature.kwargs) {
        return false;
      }
    }
    for (size_t i = 0; i < fixed; ++i) {
      if (!signature.params[i].optional && (filled >> i & 1) == 0) return false;
    }
    return true;
  }
  // The parameter of argument i; kUnknown for a named one that goes to **.
  size_t target(size_t i) const { return target_[i]; }

 private:
  std::vector<size_t> target_;
};

class Call {
 public:
  Call(Evaluator& eval, const Node& node)
      : eval_(eval),
        tree_(eval.tree()),
        node_(node),
        name_(tree_.text(node.b)),
        method_(node.op == Op::YaqlMethod),
        args_(tree_.args_of(node)) {}

  Result<Item> run() {
    if (method_) {
      TRY(receiver_, eval_.eval(args_[0].node));
      if (node_.aux == 1 && receiver_.is_null()) return Item();
    }
    TRY(prepare());
    Fit fit;
    for (uint32_t row = first_; is_candidate(row); ++row) {
      const Function& function = yaql_functions().at(row);
      if (!usable(function) || !fit.fits(function, names_, omitted_)) continue;
      if (!evaluated_) TRY(evaluate(function, fit));
      if (!matches(function, fit)) continue;
      Args bound = bind(function, fit);
      TRY(eval_.meter.step());
      TRY(eval_.meter.scan(bound.text_bytes()));
      return function.run(eval_, bound);
    }
    if (!method_) return no_match(name_);
    return eval_error(fmt::format(
        "NoMatchingMethodException: No method \"{}\" for receiver of type '{}' matches supplied "
        "arguments",
        name_, python::type_name(receiver_)));
  }

 private:
  bool is_candidate(uint32_t row) const {
    return row < yaql_functions().size() && yaql_functions().at(row).name == name_;
  }
  bool usable(const Function& function) const {
    return function.use == Use::Both || (function.use == Use::Method) == method_;
  }

  Error unknown() const {
    if (!method_) {
      return eval_error(
          fmt::format("NoFunctionRegisteredException: Unknown function \"{}\"", name_));
    }
    return eval_error(
        fmt::format("NoMethodRegisteredException: Unknown method \"{}\" for receiver of type '{}'",
                    name_, python::type_name(receiver_)));
  }

  // Parts the positional from the named arguments. Functions of one name agree on whether
  // `a => b` is a named argument.
  Result<void> prepare() {
    first_ = node_.a;
    while (is_candidate(first_) && !usable(yaql_functions().at(first_))) ++first_;
    if (!is_candidate(first_)) return unknown();
    bool no_kwargs = yaql_functions().at(first_).signature.no_kwargs;
    names_.resize(args_.size());
    omitted_.resize(args_.size());
    for (size_t i = 0; i < args_.size(); ++i) {
      nodes_.push_back(args_[i].node);
      omitted_[i] = args_[i].node == kNone;
      if (omitted_[i] || no_kwargs || tree_.node(nodes_[i]).op != Op::YaqlRule) continue;
      const Node& rule = tree_.node(nodes_[i]);
      const Node& source = tree_.node(rule.a);
      if (source.op != Op::Const || source.aux != 1) {
        return eval_error(
            "MappingTranslationException: Cannot convert mapping to keyword argument");
      }
      names_[i] = tree_.text(source.a);
      nodes_[i] = rule.b;
    }
    return {};
  }

  static Type type_of(const Function& function, const Fit& fit, size_t i) {
    size_t at = fit.target(i);
    return at == Fit::kUnknown ? Type::Any : function.signature.params[at].type;
  }

  // Once, in the way of the first function that fits: those that want other arguments lazy are no
  // match.
  Result<void> evaluate(const Function& function, const Fit& fit) {
    evaluated_ = true;
    values_.resize(args_.size());
    lazy_.resize(args_.size());
    for (size_t i = 0; i < args_.size(); ++i) {
      lazy_[i] = is_lazy(type_of(function, fit, i));
      if (omitted_[i]) continue;
      if (method_ && i == 0) {
        values_[i] = receiver_;
      } else if (lazy_[i]) {
        TRY(values_[i], eval_.lazy_argument(nodes_[i]));
      } else {
        TRY(values_[i], eval_.eval(nodes_[i]));
      }
    }
    return {};
  }

  bool matches(const Function& function, const Fit& fit) const {
    for (size_t i = 0; i < args_.size(); ++i) {
      if (omitted_[i]) continue;
      Type type = type_of(function, fit, i);
      if (lazy_[i] != is_lazy(type) || !accepts(type, values_[i])) return false;
    }
    return true;
  }

  Args bind(const Function& function, const Fit& fit) const {
    size_t fixed = function.signature.params.size() - (function.signature.varargs ? 1 : 0);
    Args bound;
    for (size_t i = 0; i < fixed; ++i) bound.push_missing();
    for (size_t i = 0; i < args_.size(); ++i) {
      size_t at = fit.target(i);
      if (omitted_[i]) continue;
      if (at == Fit::kUnknown) {
        bound.name(names_[i], values_[i]);
      } else if (at < fixed) {
        bound.give(at, values_[i]);
      } else {
        bound.push(values_[i]);
      }
    }
    return bound;
  }

  Evaluator& eval_;
  const Tree& tree_;
  const Node& node_;
  std::string_view name_;
  bool method_;
  std::span<const Arg> args_;
  uint32_t first_ = 0;
  Item receiver_;
  std::vector<NodeId> nodes_;
  std::vector<std::string_view> names_;
  std::vector<bool> omitted_;
  bool evaluated_ = false;
  std::vector<bool> lazy_;
  std::vector<Item> values_;
};

}  // namespace

Result<Item> Evaluator::yaql_call(const Node& node) { return Call(*this, node).run(); }

}  // namespace millrace::expr
