// SPDX-License-Identifier: Apache-2.0
#include "lens/metrics/service.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "base/failure.h"
#include "base/privileges.h"
#include "base/text.h"
#include "exporter/http.h"
#include "lens/metrics/metrics.h"
#include "probe/bpf.h"

namespace iolens {
namespace {

/// A file for node_exporter's textfile collector, which may read it at any time: replaced as a whole, and removed at the
/// end, because its values would not grow any more.
class TextFile {
public:
    /// Throws Failure (usage) if files can't be created in the directory.
    explicit TextFile(const std::string& directory)
        : path_(directory + "/iolens.prom"), next_(path_ + "." + std::to_string(::getpid())) {
        replace({});
    }
    ~TextFile() { ::unlink(path_.c_str()); }
    TextFile(const TextFile&) = delete;
    TextFile& operator=(const TextFile&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }

    void replace(std::string_view text) {
        constexpr mode_t readable = 0644;
        const Fd file(::open(next_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, readable));
        bool written = static_cast<bool>(file) && ::fchmod(file.get(), readable) == 0;
        while (written && !text.empty()) {
            const ssize_t n = ::write(file.get(), text.data(), text.size());
            if (n < 0 && errno == EINTR) continue;
            written = n > 0;
            if (written) text.remove_prefix(static_cast<std::size_t>(n));
        }
        if (written && ::rename(next_.c_str(), path_.c_str()) == 0) return;
        const int error = errno;
        if (file) ::unlink(next_.c_str());
        throw Failure(Exit::usage, fmt::format("can't write '{}': {}", visible(path_), error_text(error)),
                      "--textfile takes node_exporter's --collector.textfile.directory");
    }

private:
    std::string path_;
    std::string next_;
};

class MetricsService final : public Service {
public:
    explicit MetricsService(MetricsOptions options) : options_(std::move(options)) {}

    void start() override;
    bool stop() override {
        if (metrics_) metrics_->stop();
        return true;
    }
    std::span<const int> descriptors() const override { return descriptors_; }
    u64 deadline_ns() const override { return file_ ? next_ns_ : ~u64{0}; }
    Progress work(u64 now_ns) override {
        const std::size_t records = metrics_->read();
        if (server_) server_->work();
        if (file_ && now_ns >= next_ns_) {
            write_file();
            next_ns_ = now_ns + options_.interval_ns;
        }
        return records != 0 ? Progress::busy : Progress::idle;
    }

private:
    void write_file();

    MetricsOptions options_;
    std::unique_ptr<BlockMetrics> metrics_;
    std::optional<HttpServer> server_;
    std::optional<TextFile> file_;
    std::vector<int> descriptors_;
    u64 next_ns_ = 0;
    bool failed_ = false;
};

void MetricsService::start() {
    // before attaching: what can't be served must not cost anything
    if (!options_.listen.empty()) {
        server_.emplace(options_.listen, [this](Exposition exposition) { return metrics_->text(exposition); });
    }
    if (!options_.directory.empty()) file_.emplace(options_.directory);
    require_tracing();
    metrics_ = std::make_unique<BlockMetrics>(
        BlockMetrics::Options{.ring_bytes = options_.ring_bytes, .files = options_.files, .version = options_.version});
    std::vector<std::string> paths;
    if (file_) paths.push_back(file_->path());
    keep_only_needed(capabilities_to_read_maps(), paths);
    descriptors_ = {metrics_->descriptor(), server_ ? server_->descriptor() : -1};
    if (server_) log_line(fmt::format("serving http://{}/metrics", server_->address()));
    if (file_) log_line(fmt::format("writing {}", visible(file_->path())));
}

/// A full disk is reported once; the next interval may have space.
void MetricsService::write_file() {
    try {
        file_->replace(metrics_->text(Exposition::prometheus));
        failed_ = false;
    } catch (const Failure& failure) {
        if (!std::exchange(failed_, true)) log_line(failure.what());
    }
}

}  // namespace

std::unique_ptr<Service> make_metrics_service(MetricsOptions options) {
    return std::make_unique<MetricsService>(std::move(options));
}

}  // namespace iolens
