// simdjson over a file of one JSON document a line: what a scan alone takes.
//
//     simdjson_scan walk|find FILE
//
// walk: iterate_many (On-Demand) from one document to the next, and no more. What simdjson does for that is to find
// every structural character, to check all of the text as UTF-8, and to count brackets to the end of each document.
// It does not look at numbers, literals, escapes or the grammar between the tokens, and stores nothing.
//
// find: the same, and of each document type, key, value and the operation are found, as an engine would have to; the
// strings are unescaped by simdjson, of the value its text is taken. Nothing is stored.
//
// The file is in memory before the clock starts, and both of simdjson's stages run on one thread, as weir does.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <simdjson.h>

using namespace simdjson;

namespace {

struct totals {
    size_t documents = 0;
    size_t bytes = 0; // of what was found
};

void walk(ondemand::document_stream &stream, totals &t) {
    for (auto it = stream.begin(); it != stream.end(); ++it) {
        if ((*it).error()) {
            throw simdjson_error((*it).error());
        }
        t.documents++;
    }
}

void find(ondemand::document_stream &stream, totals &t) {
    for (auto it = stream.begin(); it != stream.end(); ++it) {
        auto document = *it;
        ondemand::object event = document.get_object();
        std::string_view type = event["type"];
        std::string_view key = event["key"];
        auto value = event["value"];
        if (!value.error()) {
            std::string_view text = to_json_string(value.value());
            t.bytes += text.size();
        }
        std::string_view operation = event["headers"]["operation"];
        t.bytes += type.size() + key.size() + operation.size();
        t.documents++;
    }
}

void scan(bool finds, const char *path) {
    padded_string json = padded_string::load(path);
    totals t;
    auto start = std::chrono::steady_clock::now();
    ondemand::parser parser;
#ifdef SIMDJSON_THREADS_ENABLED
    parser.threaded = false;
#endif
    ondemand::document_stream stream = parser.iterate_many(json);
    finds ? find(stream, t) : walk(stream, t);
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::printf("seconds=%.6f events=%zu found=%zu kernel=%s\n", seconds.count(), t.documents, t.bytes,
                get_active_implementation()->name().c_str());
}

} // namespace

int main(int argc, char **argv) {
    bool finds = argc == 3 && std::strcmp(argv[1], "find") == 0;
    if (argc != 3 || (!finds && std::strcmp(argv[1], "walk") != 0)) {
        std::fputs("usage: simdjson_scan walk|find FILE\n", stderr);
        return 2;
    }
    try {
        scan(finds, argv[2]);
        return 0;
    } catch (const simdjson_error &e) {
        std::fprintf(stderr, "simdjson_scan: %s: %s\n", argv[2], e.what());
        return 1;
    }
}
