// SPDX-License-Identifier: Apache-2.0
// Does a program have the options that a document names?
#pragma once

#include <map>
#include <string>
#include <vector>

namespace iolens::test {

class Help {
public:
    /// Options and subcommands of a command line that its program does not have: "" or what is wrong. The command need
    /// not be complete. Knows iolens, cmake, and the programs of the source tree.
    std::string objection(const std::string& command);

    /// Is this an option of iolens or of a program of the source tree?
    bool has_option(const std::string& option);

private:
    std::string objection_to_one(const std::vector<std::string>& words);
    /// The help that describes the options of these words.
    std::string help_for(const std::vector<std::string>& words);
    /// What a command line prints, run once.
    const std::string& output_of(const std::string& line);

    std::map<std::string, std::string> outputs_;
};

}  // namespace iolens::test
