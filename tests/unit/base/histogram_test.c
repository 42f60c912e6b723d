/* Histograms: every value has a bucket that ends at or above it, and quantiles count the zeros that were not added. */
#include "base/histogram.h"
#include "tests/unit/test.h"

TEST(a_quantile_is_at_most_half_above_the_value) {
    for (uint64_t value = 1; value < 4000000000u; value = value + value / 3 + 1) {
        struct histogram histogram = {0};
        histogram_add(&histogram, value);
        double found = histogram_quantile(&histogram, 1, 0.99);
        EXPECT(found >= (double)value && found <= 1.5 * (double)value + 1);
    }
}

TEST(zeros_count_although_they_are_not_added) {
    struct histogram histogram = {0};
    histogram_add(&histogram, 0);
    histogram_add(&histogram, 1000);
    EXPECT(histogram_quantile(&histogram, 100, 0.5) == 0);
    EXPECT(histogram_quantile(&histogram, 100, 0.98) == 0);
    EXPECT(histogram_quantile(&histogram, 100, 0.999) >= 1000);
    EXPECT(histogram_quantile(&histogram, 0, 0.5) > 0); /* fewer than were added cannot be */
}

TEST(nothing_has_the_quantile_zero) {
    struct histogram histogram = {0};
    EXPECT(histogram_quantile(&histogram, 0, 0.99) == 0);
}

TEST(what_came_since_is_the_difference) {
    struct histogram before = {0}, now = {0}, sum = {0};
    for (int i = 0; i < 1000; i++)
        histogram_add(&before, 5);
    histogram_merge(&now, &before);
    histogram_add(&now, 70000);
    sum = now;
    histogram_subtract(&now, &before);
    EXPECT(histogram_quantile(&now, 1, 0.5) >= 70000);
    EXPECT(histogram_quantile(&sum, 1001, 0.5) < 10);
    EXPECT_INT(now.sum, 70000);
}

TEST_MAIN
