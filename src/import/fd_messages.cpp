// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "import/fd_tables.h"
#include "import/strace_value.h"

namespace iolens {

/// The fds that came with a message: SCM_RIGHTS, cmsg_data=[5, 6</srv/b>], or {5, 6} from strace before 4.19.
void FdTables::receive(const LoggedCall& call, Task& of) {
    const std::string_view text = call.all_arguments;
    constexpr std::string_view mark = "SCM_RIGHTS";
    for (std::size_t at = find_outside(text, mark); at != std::string_view::npos; at = find_outside(text, mark, at)) {
        at += mark.size();
        std::string_view rest = text.substr(at);
        if (!take_word(rest, ", ")) continue;
        take_word(rest, "cmsg_data=");
        if (!rest.starts_with('[') && !rest.starts_with('{')) continue;
        rest.remove_prefix(1);
        while (!rest.empty() && digit(rest[0])) {
            const std::string_view argument = rest;
            const auto fd = leading_number(argument);
            const std::string_view shown = file_behind_fd(argument);
            std::size_t end = 0;
            while (end < rest.size() && rest[end] != ',' && rest[end] != ']' && rest[end] != '}' && rest[end] != '<')
                ++end;
            if (end < rest.size() && rest[end] == '<') end = std::min(behind_angles(rest, end), rest.size());
            rest.remove_prefix(end);
            skip_blanks(rest);
            if (rest.starts_with("(deleted)")) rest.remove_prefix(9);
            if (take_word(rest, ",")) skip_blanks(rest);
            if (!fd) continue;
            // without -y: something new, of which nothing is known
            of.fds->take(static_cast<int>(*fd));
            if (shown.empty()) continue;
            LoggedFile file = shown_file(shown, shown_as_deleted(argument));
            file.open_id = ++opened_;
            of.fds->set(static_cast<int>(*fd),
                        {std::make_shared<LoggedFile>(std::move(file)),
                         call.arguments.size() > 1 &&
                             has_flag(call.argument(call.arguments.size() == 5 ? 3 : 2), "CMSG_CLOEXEC", 0x40000000)});
        }
    }
}

}  // namespace iolens
