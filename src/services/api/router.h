// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <vector>

#include "services/api/route.h"

namespace millrace::api {

// The values of `{...}` in a pattern, in its order; views into the path.
struct PathParams {
  static constexpr size_t kMax = 2;
  std::array<std::string_view, kMax> values;
  size_t count = 0;
};

struct RouteMatch {
  const Route* route = nullptr;
  PathParams params;
  // When the path exists but not with this method: the methods that it has, "GET, PUT".
  std::string allowed;
};

// Finds the route of a path: a tree by segments, without regular expressions. Read-only once
// made.
class Router {
 public:
  // Errors: Internal, API-0001, naming each route that has no access, no handler, or stands twice.
  static Result<Router> create(std::vector<Route> routes);

  RouteMatch find(std::string_view method, std::string_view path) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Node {
    std::vector<std::pair<std::string_view, uint32_t>> literals;
    uint32_t parameter = 0;   // 0: none (the root is nobody's child)
    bool takes_rest = false;  // a parameter with all that follows
    std::vector<uint32_t> routes;
  };

  explicit Router(std::vector<Route> routes) : routes_(std::move(routes)), nodes_(1) {}
  std::string insert(uint32_t index);
  uint32_t child(uint32_t node, std::string_view segment);
  const Node* walk(uint32_t node, std::string_view rest, PathParams& params) const;

  std::vector<Route> routes_;
  std::vector<Node> nodes_;
};

// The names in a pattern's braces, in order.
std::vector<std::string_view> parameter_names(std::string_view pattern);

}  // namespace millrace::api
