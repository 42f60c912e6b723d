#include "coordinator/regex.h"

#include <new>
#include <re2/re2.h>

struct regex {
    RE2 re;
    regex(const re2::StringPiece &pattern, const RE2::Options &options) : re(pattern, options) {}
};

static const char *reason_of(RE2::ErrorCode code) {
    switch (code) {
    case RE2::ErrorBadEscape: return "invalid escape sequence";
    case RE2::ErrorBadCharClass: return "invalid character class";
    case RE2::ErrorBadCharRange: return "invalid character class range";
    case RE2::ErrorMissingBracket: return "missing closing ]";
    case RE2::ErrorMissingParen: return "missing closing )";
    case RE2::ErrorUnexpectedParen: return "regexp/syntax: internal error";
    case RE2::ErrorTrailingBackslash: return "trailing backslash at end of expression";
    case RE2::ErrorRepeatArgument: return "missing argument to repetition operator";
    case RE2::ErrorRepeatSize: return "invalid repeat count";
    case RE2::ErrorRepeatOp: return "invalid nested repetition operator";
    case RE2::ErrorBadPerlOp: return "invalid or unsupported Perl syntax";
    case RE2::ErrorBadUTF8: return "invalid UTF-8";
    case RE2::ErrorBadNamedCapture: return "invalid named capture";
    case RE2::ErrorPatternTooLarge: return "expression too large";
    default: return "regexp/syntax: internal error";
    }
}

struct regex *regex_create(const char *pattern, size_t size, const char **ret_reason) {
    RE2::Options options;
    options.set_log_errors(false);
    struct regex *regex = new (std::nothrow) struct regex(re2::StringPiece(pattern, size), options);
    if (regex && regex->re.ok())
        return regex;
    *ret_reason = regex ? reason_of(regex->re.error_code()) : "expression too large";
    delete regex;
    return nullptr;
}

bool regex_matches(const struct regex *regex, const char *text, size_t size) {
    return RE2::FullMatch(re2::StringPiece(text, size), regex->re);
}

void regex_destroy(struct regex *regex) {
    delete regex;
}
