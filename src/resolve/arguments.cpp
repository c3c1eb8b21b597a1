// SPDX-License-Identifier: Apache-2.0
#include "resolve/arguments.h"

namespace iolens {

std::string_view argument_texts(const iolens_arguments& record, ArgumentTexts& texts) {
    std::string_view rest(reinterpret_cast<const char*>(&record) + sizeof record, record.h.size - sizeof record);
    if (record.texts == IOLENS_ARGUMENTS_WHOLE) return rest.substr(0, rest.find('\0'));
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if ((record.texts >> i & 1) == 0) continue;
        const std::size_t end = rest.find('\0');
        if (end == std::string_view::npos) break;
        texts.at(i) = rest.substr(0, end);
        rest.remove_prefix(end + 1);
    }
    return {};
}

LoggedTexts texts_in_log(const iolens_arguments& record) {
    if (record.texts != IOLENS_ARGUMENTS_WHOLE) return {};
    std::string_view rest(reinterpret_cast<const char*>(&record) + sizeof record, record.h.size - sizeof record);
    LoggedTexts texts;
    for (std::string_view* text : {&texts.arguments, &texts.name, &texts.result}) {
        const std::size_t end = rest.find('\0');
        *text = rest.substr(0, end);
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
    }
    return texts;
}

}  // namespace iolens
