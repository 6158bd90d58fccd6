#include "words.h"

static const char *const plain[] = {
    "the",     "stream",  "of",      "water",   "runs",     "down",     "from",     "hills",
    "and",     "we",      "watch",   "it",      "in",       "spring",   "meeting",  "moved",
    "to",      "Tuesday", "please",  "bring",   "slides",   "numbers",  "for",      "second",
    "quarter", "they",    "look",    "better",  "than",     "expected", "a",        "train",
    "leaves",  "at",      "nine",    "coffee",  "is",       "ready",    "upstairs", "who",
    "can",     "review",  "this",    "change",  "before",   "noon",     "thanks",   "build",
    "green",   "again",   "after",   "restart", "customer", "asked",    "about",    "export",
    "column",  "was",     "missing", "fixed",   "today",    "tomorrow", "perhaps",  "later",
};

/* What makes a scanner leave its fast path: letters of 2, 3 and 4 bytes, escapes of both kinds. */
static const char *const rare[] = {
    "café",  "Größe",          "naïve",        "東京",       "10 €",       "🌠",
    "👍",     "\\\"quoted\\\"", "line\\nbreak", "tab\\there", "C:\\\\temp", "caf\\u00e9",
    "a\\/b", "\\ud83d\\ude00", "Ångström",     "—",
};

static const char *const multibyte[] = {
    "поток", "воды", "бежит", "с",      "холмов", "и",           "мы",   "смотрим", "весной", "встреча",
    "ρέμα",  "νερό", "λόφος", "άνοιξη", "αύριο",  "水流",        "春天", "会议",    "改到",   "星期二",
    "東京",  "駅",   "明日",  "資料",   "数字",   "회의",        "내일", "자료",    "שלום",   "מים",
    "ماء",   "ربيع", "😀",     "🌠",      "🚀",      "👩‍💻", "संदेश",  "कल",      "ขอบคุณ",  "พรุ่งนี้",
};

enum {
    PLAIN_COUNT = sizeof plain / sizeof *plain,
    RARE_COUNT = sizeof rare / sizeof *rare,
    MULTIBYTE_COUNT = sizeof multibyte / sizeof *multibyte,
    RARE_ONE_IN = 32,
};

void words_one(struct out *o, struct random *r, enum words_kind kind) {
    if (kind == WORDS_MULTIBYTE) {
        out_text(o, multibyte[random_below(r, MULTIBYTE_COUNT)]);
    } else {
        out_text(o, plain[random_below(r, PLAIN_COUNT)]);
    }
}

void words_string(struct out *o, struct random *r, enum words_kind kind, uint32_t count) {
    /* The space of multi-byte texts is U+3000, as wide as a letter there. */
    const char *space = kind == WORDS_MULTIBYTE ? "\u3000" : " ";
    out_text(o, "\"");
    for (uint32_t i = 0; i < count; i++) {
        out_text(o, i ? space : "");
        if (kind == WORDS_PLAIN && random_below(r, RARE_ONE_IN) == 0) {
            out_text(o, rare[random_below(r, RARE_COUNT)]);
        } else {
            words_one(o, r, kind);
        }
    }
    out_text(o, "\"");
}
