// SPDX-License-Identifier: Apache-2.0
#include "expr/template.h"

#include <algorithm>

#include "expr/unicode.h"

namespace millrace::expr {

namespace {

// Goes from span to span. Linear in the whole: where the next closing mark and the next line end
// stand is searched again only behind the last one that was found.
class SpanFinder {
 public:
  SpanFinder(std::string_view text, std::string_view open, std::string_view close,
             bool across_lines)
      : text_(text), open_(open), close_(close), across_lines_(across_lines) {}

  std::optional<Span> next() {
    while ((at_ = text_.find(open_, at_)) != std::string_view::npos) {
      size_t inside = at_ + open_.size();
      size_t end = behind(inside, close_, close_at_);
      if (end == std::string_view::npos) return {};
      size_t line_end = across_lines_ ? text_.npos : behind(inside, "\n", line_end_);
      if (line_end < end + close_.size()) {
        at_ = line_end;
        continue;
      }
      Span span{at_, end + close_.size()};
      at_ = span.end;
      return span;
    }
    return {};
  }

 private:
  size_t behind(size_t from, std::string_view what, std::optional<size_t>& known) {
    if (!known || *known < from) known = text_.find(what, from);
    return *known;
  }

  std::string_view text_, open_, close_;
  bool across_lines_;
  size_t at_ = 0;
  std::optional<size_t> close_at_, line_end_;
};

}  // namespace

std::vector<Span> find_spans(std::string_view text, std::string_view open, std::string_view close,
                             bool across_lines) {
  std::vector<Span> spans;
  SpanFinder finder(text, open, close, across_lines);
  while (auto span = finder.next()) spans.push_back(*span);
  return spans;
}

bool has_span(std::string_view text, std::string_view open, std::string_view close,
              bool across_lines) {
  return SpanFinder(text, open, close, across_lines).next().has_value();
}

std::string_view strip_marks(std::string_view expression, Language language) {
  std::string_view marks = language == Language::Yaql ? "<%>" : "{}";
  return unicode::strip(unicode::strip(expression, marks, true, true), {}, true, true);
}

Language detect(std::string_view text, Mode mode) {
  if (text.find_first_of("{<") == std::string_view::npos) return Language::None;
  if (mode == Mode::Native) {
    bool jinja = text.find("{{") != text.npos || text.find("{%") != text.npos;
    if (jinja) return Language::Jinja;
    return has_span(text, "<%", "%>", true) ? Language::Yaql : Language::None;
  }
  if (has_span(text, "{{", "}}") || has_span(text, "{%", "%}")) return Language::Jinja;
  return has_span(text, "<%", "%>") ? Language::Yaql : Language::None;
}

namespace {

constexpr std::string_view kRaw = "{% raw %}";
constexpr std::string_view kEndRaw = "{% endraw %}";

class Compiler {
 public:
  Compiler(std::string_view text, Mode mode, Language language)
      : program_(std::make_unique<Program>()) {
    program_->text = text;
    program_->mode = mode;
    program_->language = language;
  }

  Result<std::unique_ptr<const Program>> run() {
    bool native = program_->mode == Mode::Native;
    if (program_->language == Language::Yaql) {
      TRY(segments("<%", "%>"));
    } else if (program_->language == Language::Jinja && native) {
      TRY(native_jinja());
    } else if (program_->language == Language::Jinja) {
      TRY(orquesta_jinja());
    }
    program_->reads = reads_of(*program_);
    return std::unique_ptr<const Program>(std::move(program_));
  }

 private:
  Result<NodeId> parse(std::string_view expression) {
    std::string_view inner = strip_marks(expression, program_->language);
    if (program_->language == Language::Yaql) {
      return parse_yaql(program_->tree, inner, program_->mode);
    }
    return parse_jinja_expression(program_->tree, inner, program_->mode);
  }

  Result<void> segments(std::string_view open, std::string_view close) {
    std::string_view text = program_->text;
    size_t at = 0;
    for (const Span& span : find_spans(text, open, close, program_->mode == Mode::Native)) {
      if (span.begin > at) literal(text.substr(at, span.begin - at));
      Segment segment{.text = std::string(span.of(text))};
      auto root = parse(segment.text);
      if (root.ok()) {
        segment.root = *root;
      } else if (program_->mode == Mode::Orquesta) {
        segment.error = root.error();
      } else {
        return std::move(root).error().with_context("expression '" + segment.text + "'");
      }
      program_->segments.push_back(std::move(segment));
      at = span.end;
    }
    if (at < text.size()) literal(text.substr(at));
    return {};
  }
  void literal(std::string_view text) { program_->segments.push_back({.text = std::string(text)}); }

  Result<void> orquesta_jinja() {
    std::string_view text = program_->text;
    for (const Span& span : find_spans(text, kRaw, kEndRaw)) {
      program_->raw_blocks.emplace_back(span.of(text));
    }
    if (!program_->raw_blocks.empty()) return {};  // the evaluation takes them out first
    if (!has_span(text, "{%", "%}")) return segments("{{", "}}");
    auto body = parse_jinja_template(program_->tree, text, program_->mode);
    if (body.ok()) {
      program_->body = *body;
    } else {
      program_->error = body.error();
    }
    return {};
  }

  Result<void> native_jinja() {
    auto body = parse_jinja_template(program_->tree, program_->text, program_->mode);
    if (!body.ok()) {
      constexpr size_t kShown = 200;
      std::string shown = program_->text.substr(0, kShown);
      if (program_->text.size() > kShown) shown += "...";
      return std::move(body).error().with_context("template '" + shown + "'");
    }
    // A text that is one expression keeps its type.
    const Node& root = program_->tree.node(*body);
    auto parts = program_->tree.args_of(root);
    if (parts.size() == 1 && program_->tree.node(parts[0].node).op == Op::Print) {
      program_->segments.push_back(
          {.text = program_->text, .root = program_->tree.node(parts[0].node).a});
    } else {
      program_->body = *body;
    }
    return {};
  }

  std::unique_ptr<Program> program_;
};

}  // namespace

Result<std::unique_ptr<const Program>> compile_program(std::string_view text, Mode mode,
                                                       Language language) {
  constexpr size_t kMaxText = 4 << 20;
  Language chosen = language == Language::None ? detect(text, mode) : language;
  if (chosen != Language::None && text.size() > kMaxText) {
    return syntax_error("a template is longer than 4 MiB");
  }
  return Compiler(text, mode, chosen).run();
}

}  // namespace millrace::expr
