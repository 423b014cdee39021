// SPDX-License-Identifier: Apache-2.0
#include "services/api/docs_page.h"

#include <fmt/format.h>

namespace millrace::api {
namespace {

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Millrace API</title><style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem }
code { font: 13px ui-monospace, monospace }
section { border-top: 1px solid #8884; padding: .6rem 0 }
table { border-collapse: collapse; margin: .3rem 0 0 1.5rem }
td { padding: .1rem .8rem .1rem 0; vertical-align: top }
h2 { font-size: 1rem; margin: 0 } .note { color: #777 }
@media (prefers-color-scheme: dark) { body { background: #161616; color: #ddd } }
</style></head><body><h1>Millrace API</h1>
<p>The machine-readable form is <code>/api/v1/openapi.json</code>. Send the token as
<code>Authorization: Bearer TOKEN</code>. Errors are <code>application/problem+json</code>.</p>
)";

std::string escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string_view access_text(const Access& access) {
  switch (access.kind()) {
    case Access::Kind::Permission: return auth::to_string(access.permission());
    case Access::Kind::AnyToken: return "any token";
    case Access::Kind::Signature: return "signature, or events:send";
    case Access::Kind::Open: return "everybody";
    case Access::Kind::Undeclared: break;
  }
  return "";
}

void append_fields(std::string& out, std::string_view title, const Fields* fields) {
  if (!fields) return;
  out += fmt::format("<table><tr><td class=note>{}</td></tr>\n", title);
  for (const auto& line : fields->lines()) {
    out += fmt::format("<tr><td><code>{}</code></td><td>{}{}</td></tr>\n", line.name,
                       escape(line.doc), line.is_required ? " <i>required</i>" : "");
  }
  out += "</table>\n";
}

}  // namespace

std::string docs_page(const std::vector<Route>& routes) {
  std::string out(kHead);
  for (const auto& route : routes) {
    out += fmt::format("<section id={}><h2><code>{} {}</code></h2>{} <span class=note>{}</span>\n",
                       route.name, route.method, route.pattern, escape(route.summary),
                       access_text(route.access));
    append_fields(out, "parameters", route.query);
    append_fields(out, "body", route.body);
    append_fields(out, "answer", route.answer);
    out += "</section>\n";
  }
  return out + "</body></html>\n";
}

}  // namespace millrace::api
