#include "coordinator/regex.h"

#include <new>
#include <re2/re2.h>
#include <string>

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

/* (?<name>...) as (?P<name>...), which says the same: the library knows only this. And how many groups have names. */
static std::string with_old_names(const re2::StringPiece &pattern, size_t *ret_names) {
    std::string out;
    *ret_names = 0;
    bool in_class = false, in_quotes = false; /* [...], \Q...\E */
    for (size_t i = 0; i < pattern.size(); i++) {
        char c = pattern[i], next = i + 1 < pattern.size() ? pattern[i + 1] : 0;
        out += c;
        if (in_quotes) {
            in_quotes = !(c == '\\' && next == 'E');
        } else if (c == '\\' && next) {
            in_quotes = next == 'Q' && !in_class;
            out += next;
            i++;
        } else if (in_class) {
            in_class = c != ']';
        } else if (c == '[') { /* a ] that comes first is one of the class */
            in_class = true;
            if (next == '^')
                out += pattern[++i];
            if (i + 1 < pattern.size() && pattern[i + 1] == ']')
                out += pattern[++i];
        } else if (c == '(' && next == '?' && i + 2 < pattern.size() && pattern[i + 2] == '<') {
            out += "?P";
            i++;
            ++*ret_names;
        } else if (c == '(' && next == '?' && i + 3 < pattern.size() && pattern[i + 2] == 'P' && pattern[i + 3] == '<') {
            ++*ret_names;
        }
    }
    return out;
}

struct regex *regex_create(const char *pattern, size_t size, const char **ret_reason) {
    RE2::Options options;
    options.set_log_errors(false);
    size_t names;
    std::string text = with_old_names(re2::StringPiece(pattern, size), &names);
    struct regex *regex = new (std::nothrow) struct regex(text, options);
    if (regex && regex->re.ok() && names <= regex->re.NamedCapturingGroups().size())
        return regex;
    *ret_reason = !regex            ? "expression too large"
                  : regex->re.ok() ? "duplicate capture group name"
                                   : reason_of(regex->re.error_code());
    delete regex;
    return nullptr;
}

bool regex_matches(const struct regex *regex, const char *text, size_t size) {
    return RE2::FullMatch(re2::StringPiece(text, size), regex->re);
}

void regex_destroy(struct regex *regex) {
    delete regex;
}
