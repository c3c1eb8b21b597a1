// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <stdexcept>

#include "run.h"

template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace iolens::test {

Json parse_json(const std::string& text) { return Json::parse(text); }

std::vector<Json> parse_json_lines(const std::string& text) {
    std::vector<Json> all;
    for (const std::string& line : split(text, '\n')) {
        all.push_back(parse_json(line));
        if (!all.back().is_object()) throw std::runtime_error("not a JSON object: " + line);
    }
    return all;
}

u64 number(const Json& value) {
    if (!value.is_number_unsigned()) throw std::runtime_error("not an unsigned number: " + value.dump());
    return value.get<u64>();
}

std::string text_or_null(const Json& value) { return value.is_null() ? std::string() : value.get<std::string>(); }

}  // namespace iolens::test
