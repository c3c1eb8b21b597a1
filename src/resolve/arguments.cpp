// SPDX-License-Identifier: Apache-2.0
#include "resolve/arguments.h"

#include <algorithm>
#include <cstring>

namespace iolens {
namespace {

/// What follows the struct in its record.
std::string_view tail_of(const iolens_arguments& record) {
    if (record.h.size < sizeof record) return {};
    return {reinterpret_cast<const char*>(&record) + sizeof record, record.h.size - sizeof record};
}

/// Removes the texts from the start of the tail. Returns false if it ends before.
bool take_texts(std::string_view& rest, u8 bits, ArgumentTexts& texts) {
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if ((bits >> i & 1) == 0) continue;
        const std::size_t end = rest.find('\0');
        if (end == std::string_view::npos) return false;
        texts.at(i) = rest.substr(0, end);
        rest.remove_prefix(end + 1);
    }
    return true;
}

std::size_t padded(std::size_t size) { return (size + 7) / 8 * 8; }

}  // namespace

std::string_view argument_texts(const iolens_arguments& record, ArgumentTexts& texts) {
    std::string_view rest = tail_of(record);
    if (record.texts == IOLENS_ARGUMENTS_WHOLE) return rest.substr(0, rest.find('\0'));
    static_cast<void>(take_texts(rest, record.texts, texts));
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

ArgumentItems argument_items(const iolens_arguments& record) {
    ArgumentItems items;
    ArgumentTexts texts;
    const std::string_view tail = tail_of(record);
    std::string_view rest = tail;
    if (record.texts == IOLENS_ARGUMENTS_WHOLE || !take_texts(rest, record.texts, texts)) return items;
    rest = tail.substr(std::min(padded(tail.size() - rest.size()), tail.size()));
    while (rest.size() >= sizeof(iolens_item)) {
        iolens_item head{};
        std::memcpy(&head, rest.data(), sizeof head);
        rest.remove_prefix(sizeof head);
        if (head.kind == IOLENS_ITEM_NONE || head.length > rest.size()) break;
        if (head.place < items.size()) {
            items.at(head.place) = {head.kind, (head.flags & IOLENS_ITEM_CUT) != 0,
                                    (head.flags & IOLENS_ITEM_NARROW) != 0, rest.substr(0, head.length)};
        }
        rest.remove_prefix(std::min(padded(head.length), rest.size()));
    }
    return items;
}

}  // namespace iolens
