// SPDX-License-Identifier: Apache-2.0
#include "services/api/router.h"

#include <fmt/format.h>

namespace millrace::api {
namespace {

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

// Takes the first segment off a path that starts with '/'.
std::string_view take_segment(std::string_view& path) {
  path.remove_prefix(1);
  auto segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

}  // namespace

std::vector<std::string_view> parameter_names(std::string_view pattern) {
  std::vector<std::string_view> names;
  while (!pattern.empty()) {
    auto segment = take_segment(pattern);
    if (is_parameter(segment)) names.push_back(segment.substr(1, segment.size() - 2));
  }
  return names;
}

Result<Router> Router::create(std::vector<Route> routes) {
  Router router(std::move(routes));
  std::vector<Problem> problems;
  for (uint32_t i = 0; i < router.routes_.size(); ++i) {
    const auto& route = router.routes_[i];
    if (auto problem = router.insert(i); !problem.empty()) {
      problems.push_back({fmt::format("{} {}", route.method, route.pattern), std::move(problem)});
    }
  }
  if (problems.empty()) return router;
  return Error(ErrorKind::Internal, "API-0001", "the route table is not valid")
      .with_problems(std::move(problems));
}

// What is wrong with the route, or "".
std::string Router::insert(uint32_t index) {
  const auto& route = routes_[index];
  if (route.access.kind() == Access::Kind::Undeclared) return "no access is declared";
  if (std::holds_alternative<std::monostate>(route.handler)) return "it has no handler";
  bool by_signature = route.access.kind() == Access::Kind::Signature;
  if (by_signature != (route.head_check != nullptr)) return "a signature needs a head check";
  if (!route.pattern.starts_with('/')) return "the pattern must start with '/'";
  if (parameter_names(route.pattern).size() > PathParams::kMax) return "too many parameters";
  if (route.body && route.body_form != BodyForm::Json) return "a body struct needs BodyForm::Json";
  uint32_t node = 0;
  for (auto rest = route.pattern; !rest.empty();) node = child(node, take_segment(rest));
  if (route.takes_rest) nodes_[node].takes_rest = true;
  for (auto other : nodes_[node].routes) {
    if (routes_[other].method == route.method) return "it stands twice";
  }
  nodes_[node].routes.push_back(index);
  return {};
}

uint32_t Router::child(uint32_t node, std::string_view segment) {
  auto added = static_cast<uint32_t>(nodes_.size());
  if (is_parameter(segment)) {
    if (nodes_[node].parameter != 0) return nodes_[node].parameter;
    nodes_[node].parameter = added;
  } else {
    for (auto [name, next] : nodes_[node].literals) {
      if (name == segment) return next;
    }
    nodes_[node].literals.emplace_back(segment, added);
  }
  nodes_.emplace_back();
  return added;
}

// A literal segment goes before a parameter.
const Router::Node* Router::walk(uint32_t node, std::string_view rest, PathParams& params) const {
  const auto& here = nodes_[node];
  if (rest.empty()) return here.routes.empty() ? nullptr : &here;
  auto segment = take_segment(rest);
  for (auto [name, next] : here.literals) {
    if (name != segment) continue;
    if (const auto* found = walk(next, rest, params)) return found;
  }
  if (here.parameter == 0 || segment.empty() || params.count == PathParams::kMax) return nullptr;
  if (nodes_[here.parameter].takes_rest) {
    params.values[params.count++] = {segment.data(), segment.size() + rest.size()};
    return &nodes_[here.parameter];
  }
  params.values[params.count++] = segment;
  const auto* found = walk(here.parameter, rest, params);
  if (!found) --params.count;
  return found;
}

RouteMatch Router::find(std::string_view method, std::string_view path) const {
  RouteMatch match;
  if (!path.starts_with('/')) return match;
  const auto* node = walk(0, path, match.params);
  if (!node) return match;
  for (auto index : node->routes) {
    if (routes_[index].method == method) match.route = &routes_[index];
  }
  if (match.route) return match;
  for (auto index : node->routes) {
    if (!match.allowed.empty()) match.allowed += ", ";
    match.allowed += routes_[index].method;
  }
  return match;
}

}  // namespace millrace::api
