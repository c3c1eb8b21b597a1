// SPDX-License-Identifier: Apache-2.0
// The layout of --help.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace iolens {

/// An option, a command or an example, and what it does.
struct HelpEntry {
    std::string name;
    std::string text;
};

struct HelpSection {
    std::string heading;
    std::vector<HelpEntry> entries;
};

/// The contents of --help for a command, in this order.
struct HelpPage {
    std::string about;
    std::vector<std::string> usage;  ///< one synopsis per line
    std::vector<HelpSection> sections;
    std::string_view examples;  ///< see Command::examples
};

/// The help text, with no line wider than `width` columns.
std::string help_text(const HelpPage& page, std::size_t width);

/// The columns of the terminal on standard output, but at least 40; 80 if it is not a terminal.
std::size_t help_width();

}  // namespace iolens
