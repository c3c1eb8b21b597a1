// SPDX-License-Identifier: Apache-2.0
#include "base/decode.h"

#include <gtest/gtest.h>

#include <array>

#include "iolens/event/symbol.h"

namespace iolens {
namespace {

/// Two versions of a record.
struct Old {
    iolens_header h;
    u64 first;
};
struct New {
    iolens_header h;
    u64 first;
    u64 second;
};

constexpr u16 kind = IOLENS_KIND_SYMBOL;

/// A record followed by other bytes, as in the ring; they are not part of the record.
struct Bytes {
    explicit Bytes(std::size_t size) {
        words.fill(0x1111111111111111);
        head().kind = kind;
        head().size = static_cast<u16>(size);
    }
    iolens_header& head() { return *reinterpret_cast<iolens_header*>(words.data()); }
    [[nodiscard]] std::span<const std::byte> first(std::size_t size) const {
        return std::as_bytes(std::span(words)).first(size);
    }
    std::array<u64, 16> words{};
};

TEST(DecodeHeader, NeedsAWholeHeader) {
    const Bytes bytes(sizeof(iolens_header));
    EXPECT_EQ(decode_header({}), nullptr);
    EXPECT_EQ(decode_header(bytes.first(1)), nullptr);
    EXPECT_EQ(decode_header(bytes.first(sizeof(iolens_header) - 1)), nullptr);
    EXPECT_EQ(static_cast<const void*>(decode_header(bytes.first(sizeof(iolens_header)))), &bytes.words);
}

TEST(DecodeHeader, RejectsAnImpossibleSize) {
    for (const u16 size : std::initializer_list<u16>{0, 1, sizeof(iolens_header) - 1, 41, 0xffff}) {
        EXPECT_EQ(decode_header(Bytes(size).first(40)), nullptr) << size;
    }
    for (const u16 size : std::initializer_list<u16>{sizeof(iolens_header), 24, 40}) {
        EXPECT_NE(decode_header(Bytes(size).first(40)), nullptr) << size;
    }
}

TEST(Decoder, ReturnsNullForAnotherKind) {
    Bytes bytes(sizeof(New));
    Decoder decoder;
    EXPECT_EQ(decoder.as<New>(bytes.head(), kind + 1), nullptr);
    EXPECT_NE(decoder.as<New>(bytes.head(), kind), nullptr);
}

TEST(Decoder, ARecordOfThisVersionIsNotCopied) {
    Bytes bytes(sizeof(New));
    bytes.words[3] = 42;
    Decoder decoder;
    const New* event = decoder.as<New>(bytes.head(), kind);
    EXPECT_EQ(static_cast<const void*>(event), &bytes.words);
    EXPECT_EQ(event->second, 42U);
}

TEST(Decoder, FieldsMissingInAnOlderRecordAreZero) {
    Bytes bytes(sizeof(Old));
    bytes.words[2] = 7;
    Bytes earlier(sizeof(New) - 1);  // is copied, too
    Decoder decoder;
    decoder.as<New>(earlier.head(), kind);
    const New* event = decoder.as<New>(bytes.head(), kind);
    ASSERT_NE(event, nullptr);
    EXPECT_NE(static_cast<const void*>(event), &bytes.words);
    EXPECT_EQ(event->h.size, sizeof(Old));
    EXPECT_EQ(event->first, 7U);
    EXPECT_EQ(event->second, 0U);
}

TEST(Decoder, FieldsOfANewerRecordAreIgnored) {
    Bytes bytes(sizeof(New));
    bytes.words[2] = 7;
    Decoder decoder;
    const Old* event = decoder.as<Old>(bytes.head(), kind);
    ASSERT_NE(event, nullptr);
    EXPECT_EQ(event->first, 7U);
}

TEST(Decoder, ARecordMayConsistOfItsHeader) {
    Bytes bytes(sizeof(iolens_header));
    Decoder decoder;
    const New* event = decoder.as<New>(bytes.head(), kind);
    ASSERT_NE(event, nullptr);
    EXPECT_NE(static_cast<const void*>(event), &bytes.words);
    EXPECT_EQ(event->h.ts, bytes.head().ts);
    EXPECT_EQ(event->first, 0U);
}

}  // namespace
}  // namespace iolens
