/* Fails on purpose, once the fuzzer has found the word: proof that a failure is noticed. tests/fuzz/run counts it as
 * passed when it fails. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check(size < 3 || data[0] != 'b' || data[1] != 'a' || data[2] != 'd', "the input is bad, as it should be");
    return 0;
}
