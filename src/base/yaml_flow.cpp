// SPDX-License-Identifier: Apache-2.0
#include "base/yaml_flow.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// Goes over the text line by line, as far as it has to know what a bracket is.
class FlowScan {
 public:
  FlowScan(std::string_view text, size_t most_levels, size_t most_nodes)
      : text_(text), most_levels_(most_levels), most_nodes_(most_nodes) {}

  std::optional<YamlFlow> run() {
    if (text_.starts_with("\xEF\xBB\xBF")) begin_line(at_ = 3);
    while (!is_end() && !fault_) read_line();
    return fault_;
  }

 private:
  bool is_end() const { return at_ >= text_.size(); }
  char here() const { return at_ < text_.size() ? text_[at_] : '\n'; }
  char next() const { return at_ + 1 < text_.size() ? text_[at_ + 1] : '\n'; }
  bool is_line_end() const { return here() == '\n'; }
  bool ends_indicator() const { return is_blank(next()) || next() == '\n'; }
  int column() const { return static_cast<int>(at_ - line_begin_); }

  void begin_line(size_t at) { line_begin_ = at; }
  void step() {
    if (is_line_end() && !is_end()) {
      ++line_;
      begin_line(at_ + 1);
    }
    ++at_;
  }
  void skip_blanks() {
    while (!is_end() && is_blank(here())) ++at_;
  }
  void skip_line() {
    at_ = std::min(text_.find('\n', at_), text_.size());
    step();
  }
  void fail(YamlFlow::Fault fault) { fault_ = YamlFlow{fault, line_}; }

  // A line outside of brackets.
  void read_line() {
    skip_blanks();
    if (is_line_end()) return skip_line();
    // What goes on here began further out.
    if (runs_on_ && column() > parent_) return skip_line();
    runs_on_ = false;
    if (column() == 0 && is_marker()) {
      parent_ = -1;
      at_ += 3;
      skip_blanks();
    } else if (column() == 0 && here() == '%') {
      return skip_line();
    }
    while (!fault_ && read_token()) skip_blanks();
    if (!fault_) skip_line();
  }

  bool is_marker() const {
    std::string_view mark = text_.substr(at_, 3);
    char behind = at_ + 3 < text_.size() ? text_[at_ + 3] : '\n';
    return (mark == "---" || mark == "...") && (is_blank(behind) || behind == '\n');
  }

  // False: nothing more of this line counts.
  bool read_token() {
    if (is_line_end() || here() == '#') return false;
    switch (here()) {
      case '-':
      case '?':
      case ':':
        if (!ends_indicator()) return read_plain();
        parent_ = column();
        ++at_;
        return true;
      case '&':
      case '*':
      case '!':
        while (!is_line_end() && !is_blank(here())) ++at_;
        return true;
      case '|':
      case '>': return !(runs_on_ = true);
      case '"':
      case '\'': {
        int begin = column(), line = line_;
        read_quoted();
        return read_colon(begin, line);
      }
      case '[':
      case '{': {
        int begin = column(), line = line_;
        read_flow();
        return !fault_ && read_colon(begin, line);
      }
      default: return read_plain();
    }
  }

  // What began there is a key if a colon follows.
  bool read_colon(int begin, int line) {
    skip_blanks();
    if (here() != ':' || !ends_indicator() || line != line_) return false;
    parent_ = begin;
    ++at_;
    return true;
  }

  bool read_plain() {
    int begin = column();
    for (; !is_line_end(); ++at_) {
      if (here() == ':' && ends_indicator()) return read_colon(begin, line_);
      if (is_blank(here()) && next() == '#') return false;
    }
    runs_on_ = true;
    return false;
  }

  void read_quoted() {
    char quote = here();
    for (++at_; !is_end(); step()) {
      if (here() == '\\' && quote == '"') {
        ++at_;
      } else if (here() == quote && quote == '\'' && next() == quote) {
        ++at_;
      } else if (here() == quote) {
        ++at_;
        return;
      }
    }
  }

  // From an opening bracket to the one that closes it.
  void read_flow() {
    size_t depth = 0;
    bool may_be_json_key = false;  // a colon may stand right behind it
    while (!is_end()) {
      char c = here();
      bool was_json = std::exchange(may_be_json_key, false);
      if (is_blank(c) || c == '\n' || c == ',') {
        may_be_json_key = was_json && c != ',';
        step();
      } else if (c == '[' || c == '{') {
        if (++depth >= most_levels_) return fail(YamlFlow::Fault::TooDeep);
        if (!count_node()) return;
        ++at_;
      } else if (c == ']' || c == '}') {
        ++at_;
        if (--depth == 0) return;
        may_be_json_key = true;
      } else if (c == '#') {
        skip_line();
      } else if (c == '"' || c == '\'') {
        if (!count_node()) return;
        read_quoted();
        may_be_json_key = true;
      } else if (c == '&' || c == '!' || c == '*') {
        if (c == '*' && !count_node()) return;
        while (!is_end() && !ends_word(here())) ++at_;
      } else if (c == '?' || (c == ':' && (was_json || ends_indicator() || ends_word(next())))) {
        ++at_;
      } else {
        if (!count_node()) return;
        read_plain_in_flow();
      }
    }
  }

  static bool ends_word(char c) { return is_blank(c) || std::string_view("\n,[]{}").contains(c); }

  void read_plain_in_flow() {
    for (; !is_end(); step()) {
      char c = here();
      if (std::string_view(",?[]{}").contains(c)) return;
      if (c == ':' && ends_word(next())) return;
      if ((is_blank(c) || c == '\n') && next() == '#') return;
    }
  }

  bool count_node() {
    if (++nodes_ <= most_nodes_) return true;
    fail(YamlFlow::Fault::TooMany);
    return false;
  }

  std::string_view text_;
  size_t most_levels_, most_nodes_;
  size_t at_ = 0;
  size_t line_begin_ = 0;
  int line_ = 1;
  int parent_ = -1;       // the column of the key or the dash whose value is read
  bool runs_on_ = false;  // lines further in than that belong to a scalar
  size_t nodes_ = 0;
  std::optional<YamlFlow> fault_;
};

}  // namespace

std::optional<YamlFlow> find_flow_fault(std::string_view text, size_t most_levels,
                                        size_t most_nodes) {
  return FlowScan(text, most_levels, most_nodes).run();
}

}  // namespace millrace
