#include "shapes.h"

#include "words.h"

static const char *const type_names[SHAPE_TYPES] = {"users", "messages", "reactions", "tasks"};

/* ---- what several shapes have in common ---- */

static void put_type(struct out *o, uint32_t type) {
    out_text(o, "\"");
    out_text(o, type_names[type]);
    out_text(o, "\"");
}

static void put_key(struct out *o, uint32_t type, uint32_t key) {
    out_text(o, "\"");
    out_text(o, type_names[type]);
    out_text(o, "-");
    out_number(o, key, 6);
    out_text(o, "\"");
}

static void put_author(struct out *o, struct random *r) {
    out_text(o, ",\"author\":\"u-");
    out_number(o, random_below(r, 1000), 3);
    out_text(o, "\"");
}

static void put_time(struct out *o, struct random *r) {
    uint32_t second = random_below(r, 86400);
    out_text(o, "\"2026-05-");
    out_number(o, 1 + random_below(r, 31), 2);
    out_text(o, "T");
    out_number(o, second / 3600, 2);
    out_text(o, ":");
    out_number(o, second / 60 % 60, 2);
    out_text(o, ":");
    out_number(o, second % 60, 2);
    out_text(o, "Z\"");
}

static void put_boolean(struct out *o, struct random *r) {
    out_text(o, random_below(r, 2) ? "true" : "false");
}

static void put_words(struct out *o, struct random *r, uint32_t least, uint32_t most) {
    words_string(o, r, WORDS_PLAIN, least + random_below(r, most - least + 1));
}

static void put_headers(struct out *o, struct random *r, const char *operation) {
    out_text(o, "{\"operation\":\"");
    out_text(o, operation);
    out_text(o, "\",\"txid\":\"t");
    out_number(o, random_below(r, 1000000), 6);
    out_text(o, "\",\"timestamp\":");
    put_time(o, r);
    out_text(o, "}");
}

static void put_short_headers(struct out *o, struct random *r, const char *operation) {
    (void)r;
    out_text(o, "{\"operation\":\"");
    out_text(o, operation);
    out_text(o, "\"}");
}

/* ---- changes: four types of seven fields, about 284 bytes an event ---- */

static void put_user(struct out *o, struct random *r) {
    out_text(o, ",\"name\":");
    put_words(o, r, 2, 3);
    put_author(o, r);
    out_text(o, ",\"email\":\"user");
    out_number(o, random_below(r, 1000000), 6);
    out_text(o, "@example.org\",\"karma\":");
    out_number(o, random_below(r, 100000), 1);
    out_text(o, ",\"active\":");
    put_boolean(o, r);
}

static void put_message(struct out *o, struct random *r, uint32_t least, uint32_t most) {
    out_text(o, ",\"text\":");
    put_words(o, r, least, most);
    put_author(o, r);
    out_text(o, ",\"room\":\"r-");
    out_number(o, random_below(r, 100), 1);
    out_text(o, "\",\"likes\":");
    out_number(o, random_below(r, 100), 1);
    out_text(o, ",\"edited\":");
    put_boolean(o, r);
}

static void put_reaction(struct out *o, struct random *r) {
    static const char *const emoji[] = {"👍", "🎉", "❤️", "😀"};
    out_text(o, ",\"messageId\":\"messages-");
    out_number(o, random_below(r, 100000), 6);
    out_text(o, "\"");
    put_author(o, r);
    out_text(o, ",\"emoji\":\"");
    out_text(o, emoji[random_below(r, 4)]);
    out_text(o, "\",\"weight\":");
    out_number(o, random_below(r, 10), 1);
    out_text(o, ".");
    out_number(o, random_below(r, 1000), 3);
    out_text(o, ",\"removedBy\":null");
}

static void put_task(struct out *o, struct random *r) {
    out_text(o, ",\"title\":");
    put_words(o, r, 1, 2);
    put_author(o, r);
    out_text(o, ",\"tags\":[\"");
    words_one(o, r, WORDS_PLAIN);
    out_text(o, "\",\"");
    words_one(o, r, WORDS_PLAIN);
    out_text(o, "\"],\"estimate\":{\"hours\":");
    out_number(o, random_below(r, 100), 1);
    out_text(o, ".5,\"left\":-");
    out_number(o, random_below(r, 10), 1);
    out_text(o, "e2},\"done\":");
    put_boolean(o, r);
}

static void open_value(struct out *o, uint32_t type, uint32_t key) {
    out_text(o, "{\"id\":");
    put_key(o, type, key);
}

static void close_value(struct out *o, struct random *r) {
    out_text(o, ",\"createdAt\":");
    put_time(o, r);
    out_text(o, "}");
}

static void changes_value(struct out *o, struct random *r, uint32_t type, uint32_t key) {
    open_value(o, type, key);
    switch (type) {
    case 0:
        put_user(o, r);
        break;
    case 1:
        put_message(o, r, 2, 9);
        break;
    case 2:
        put_reaction(o, r);
        break;
    default:
        put_task(o, r);
        break;
    }
    close_value(o, r);
}

/* ---- objects: seven fields, the same of every type ---- */

static void objects_value(struct out *o, struct random *r, uint32_t type, uint32_t key) {
    open_value(o, type, key);
    put_message(o, r, 2, 9);
    close_value(o, r);
}

/* ---- churn: the same, of lengths that differ much ---- */

static void churn_value(struct out *o, struct random *r, uint32_t type, uint32_t key) {
    open_value(o, type, key);
    put_message(o, r, 0, 60);
    close_value(o, r);
}

/* ---- small: as short as a change can be ---- */

static void small_type(struct out *o, uint32_t type) {
    char text[] = {'"', (char)('a' + type), '"'};
    out_bytes(o, text, sizeof text);
}

static void small_key(struct out *o, uint32_t type, uint32_t key) {
    char text[16];
    size_t at = sizeof text;
    (void)type;
    text[--at] = '"';
    do {
        text[--at] = "0123456789abcdefghijklmnopqrstuvwxyz"[key % 36];
        key /= 36;
    } while (key);
    text[--at] = '"';
    out_bytes(o, text + at, sizeof text - at);
}

static void small_value(struct out *o, struct random *r, uint32_t type, uint32_t key) {
    (void)type;
    (void)key;
    out_number(o, random_below(r, 10), 1);
}

/* ---- large: a text of about 20 KB ---- */

static void large_value(struct out *o, struct random *r, uint32_t type, uint32_t key) {
    open_value(o, type, key);
    put_message(o, r, 3200, 3900);
    close_value(o, r);
}

/* ---- multibyte: every text, the keys and the names of the members too ---- */

static void multibyte_type(struct out *o, uint32_t type) {
    static const char *const names[SHAPE_TYPES] = {"\"люди\"", "\"письма\"", "\"反応\"", "\"課題\""};
    out_text(o, names[type]);
}

static void multibyte_key(struct out *o, uint32_t type, uint32_t key) {
    static const char *const digits[] = {"零", "一", "二", "三", "四", "五", "六", "七", "八", "九"};
    (void)type;
    out_text(o, "\"");
    for (uint32_t place = 100000; place; place /= 10) {
        out_text(o, digits[key / place % 10]);
    }
    out_text(o, "\"");
}

static void multibyte_value(struct out *o, struct random *r, uint32_t type, uint32_t key) {
    (void)type;
    out_text(o, "{\"номер\":");
    multibyte_key(o, type, key);
    out_text(o, ",\"текст\":");
    words_string(o, r, WORDS_MULTIBYTE, 7 + random_below(r, 10));
    out_text(o, ",\"作者\":");
    words_string(o, r, WORDS_MULTIBYTE, 2);
    out_text(o, "}");
}

static const struct shape shapes[] = {
    {"changes", "four types of seven fields, about 284 bytes", put_type, put_key, changes_value, put_headers},
    {"small", "one number, about 68 bytes", small_type, small_key, small_value, put_short_headers},
    {"large", "a text of about 20 KB", put_type, put_key, large_value, put_headers},
    {"multibyte", "texts without an ASCII letter, about 284 bytes", multibyte_type, multibyte_key,
     multibyte_value, put_short_headers},
    {"objects", "seven fields, the same of every type", put_type, put_key, objects_value, put_headers},
    {"churn", "the same, with texts of 0 to 60 words", put_type, put_key, churn_value, put_headers},
};

const struct shape *shape_at(size_t index) {
    return index < sizeof shapes / sizeof *shapes ? &shapes[index] : NULL;
}

const struct shape *shape_find(const char *name) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (strcmp(shapes[i].name, name) == 0) {
            return &shapes[i];
        }
    }
    return NULL;
}
