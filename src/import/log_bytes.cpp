// SPDX-License-Identifier: Apache-2.0
#include "import/log_bytes.h"

#include <fcntl.h>
#include <lzma.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "base/failure.h"
#include "base/signals.h"
#include "base/text.h"
#include "iolens/event/header.h"

namespace iolens {
namespace {

constexpr std::size_t chunk = 128 << 10;
constexpr const char* log_hint = "use a log of 'strace -f -tt -T -yy -o FILE'";

[[noreturn]] void damaged(const std::string& path, std::string_view why) {
    throw Failure(Exit::failed, fmt::format("can't decompress '{}': {}", visible(path), why),
                  "the calls before it were shown");
}

}  // namespace

/// The bytes of the file itself.
class LogFile::Raw {
public:
    Raw(Fd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {
        struct stat info{};
        if (::fstat(file_.get(), &info) == 0 && S_ISREG(info.st_mode)) size_ = static_cast<std::size_t>(info.st_size);
    }

    /// The bytes that were read and not used; reads more if there are none. Empty at the end.
    std::span<const char> look() {
        if (at_ == end_) {
            at_ = end_ = 0;
            fill();
        }
        return {buffer_.data() + at_, end_ - at_};
    }
    /// At least `size` bytes, unless the file ends.
    std::string_view first(std::size_t size) {
        while (end_ - at_ < size && fill() != 0) {
        }
        return {buffer_.data() + at_, end_ - at_};
    }
    void use(std::size_t size) { at_ += size; }

    /// Reads past the buffer, which must be empty.
    std::size_t read(std::span<char> to) {
        if (at_ != end_) {
            const std::size_t size = std::min(to.size(), end_ - at_);
            std::memcpy(to.data(), buffer_.data() + at_, size);
            at_ += size;
            return size;
        }
        return read_file(to.data(), to.size());
    }

    [[nodiscard]] int fd() const { return file_.get(); }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::optional<double> done() const {
        if (size_ == 0) return {};
        return std::min(1.0, static_cast<double>(read_) / static_cast<double>(size_));
    }

private:
    std::size_t fill() {
        buffer_.resize(chunk);
        const std::size_t size = read_file(buffer_.data() + end_, buffer_.size() - end_);
        end_ += size;
        return size;
    }
    std::size_t read_file(char* to, std::size_t size) {
        while (!end_asked()) {
            if (size_ == 0) wait_for_input(file_.get(), -1);
            const ssize_t n = ::read(file_.get(), to, size);
            if (n >= 0) {
                read_ += static_cast<std::size_t>(n);
                return static_cast<std::size_t>(n);
            }
            if (errno == EAGAIN) wait_for_input(file_.get(), -1);
            if (errno == EINTR || errno == EAGAIN) continue;
            throw Failure(Exit::failed, fmt::format("can't read '{}': {}", visible(path_), error_text(errno)),
                          "the calls before it were shown");
        }
        return 0;
    }

    Fd file_;
    std::string path_;
    std::size_t size_ = 0;  // 0: not a regular file
    std::size_t read_ = 0;
    std::vector<char> buffer_;
    std::size_t at_ = 0;
    std::size_t end_ = 0;
};

namespace {

/// Decompresses by a function of a library: step(in, out) uses both spans up, and returns false at the end of a stream.
template <typename Codec, typename Raw>
class Decompressed final : public LogBytes {
public:
    explicit Decompressed(Raw& raw) : raw_(raw) {}

    std::size_t read(std::span<char> to) override {
        std::size_t made = 0;
        while (made == 0) {
            const std::span<const char> in = raw_.look();
            if (in.empty() && end_asked()) return 0;
            if (in.empty() && whole_) return 0;
            const auto [used, written, whole, error] = codec_.step(in, to);
            if (error != nullptr) damaged(raw_.path(), error);
            raw_.use(used);
            made = written;
            whole_ = whole;
            if (in.empty() && made == 0 && !whole) damaged(raw_.path(), "it ends too early");
        }
        return made;
    }

private:
    Raw& raw_;
    Codec codec_;
    bool whole_ = true;  // between two streams
};

struct Step {
    std::size_t used = 0;
    std::size_t written = 0;
    bool whole = false;  // a stream has ended
    const char* error = nullptr;
};

class Gzip {
public:
    Gzip() { ::inflateInit2(&stream_, 15 + 32); }
    ~Gzip() { ::inflateEnd(&stream_); }
    Gzip(const Gzip&) = delete;
    Gzip& operator=(const Gzip&) = delete;

    Step step(std::span<const char> in, std::span<char> out) {
        if (whole_ && !in.empty()) {
            ::inflateReset(&stream_);
            whole_ = false;
        }
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
        stream_.avail_in = static_cast<uInt>(in.size());
        stream_.next_out = reinterpret_cast<Bytef*>(out.data());
        stream_.avail_out = static_cast<uInt>(out.size());
        const int result = ::inflate(&stream_, Z_NO_FLUSH);
        whole_ = result == Z_STREAM_END;
        const bool failed = result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR;
        return {in.size() - stream_.avail_in, out.size() - stream_.avail_out, whole_,
                failed ? "its contents are damaged" : nullptr};
    }

private:
    z_stream stream_{};
    bool whole_ = false;
};

class Xz {
public:
    Xz() {
        constexpr u64 max_memory = u64{128} << 20;
        failed_ = ::lzma_stream_decoder(&stream_, max_memory, LZMA_CONCATENATED) != LZMA_OK;
    }
    ~Xz() { ::lzma_end(&stream_); }
    Xz(const Xz&) = delete;
    Xz& operator=(const Xz&) = delete;

    Step step(std::span<const char> in, std::span<char> out) {
        stream_.next_in = reinterpret_cast<const u8*>(in.data());
        stream_.avail_in = in.size();
        stream_.next_out = reinterpret_cast<u8*>(out.data());
        stream_.avail_out = out.size();
        const lzma_ret result = ::lzma_code(&stream_, in.empty() ? LZMA_FINISH : LZMA_RUN);
        const bool failed = failed_ || (result != LZMA_OK && result != LZMA_STREAM_END && result != LZMA_BUF_ERROR);
        return {in.size() - stream_.avail_in, out.size() - stream_.avail_out, result == LZMA_STREAM_END,
                !failed                         ? nullptr
                : result == LZMA_MEMLIMIT_ERROR ? "it needs more than 128 MiB of memory"
                                                : "its contents are damaged"};
    }

private:
    lzma_stream stream_ = LZMA_STREAM_INIT;
    bool failed_ = false;
};

class Zstd {
public:
    Zstd() : stream_(::ZSTD_createDStream()) {}
    ~Zstd() { ::ZSTD_freeDStream(stream_); }
    Zstd(const Zstd&) = delete;
    Zstd& operator=(const Zstd&) = delete;

    Step step(std::span<const char> in, std::span<char> out) {
        ZSTD_inBuffer from{in.data(), in.size(), 0};
        ZSTD_outBuffer to{out.data(), out.size(), 0};
        const std::size_t result = ::ZSTD_decompressStream(stream_, &to, &from);
        return {from.pos, to.pos, result == 0, ::ZSTD_isError(result) != 0 ? ::ZSTD_getErrorName(result) : nullptr};
    }

private:
    ZSTD_DStream* stream_;
};

}  // namespace

LogFile::LogFile(std::string path) : path_(std::move(path)) {
    const bool standard = path_ == "-";
    Fd file(standard ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                     : ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    struct stat info{};
    if (!file || ::fstat(file.get(), &info) != 0) {
        throw Failure(Exit::usage, fmt::format("can't read '{}': {}", visible(path_), error_text(errno)), log_hint);
    }
    if (S_ISDIR(info.st_mode)) {
        throw Failure(Exit::usage, fmt::format("'{}' is a directory", visible(path_)), log_hint);
    }
    if (standard) path_ = "standard input";
    raw_ = std::make_unique<Raw>(std::move(file), path_);
}

LogFile::~LogFile() = default;
LogFile::LogFile(LogFile&&) noexcept = default;

std::size_t LogFile::read(std::span<char> to) {
    if (!opened_) {
        opened_ = true;
        const std::string_view start = raw_->first(1);
        const std::string_view begin =
            start.starts_with('\x1f') || start.starts_with('\xfd') || start.starts_with('\x28') ? raw_->first(6)
                                                                                                : start;
        if (begin.starts_with("\x1f\x8b")) {
            bytes_ = std::make_unique<Decompressed<Gzip, Raw>>(*raw_);
        } else if (begin.starts_with(std::string_view("\xfd\x37zXZ\0", 6))) {
            bytes_ = std::make_unique<Decompressed<Xz, Raw>>(*raw_);
        } else if (begin.starts_with("\x28\xb5\x2f\xfd")) {
            bytes_ = std::make_unique<Decompressed<Zstd, Raw>>(*raw_);
        }
    }
    return bytes_ ? bytes_->read(to) : raw_->read(to);
}

std::optional<FileIdentity> LogFile::identity() const { return identity_of(raw_->fd()); }
std::optional<double> LogFile::done() const { return raw_->done(); }

}  // namespace iolens
