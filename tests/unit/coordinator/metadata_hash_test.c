/* The hash of groups' topics: the numbers are those that a broker of Kafka's computed. */
#include "coordinator/metadata_hash.h"
#include "tests/unit/coordinator/topics.h"

TEST(hashes_are_those_of_kafka) {
    struct image *image = image_create(NULL);
    test_topic(image, "in1", "8t37L1CgSbS0R-EVmhwiUg", 2);
    test_topic(image, "in3", "OmsjJDp4RsGUSNxULlk3kw", 3);
    EXPECT(metadata_hash_topic(image, image_find_topic(image, SLICE_LIT("in1"))) == 6319476861888730530);
    EXPECT(metadata_hash_topic(image, image_find_topic(image, SLICE_LIT("in3"))) == -2024791843774102993);
    struct slice names[] = {SLICE_LIT("in3"), SLICE_LIT("not there"), SLICE_LIT("in1")};
    EXPECT(metadata_hash_group(image, names, 3) == 2987911854937708386);
    EXPECT(metadata_hash_group(image, names + 2, 1) == 8740351548773341426);
    EXPECT(metadata_hash_group(image, names + 1, 1) == 0);
    image_destroy(image);
}

TEST_MAIN
