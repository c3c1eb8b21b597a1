// SPDX-License-Identifier: Apache-2.0
#include "lens/file/serve/watcher.h"

#include "source/ring.h"

namespace iolens {
namespace {

class ProbeWatcher final : public FileWatcher {
public:
    explicit ProbeWatcher(const VfsProbe::Options& options)
        : options_(options), probe_(options), watches_(probe_), source_(watches_.source()) {}

    FoundFile find(const std::string& path, const Credentials& as) override { return watches_.find(path, as); }
    void watch(const FoundFile& found) override {
        watches_.add(found, false);
        watches_.complete(options_);
        static_cast<void>(watches_.names());  // discarded: files are known here by the names they were added under
    }
    bool follow(const FoundFile& found, const iolens_file_id& first) override {
        if (!options_.follow_names || found.what.name.hash == 0) return false;
        watches_.follow(found, first);
        return true;
    }
    void unfollow(const iolens_watch_name& name) override { probe_.unfollow_name(name); }
    std::optional<iolens_file_id> first_of(const iolens_file_id& file) override {
        return options_.follow_names ? probe_.first_of(file) : std::nullopt;
    }
    void unwatch(const iolens_file_id& file) override { probe_.unwatch(file); }
    Source& source() override { return source_; }

private:
    VfsProbe::Options options_;
    VfsProbe probe_;
    Watches watches_;
    RingSource source_;
};

}  // namespace

std::unique_ptr<FileWatcher> make_probe_watcher(const VfsProbe::Options& options) {
    return std::make_unique<ProbeWatcher>(options);
}

}  // namespace iolens
