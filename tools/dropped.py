# SPDX-License-Identifier: Apache-2.0
"""Finds results whose failure is dropped: `if (x.ok()) use(x);` and nothing for the other case.

The other case is told by an else, by leaving (return, throw, break, continue) at the end of the
branch, or by a look at the same result in the rest of its function: `x.error()`, `!x.ok()`, TRY,
ASSERT, or the whole result returned or given to a function. Where it is right to go on without, a comment above or beside says `may fail: why`.
"""
import re

BLANK = re.compile(
    r'R"([^\s()\\]{0,16})\(.*?\)\1"'          # raw text
    r'|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)+\''
    r"|//[^\n]*|/\*.*?\*/",
    re.S,
)
IF = re.compile(r"\bif\s*(?:constexpr\s*)?\(")
OK = re.compile(r"(?P<not>!\s*)?(?P<name>\w+(?:(?:\.|->)\w+|\[\w+\])*)\s*\.\s*ok\(\)")
LEAVES = re.compile(r"\b(?:return|co_return|throw|break|continue)\b[^;]*;\s*\}?\s*$")
WAIVER = re.compile(r"may fail: \S")


def blanked(text):
    """`text` without strings and comments, each character in its place. Digit separators stay."""
    def space(match):
        found = match.group(0)
        if found.startswith("'") and text[match.start() - 1].isalnum():
            return found
        return re.sub(r"[^\n]", " ", found)
    return BLANK.sub(space, text)


def closing(text, at):
    """The place behind the bracket that closes the one at `at`."""
    pairs = {"(": ")", "{": "}", "[": "]"}
    depth = 0
    for i in range(at, len(text)):
        if text[i] in pairs:
            depth += 1
        elif text[i] in pairs.values():
            depth -= 1
            if depth == 0:
                return i + 1
    return len(text)


def statement_end(text, at):
    """The place behind the statement that begins at `at`."""
    while at < len(text) and text[at].isspace():
        at += 1
    if text[at : at + 1] == "{":
        return closing(text, at)
    head = re.compile(r"(?:if|for|while|switch)\s*(?:constexpr\s*)?\(").match(text, at)
    if head:
        end = statement_end(text, closing(text, head.end() - 1))
        tail = re.compile(r"\s*else\b").match(text, end)
        return statement_end(text, tail.end()) if tail else end
    while at < len(text):
        if text[at] in "({[":
            at = closing(text, at)
        elif text[at] == ";":
            return at + 1
        else:
            at += 1
    return at


def function_around(text, at):
    """The span of the function that holds `at`: it ends at a bracket at the left margin, or at one
    of a member function's depth that a blank line follows."""
    begin = max(text.rfind("\n}", 0, at), text.rfind("\n  }\n\n", 0, at), 0)
    ends = [i for i in (text.find("\n}", at), text.find("\n  }\n\n", at)) if i >= 0]
    return begin, min(ends, default=len(text))


def dropped(text):
    """Yields (line, name) for each result whose failure nobody looks at."""
    lines = text.split("\n")
    code = blanked(text)
    for match in IF.finditer(code):
        close = closing(code, match.end() - 1)
        condition = code[match.end() : close - 1]
        for ok in OK.finditer(condition):
            if ok["not"]:
                continue
            end = statement_end(code, close)
            if re.compile(r"\s*else\b").match(code, end) or LEAVES.search(code[close:end]):
                continue
            name = re.escape(ok["name"])
            begin, function_end = function_around(code, match.start())
            rest = code[begin : match.start()] + code[end:function_end]
            if re.search(rf"\b{name}\s*\)?\s*\.\s*error\(\)|!\s*{name}\b|"
                         rf"(?:\breturn\s+|[(,]\s*)(?:std::move\()?{name}\s*[,);]|"
                         rf"(?:ASSERT\w*|TRY)\([^;]*\b{name}\b", rest):
                continue
            number = code.count("\n", 0, match.start())
            last = code.count("\n", 0, close)
            if WAIVER.search("\n".join(lines[max(number - 2, 0) : last + 2])):
                continue
            yield number + 1, ok["name"]
