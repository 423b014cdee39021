// SPDX-License-Identifier: Apache-2.0
#include "base/yaml_scalar.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"

namespace millrace {
namespace {

// JSON, but `.nan` and `.inf` as YAML has them.
std::string shown(const Value& value) {
  if (!value.is_float() || std::isfinite(value.as_float())) return to_json(value);
  if (std::isnan(value.as_float())) return ".nan";
  return value.as_float() < 0 ? "-.inf" : ".inf";
}

// What yaml.safe_load of PyYAML 6.0 gives, dates as text.
TEST(YamlScalar, StandsForWhatPyYamlTakesItFor) {
  struct Case {
    const char* text;
    const char* value;
  };
  const Case cases[] = {
      {"yes", R"(true)"},
      {"Yes", R"(true)"},
      {"YES", R"(true)"},
      {"no", R"(false)"},
      {"No", R"(false)"},
      {"NO", R"(false)"},
      {"true", R"(true)"},
      {"True", R"(true)"},
      {"TRUE", R"(true)"},
      {"false", R"(false)"},
      {"False", R"(false)"},
      {"FALSE", R"(false)"},
      {"on", R"(true)"},
      {"On", R"(true)"},
      {"ON", R"(true)"},
      {"off", R"(false)"},
      {"Off", R"(false)"},
      {"OFF", R"(false)"},
      {"yEs", R"("yEs")"},
      {"y", R"("y")"},
      {"n", R"("n")"},
      {"~", R"(null)"},
      {"null", R"(null)"},
      {"Null", R"(null)"},
      {"NULL", R"(null)"},
      {"nul", R"("nul")"},
      {"0", R"(0)"},
      {"-0", R"(0)"},
      {"+0", R"(0)"},
      {"7", R"(7)"},
      {"-7", R"(-7)"},
      {"+7", R"(7)"},
      {"12", R"(12)"},
      {"1_000", R"(1000)"},
      {"-1_000", R"(-1000)"},
      {"1__0", R"(10)"},
      {"1_", R"(1)"},
      {"_1", R"("_1")"},
      {"0_", R"(0)"},
      {"00", R"(0)"},
      {"017", R"(15)"},
      {"-017", R"(-15)"},
      {"+017", R"(15)"},
      {"0_17", R"(15)"},
      {"018", R"("018")"},
      {"089", R"("089")"},
      {"0o17", R"("0o17")"},
      {"0x1F", R"(31)"},
      {"0xff", R"(255)"},
      {"-0xff", R"(-255)"},
      {"+0x_1F", R"(31)"},
      {"0X1F", R"("0X1F")"},
      {"0xG", R"("0xG")"},
      {"0b101", R"(5)"},
      {"-0b1_1", R"(-3)"},
      {"0b2", R"("0b2")"},
      {"0B1", R"("0B1")"},
      {"9223372036854775807", R"(9223372036854775807)"},
      {"-9223372036854775808", R"(-9223372036854775808)"},
      {"1:30", R"(90)"},
      {"-1:30", R"(-90)"},
      {"+1:30", R"(90)"},
      {"1:30:00", R"(5400)"},
      {"1:5", R"(65)"},
      {"1:60", R"("1:60")"},
      {"01:30", R"("01:30")"},
      {"0:30", R"("0:30")"},
      {"190:20:30", R"(685230)"},
      {"1_0:30", R"(630)"},
      {":30", R"(":30")"},
      {"12:30:45", R"(45045)"},
      {"1.", R"(1.0)"},
      {"1.5", R"(1.5)"},
      {"-1.5", R"(-1.5)"},
      {"+1.5", R"(1.5)"},
      {"1.50", R"(1.5)"},
      {"1_0.5_0", R"(10.5)"},
      {"0.5", R"(0.5)"},
      {".5", R"(0.5)"},
      {"-.5", R"("-.5")"},
      {"+.5", R"("+.5")"},
      {"._5", R"("._5")"},
      {".5_", R"(0.5)"},
      {".", R"(".")"},
      {"..", R"("..")"},
      {"1.2.3", R"("1.2.3")"},
      {"1e3", R"("1e3")"},
      {"1E3", R"("1E3")"},
      {"1e+3", R"("1e+3")"},
      {"1.e+3", R"(1000.0)"},
      {"1.5e3", R"("1.5e3")"},
      {"1.5e+3", R"(1500.0)"},
      {"1.5E-3", R"(0.0015)"},
      {"1.5e+", R"("1.5e+")"},
      {".5e3", R"(".5e3")"},
      {".5e+3", R"(500.0)"},
      {".5e-3", R"(0.0005)"},
      {"-.5e+3", R"("-.5e+3")"},
      {"0.0", R"(0.0)"},
      {"1:30.5", R"(90.5)"},
      {"-1:30.5", R"(-90.5)"},
      {"0:30.5", R"(30.5)"},
      {"01:30.", R"(90.0)"},
      {"1:30._5", R"(90.5)"},
      {"1:60.5", R"("1:60.5")"},
      {".inf", R"(.inf)"},
      {".Inf", R"(.inf)"},
      {".INF", R"(.inf)"},
      {"-.inf", R"(-.inf)"},
      {"+.inf", R"(.inf)"},
      {".iNf", R"(".iNf")"},
      {"inf", R"("inf")"},
      {".nan", R"(.nan)"},
      {".NaN", R"(.nan)"},
      {".NAN", R"(.nan)"},
      {"-.nan", R"("-.nan")"},
      {"+.nan", R"("+.nan")"},
      {"nan", R"("nan")"},
      {"2014-01-01", R"("2014-01-01")"},
      {"2014-1-1", R"("2014-1-1")"},
      {"2001-12-14t21:59:43.10-05:00", R"("2001-12-14t21:59:43.10-05:00")"},
      {"2014-01-01T00:00:00Z", R"("2014-01-01T00:00:00Z")"},
      {"+", R"("+")"},
      {"--", R"("--")"},
      {"-a", R"("-a")"},
      {"1a", R"("1a")"},
      {"1-2", R"("1-2")"},
      {"1,000", R"("1,000")"},
      {"$1", R"("$1")"},
      {"a:b", R"("a:b")"},
      {"=", R"("=")"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(shown(resolve_yaml_scalar(c.text)), c.value) << c.text;
  }
}

TEST(YamlScalar, IsATextWherePyYamlFails) {
  for (const char* text : {"0x_", "0b_", "-0b__"}) {
    EXPECT_EQ(resolve_yaml_scalar(text), Value(text));
  }
}

TEST(YamlScalar, GoesOnAsAFloatBeyond64Bits) {
  EXPECT_EQ(resolve_yaml_scalar("9223372036854775808"), Value(9223372036854775808.0));
  EXPECT_EQ(resolve_yaml_scalar("-0x8000000000000001"), Value(-9223372036854775809.0));
  EXPECT_EQ(resolve_yaml_scalar("-9223372036854775808:30"), Value(-553402322211286548510.0));
  EXPECT_EQ(shown(resolve_yaml_scalar("1.0e+999")), ".inf");
  EXPECT_EQ(shown(resolve_yaml_scalar("1.0e-999")), "0.0");
}

TEST(YamlScalar, TellsDatesFromOtherTexts) {
  EXPECT_EQ(yaml_scalar_kind("2014-01-01"), YamlScalar::Timestamp);
  EXPECT_EQ(yaml_scalar_kind("2001-12-14 21:59:43.10 -5"), YamlScalar::Timestamp);
  EXPECT_EQ(yaml_scalar_kind("2014-1-1"), YamlScalar::String);
}

}  // namespace
}  // namespace millrace
