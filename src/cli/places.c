/* Places, times and lists of numbers as people write them. */
#include <ctype.h>
#include <stdlib.h>
#include <time.h>
#include "base/mem.h"
#include "cli/offsets.h"

int64_t cli_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool whole_number(const char *text, int64_t *ret_value) { /* digits only */
    for (const char *c = text; *c; c++)
        if (!isdigit((unsigned char)*c))
            return false;
    return *text && parse_int(text, ret_value);
}

static bool parse_ago(const char *text, int64_t now_ms, int64_t *ret_time_ms) {
    char digits[20];
    size_t size = strlen(text);
    if (size < 2 || size >= sizeof digits)
        return false;
    memcpy(digits, text, size - 1);
    digits[size - 1] = 0;
    int64_t count, unit_ms;
    switch (text[size - 1]) {
    case 's': unit_ms = 1000; break;
    case 'm': unit_ms = 60 * 1000; break;
    case 'h': unit_ms = 3600 * 1000; break;
    case 'd': unit_ms = 24 * 3600 * 1000; break;
    default: return false;
    }
    if (!whole_number(digits, &count) || count > INT64_MAX / unit_ms)
        return false;
    *ret_time_ms = now_ms - count * unit_ms;
    return true;
}

static bool parse_zone(const char *text, int *ret_minutes) {
    int hours, minutes, used = 0;
    *ret_minutes = 0;
    if (!*text || strcmp(text, "Z") == 0)
        return true;
    if ((*text != '+' && *text != '-') || sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || text[1 + used] ||
        hours > 14 || minutes > 59)
        return false;
    *ret_minutes = (hours * 60 + minutes) * (*text == '-' ? -1 : 1);
    return true;
}

static bool parse_calendar(const char *text, int64_t *ret_time_ms) {
    struct tm tm = {0};
    int used = 0, ms = 0, zone_minutes;
    if (sscanf(text, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &used) != 3 || used != 10)
        return false;
    text += used;
    if (*text == 'T' || *text == ' ') {
        if (sscanf(text + 1, "%2d:%2d%n", &tm.tm_hour, &tm.tm_min, &used) != 2 || used != 5)
            return false;
        text += 1 + used;
        if (*text == ':') {
            if (sscanf(text + 1, "%2d%n", &tm.tm_sec, &used) != 1 || used != 2)
                return false;
            text += 1 + used;
            if (*text == '.') {
                text++;
                for (int scale = 100; isdigit((unsigned char)*text); scale /= 10)
                    ms += (*text++ - '0') * scale;
            }
        }
    }
    if (!parse_zone(text, &zone_minutes) || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
        tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *ret_time_ms = ((int64_t)timegm(&tm) - zone_minutes * 60) * 1000 + ms;
    return true;
}

bool parse_time(const char *text, int64_t now_ms, int64_t *ret_time_ms) {
    if (text[0] == '-')
        return parse_ago(text + 1, now_ms, ret_time_ms);
    return whole_number(text, ret_time_ms) || parse_calendar(text, ret_time_ms);
}

bool parse_place(const char *text, struct place *ret_place) {
    struct place place = {PLACE_OFFSET, 0};
    if (strcmp(text, "beginning") == 0 || strcmp(text, "earliest") == 0) {
        place.kind = PLACE_BEGINNING;
    } else if (strcmp(text, "end") == 0 || strcmp(text, "latest") == 0) {
        place.kind = PLACE_END;
    } else if (text[0] == '@') {
        place.kind = PLACE_TIME;
        if (!parse_time(text + 1, cli_now_ms(), &place.value))
            return false;
    } else {
        if (text[0] == '-')
            place.kind = PLACE_BEFORE_END;
        if (!whole_number(text + (text[0] == '-'), &place.value))
            return false;
    }
    *ret_place = place;
    return true;
}

bool parse_numbers(const char *text, int limit, int **ret_numbers, int *ret_count) {
    bool *there = mem_zalloc((size_t)limit + 1);
    bool ok = *text != 0;
    while (ok && *text) {
        char *end;
        long from = isdigit((unsigned char)*text) ? strtol(text, &end, 10) : -1, to = from;
        if (from >= 0 && *end == '-' && isdigit((unsigned char)end[1]))
            to = strtol(end + 1, &end, 10);
        ok = from >= 0 && to >= from && to < limit && (*end == 0 || (*end == ',' && end[1]));
        for (long i = from; ok && i <= to; i++)
            there[i] = true;
        if (ok)
            text = end + (*end == ',');
    }
    if (ok) {
        int count = 0, *numbers = mem_alloc(sizeof *numbers * ((size_t)limit + 1));
        for (int i = 0; i < limit; i++)
            if (there[i])
                numbers[count++] = i;
        *ret_numbers = numbers;
        *ret_count = count;
    }
    mem_free(there);
    return ok;
}
