// SPDX-License-Identifier: Apache-2.0
#include "import/strace_call.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "import/name_map.h"
#include "import/strace_value.h"

namespace iolens {
namespace {

constexpr std::array<bool, 256> name_chars = [] {
    std::array<bool, 256> are{};
    for (std::size_t c = 0; c < are.size(); ++c) {
        are.at(c) = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    }
    return are;
}();

bool name_char(char c) { return name_chars[static_cast<unsigned char>(c)]; }

/// True if the < at this offset opens what -y prints: then it follows a number or AT_FDCWD; "1<<3" is a shift.
bool opens_angles(std::string_view text, std::size_t at) {
    if (at == 0 || at + 1 >= text.size() || text[at + 1] == '<') return false;
    const char before = text[at - 1];
    // an fd of -X raw may be hexadecimal
    return digit(before) || (before >= 'a' && before <= 'f' && text.substr(0, at).rfind("0x") + 4 > at) ||
           text.substr(0, at).ends_with("AT_FDCWD");
}

constexpr std::size_t deepest = 64;

/// The characters that take_arguments() looks at.
constexpr std::array<bool, 256> separators = [] {
    std::array<bool, 256> are{};
    for (const char c : std::string_view("\"<([{/)]},")) are.at(static_cast<unsigned char>(c)) = true;
    return are;
}();

/// Without the name that -N prints before it: "3" of "fd=3".
std::string_view without_name(std::string_view item) {
    std::size_t at = 0;
    while (at < item.size() && name_char(item[at])) ++at;
    if (at == 0 || at >= item.size() || item[at] != '=' || digit(item[0])) return item;
    return item.substr(at + 1);
}

/// Splits "arguments)" from `at`. Returns the offset after the closing parenthesis, npos if there is none: `arguments`
/// then has those before the end of the text.
std::size_t take_arguments(std::string_view text, std::size_t at, ArgumentViews& arguments) {
    constexpr std::size_t none = std::string_view::npos;
    std::array<char, deepest> closing{};
    std::size_t depth = 0;
    std::size_t begin = at;
    const auto end_of_one = [&](std::size_t end) {
        std::string_view item = text.substr(begin, end - begin);
        skip_blanks(item);
        cut_blanks(item);
        if (!item.empty() || !arguments.empty()) arguments.push_back(without_name(item));
    };
    const auto open = [&](char c) {
        if (depth == closing.size()) return false;
        closing.at(depth++) = c;
        return true;
    };
    while (at < text.size()) {
        const char c = text[at];
        if (!separators[static_cast<unsigned char>(c)]) {
            ++at;
            continue;
        }
        switch (c) {
            case '"':
                at = behind_quotes(text, at);
                if (at == none) return at;
                continue;
            case '<':
                if (opens_angles(text, at)) {
                    at = behind_angles(text, at);
                    if (at == none) return at;
                    continue;
                }
                break;
            case '(':
                if (!open(')')) return none;
                break;
            case '[':
                if (!open(']')) return none;
                break;
            case '{':
                if (!open('}')) return none;
                break;
            case '/':
                if (text.substr(at).starts_with("/*")) {
                    at = text.find("*/", at);
                    if (at == none) return at;
                }
                break;
            case ')':
            case ']':
            case '}':
                if (depth == 0) {
                    if (c != ')') return none;
                    end_of_one(at);
                    return at + 1;
                }
                if (closing.at(depth - 1) == c) --depth;
                break;
            case ',':
                if (depth == 0) {
                    end_of_one(at);
                    begin = at + 1;
                }
                break;
            default: break;
        }
        ++at;
    }
    if (depth == 0 && begin < text.size()) end_of_one(text.size());
    return none;
}

int errno_of(std::string_view name) {
    static const NameMap<int> errors = [] {
        NameMap<int> all{{"ERESTARTSYS", 512}, {"ERESTARTNOINTR", 513},        {"ERESTARTNOHAND", 514},
                         {"ENOTSUPP", 524},    {"ERESTART_RESTARTBLOCK", 516}, {"EWOULDBLOCK", EAGAIN}};
        for (int error = 1; error < 256; ++error) {
            const char* word = ::strerrorname_np(error);
            if (word != nullptr) all.add(word, error);
        }
        return all;
    }();
    const int* error = errors.find(name);
    return error == nullptr ? 0 : *error;
}

/// The errno of "ENOENT (No such file or directory)" or "errno 524 (Unknown error 524)".
int error_in(std::string_view trailer) {
    if (take_word(trailer, "errno ")) return static_cast<int>(leading_number(trailer).value_or(0));
    return errno_of(trailer.substr(0, trailer.find(' ')));
}

/// Takes the duration that -T prints at the end: "<0.000012>", "<0>".
void take_duration(std::string_view& rest, LoggedCall& call) {
    if (!rest.ends_with('>')) return;
    const std::size_t open = rest.rfind('<');
    if (open == std::string_view::npos || open == 0 || rest[open - 1] != ' ') return;
    std::string_view seconds = rest.substr(open + 1);
    const std::optional<u64> whole = take_digits(seconds);
    if (!whole || *whole >= 1'000'000'000) return;
    const std::optional<u64> fraction = take_fraction(seconds);
    if (seconds != ">") return;
    call.duration_ns = *whole * 1'000'000'000 + fraction.value_or(0);
    rest = rest.substr(0, open);
    cut_blanks(rest);
}

/// Parses "= -1 ENOENT (No such file or directory) <0.000012>".
bool take_result(std::string_view rest, LoggedCall& call) {
    skip_blanks(rest);
    if (!take_word(rest, "=")) return false;
    skip_blanks(rest);
    cut_blanks(rest);
    take_duration(rest, call);
    const std::size_t end = std::min(rest.find_first_of(" <"), rest.size());
    call.result_text = rest.substr(0, end);
    if (take_word(rest, "?")) {
        skip_blanks(rest);
        call.trailer = rest;
        call.error = errno_of(rest.substr(0, rest.find(' ')));
        return true;
    }
    const std::optional<s64> number = leading_number(rest);
    if (!number) return false;
    call.has_result = true;
    call.result = *number;
    call.result_file = file_behind_fd(rest);
    call.trailer = rest.substr(end);
    skip_blanks(call.trailer);
    // with -X raw, a failed call has its errno as a negative number: "-0x9"
    constexpr s64 last_errno = 4095;
    if (*number == -1) {
        call.error = error_in(call.trailer);
    } else if (*number < 0 && *number >= -last_errno && call.result_text.starts_with('-')) {
        call.error = static_cast<int>(-*number);
        call.result = -1;
    }
    return true;
}

}  // namespace

std::size_t call_name_length(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size() && name_char(text[at])) ++at;
    return at < text.size() && text[at] == '(' && at != 0 && !digit(text[0]) ? at : 0;
}

bool LoggedCall::parse_begin() {
    const std::size_t at = call_name_length(text);
    if (at == 0) return false;
    name = text.substr(0, at);
    arguments.clear();
    all_arguments = text.substr(at + 1);
    take_arguments(text, at + 1, arguments);
    return true;
}

bool LoggedCall::parse() {
    const std::size_t at = call_name_length(text);
    if (at == 0) return false;
    name = text.substr(0, at);
    arguments.clear();
    const std::size_t end = take_arguments(text, at + 1, arguments);
    if (end == std::string_view::npos) return false;
    all_arguments = text.substr(at + 1, end - at - 2);
    // "<... futex resumed> <unfinished ...>) = ?" of a thread that was killed
    if (all_arguments.ends_with('>') && all_arguments.ends_with("<unfinished ...>")) all_arguments.remove_suffix(16);
    cut_blanks(all_arguments);
    return take_result(text.substr(end), *this);
}

void LoggedCall::own() {
    comm = {};
    if (owner) return;
    owner = std::make_shared<const std::string>(text);
    const auto move = [from = text.data(), to = owner->data()](std::string_view& view) {
        view = view.empty() ? std::string_view() : std::string_view(to + (view.data() - from), view.size());
    };
    for (std::string_view& argument : arguments) move(argument);
    for (std::string_view* view : {&name, &all_arguments, &result_text, &result_file, &trailer}) move(*view);
    text = *owner;
}

u32 returned_pid(const LoggedCall& call) {
    if (call.result <= 0) return 0;
    std::string_view trailer = call.trailer;
    if (take_word(trailer, "/* ") && trailer.find("in strace's PID NS") != std::string_view::npos) {
        return static_cast<u32>(take_digits(trailer).value_or(0));
    }
    return static_cast<u32>(call.result);
}

bool is_fd_itself(const LoggedCall& logged) {
    if (leading_number(logged.argument(0)).value_or(-1) < 0) return false;
    const std::string_view path = logged.argument(1);
    if (path == "NULL" && logged.name == "utimensat") return true;
    return (path == "\"\"" || path == "NULL") && logged.all_arguments.find("AT_EMPTY_PATH") != std::string::npos;
}

}  // namespace iolens
