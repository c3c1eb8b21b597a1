// SPDX-License-Identifier: Apache-2.0
#include "source/recording.h"

#include <gtest/gtest.h>

#include <random>

#include "base/failure.h"
#include "run.h"
#include "sample.h"
#include "sink/recorder.h"

namespace iolens {
namespace {

class Collector final : public Receiver {
public:
    bool record(std::span<const std::byte> bytes) override {
        records.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return true;
    }
    std::vector<std::string> records;
};

/// All records, and the error that ended reading ("" = end of file).
std::pair<std::vector<std::string>, std::string> read_all(const std::string& path) {
    Collector records;
    try {
        RecordingSource source(path);
        while (!source.ended()) source.read(records);
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.status(), Exit::failed);
        return {records.records, failure.what()};
    }
    return {records.records, ""};
}

/// An earlier ledger has fewer counters, and counts orphans in `seen`.
TEST(Recording, AnEarlierLedgerReadsAsItWasMeant) {
    const test::Scratch scratch;
    const std::string path = scratch.path("r");
    {
        Recorder recorder(path);
        recorder.begin("block", "1.2.3", 77);
        std::vector<u64> earlier{0, 0, 40, 23, 10, 4, 3, 2, 1, 6, 7, 9};
        auto& head = reinterpret_cast<iolens_header&>(earlier[0]);
        head = {.ts = 5, .kind = IOLENS_KIND_LOSS, .size = static_cast<u16>(earlier.size() * sizeof(u64)), .cpu = 0};
        recorder.record(std::as_bytes(std::span(earlier)));
        recorder.finish();
    }
    Collector records;
    RecordingSource source(path);
    while (!source.ended()) source.read(records);
    const iolens_loss loss = source.ledger();
    EXPECT_EQ(loss.n.seen, 39U);  // 2 of 3 orphans did not fit in the state map
    EXPECT_EQ(loss.n.delivered, 23U);
    EXPECT_EQ(loss.n.filtered, 10U);
    EXPECT_EQ(loss.n.ring_full, 4U);
    EXPECT_EQ(loss.n.state_full, 2U);
    EXPECT_EQ(loss.n.no_end, 1U);
    EXPECT_EQ(loss.n.no_creator, 6U);
    EXPECT_EQ(loss.n.fact_lost, 7U);
    EXPECT_EQ(loss.n.in_flight, 0U);
    EXPECT_EQ(loss.missed, 9U);
}

TEST(Recording, GivesBackWhatWasRecorded) {
    const test::Scratch scratch;
    const std::string path = scratch.path("r");
    std::vector<std::string> written;
    {
        Recorder recorder(path);
        recorder.begin("block", "1.2.3", 77);
        for (u64 i = 0; i < 5000; ++i) {  // several frames
            const auto e = test::block_event(i, "dd", IOLENS_OP_READ, i * 8, 4096);
            recorder.record(std::as_bytes(std::span(&e, 1)));
            written.emplace_back(reinterpret_cast<const char*>(&e), sizeof e);
        }
        recorder.finish();
    }
    const RecordingSource source(path);
    EXPECT_EQ(source.lens(), "block");
    EXPECT_EQ(source.kernel(), "1.2.3");
    EXPECT_EQ(source.wall_offset_ns(), 77U);
    const auto [records, error] = read_all(path);
    EXPECT_EQ(error, "");
    EXPECT_EQ(records, written);
}

TEST(Recording, KeepsTheLedger) {
    const test::Scratch scratch;
    test::write_sample(scratch.path("r"));
    Collector records;
    RecordingSource source(scratch.path("r"));
    while (!source.ended()) source.read(records);
    EXPECT_EQ(source.ledger().n.ring_full, 4U);
}

TEST(Recording, IsReadUpToAnyCut) {
    const test::Scratch scratch;
    test::write_sample(scratch.path("whole"));
    const std::string whole = test::slurp(scratch.path("whole"));
    const auto [all, none] = read_all(scratch.path("whole"));
    ASSERT_EQ(none, "");
    for (std::size_t size = 0; size < whole.size(); ++size) {
        test::spit(scratch.path("cut"), whole.substr(0, size));
        const auto [records, error] = read_all(scratch.path("cut"));
        ASSERT_NE(error, "") << size;
        ASSERT_LE(records.size(), all.size());
        ASSERT_TRUE(std::equal(records.begin(), records.end(), all.begin())) << size;
    }
}

TEST(Recording, NoFlippedBitGoesUnseen) {
    const test::Scratch scratch;
    test::write_sample(scratch.path("whole"));
    const std::string whole = test::slurp(scratch.path("whole"));
    std::mt19937 random(11);
    for (std::size_t at = 0; at < whole.size(); ++at) {
        std::string bad = whole;
        bad[at] = static_cast<char>(bad[at] ^ (1 << random() % 8));
        test::spit(scratch.path("bad"), bad);
        const auto [records, error] = read_all(scratch.path("bad"));
        // the last four bytes of the header are reserved
        const bool reserved = at >= sizeof(RecordingHeader) - 4 && at < sizeof(RecordingHeader);
        EXPECT_TRUE(reserved || !error.empty()) << at;
    }
}

TEST(Recording, NoiseEndsInASentence) {
    const test::Scratch scratch;
    std::mt19937 random(5);
    test::write_sample(scratch.path("whole"));
    const std::string head = test::slurp(scratch.path("whole")).substr(0, sizeof(RecordingHeader));
    for (int i = 0; i < 300; ++i) {
        std::string noise = i % 2 == 0 ? head : "";
        for (auto n = random() % 4000; n > 0; --n) noise.push_back(static_cast<char>(random()));
        test::spit(scratch.path("noise"), noise);
        EXPECT_NE(read_all(scratch.path("noise")).second, "");
    }
}

TEST(Recording, AnotherByteOrderOrVersionIsRefused) {
    const test::Scratch scratch;
    test::write_sample(scratch.path("r"));
    std::string text = test::slurp(scratch.path("r"));
    std::string swapped = text;
    std::swap(swapped[8], swapped[11]);
    std::swap(swapped[9], swapped[10]);
    test::spit(scratch.path("s"), swapped);
    EXPECT_NE(read_all(scratch.path("s")).second.find("byte order"), std::string::npos);
    text[12] = 99;
    test::spit(scratch.path("v"), text);
    EXPECT_NE(read_all(scratch.path("v")).second.find("version 99"), std::string::npos);
}

}  // namespace
}  // namespace iolens
