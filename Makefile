# make          builds build/myelin
# make run      installs what is missing, builds, formats ./myelin-data on first use, serves on 127.0.0.1:9092
# make test     installs what is missing, builds with sanitizers, runs every test   (make test T=log: one part)
# make sim      1,000 simulation seeds       make fuzz  each fuzz target for FUZZ_SECONDS
# make bench    the speed table against Apache Kafka, in one run
# make soak     long simulation and kill runs
#
# SAN=address|thread builds with that sanitizer into build/address or build/thread. CC=clang works too.

SAN ?=
ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := $(if $(filter clang,$(notdir $(CC))),clang++,g++)
endif
ifeq ($(SAN),)
OUT := build
OPT := -O2 -g
else ifeq ($(SAN),address)
OUT := build/address
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -DMYELIN_SLOW_CHECKS
else ifeq ($(SAN),thread)
OUT := build/thread
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=thread -DMYELIN_SLOW_CHECKS
else ifeq ($(SAN),fuzzer)
OUT := build/fuzzer
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -DMYELIN_SLOW_CHECKS
endif
ifneq ($(CC),gcc)
ifneq ($(SAN),fuzzer)
OUT := $(OUT)/$(notdir $(CC))
endif
endif

VERSION  := 0.1.0
WARN     := -Wall -Wextra -Werror -Wstrict-prototypes -Wvla -Wpointer-arith -Wshadow
CPPFLAGS := -D_GNU_SOURCE -DMYELIN_VERSION='"$(VERSION)"' -Isrc -I$(OUT)/gen -I.
CFLAGS   := -std=gnu11 $(OPT) $(WARN) -fno-strict-aliasing -fno-common -pthread
# The few shims over libraries that are C++ (src/coordinator/regex.cc).
CXXFLAGS := -std=gnu++17 $(OPT) -Wall -Wextra -Werror -fno-strict-aliasing -fno-exceptions -fno-rtti -pthread
LDFLAGS  := $(OPT) -pthread
ifneq ($(CC),gcc)
ifneq ($(SAN),) # clang links it only when it is called as clang++
LDFLAGS  += -fsanitize-link-c++-runtime
endif
endif
LDLIBS   := -luring -lz -ldeflate -llz4 -lzstd -lsnappy -lrdkafka -lmicrohttpd -ljansson -lssl -lcrypto -lre2 -lstdc++ -lm

# --- generated: protocol messages, error codes, configuration keys -------------------------------------
GEN       := $(OUT)/gen
GEN_STAMP := $(GEN)/.stamp
SCHEMA    := $(wildcard src/protocol/schema/*) $(wildcard tools/gen/*.py)
$(GEN_STAMP): $(SCHEMA)
	@mkdir -p $(GEN)/protocol
	@python3 tools/gen/main.py --schema src/protocol/schema --out $(GEN)
	@touch $@

# --- one archive a part --------------------------------------------------------------------------------
# Linking takes from an archive only what is used, so that one part builds and tests while another is open.
PARTS := base protocol log raft metadata controller replica share coordinator security broker http cli
part_src = $(shell find src/$(1) -name '*.c' -o -name '*.cc' 2>/dev/null | sort) $(if $(filter runtime/%,$(1)),src/runtime/fs_util.c)
obj_of   = $(patsubst %.cc,$(OUT)/%.o,$(patsubst %.c,$(OUT)/%.o,$(1)))
define part_rule
$(OUT)/lib/$(1).a: $(call obj_of,$(call part_src,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^
endef
$(foreach part,$(filter-out protocol,$(PARTS)),$(eval $(call part_rule,$(part))))
$(foreach rt,linux sim,$(eval $(call part_rule,runtime/$(rt))))

# What the generator writes is known only after it ran, so a second make builds that archive.
PROTOCOL_OBJ := $(call obj_of,$(call part_src,protocol)) $(patsubst %.c,%.o,$(sort $(wildcard $(GEN)/protocol/*.c)))
$(OUT)/lib/protocol.a: $(GEN_STAMP) FORCE
	@$(MAKE) --no-print-directory SAN=$(SAN) CC=$(CC) $(OUT)/lib/protocol.stamp
$(OUT)/lib/protocol.stamp: $(PROTOCOL_OBJ)
	@mkdir -p $(@D)
	@rm -f $(OUT)/lib/protocol.a
	@ar rcs $(OUT)/lib/protocol.a $^
	@touch $@
FORCE:

LIBS     := $(foreach part,$(PARTS),$(OUT)/lib/$(part).a)
RT_LINUX := $(OUT)/lib/runtime/linux.a
RT_SIM   := $(OUT)/lib/runtime/sim.a
link      = @$(CC) $(LDFLAGS) -o $@ $(1) -Wl,--start-group $(2) -Wl,--end-group $(LDLIBS)

$(OUT)/%.o: %.c $(GEN_STAMP)
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(OUT)/%.o: %.cc $(GEN_STAMP)
	@mkdir -p $(@D)
	@$(CXX) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c -o $@ $<
$(GEN)/%.o: $(GEN)/%.c
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# --- programs ------------------------------------------------------------------------------------------
.DEFAULT_GOAL := all
.PHONY: all
all: $(OUT)/myelin
$(OUT)/myelin: $(OUT)/src/main.o $(LIBS) $(RT_LINUX)
	$(call link,$(OUT)/src/main.o,$(LIBS) $(RT_LINUX))

SIM_OBJ := $(call obj_of,$(wildcard tests/sim/*.c))
$(OUT)/myelin-sim: $(SIM_OBJ) $(LIBS) $(RT_SIM)
	$(call link,$(SIM_OBJ),$(LIBS) $(RT_SIM))

# tests/unit/PART/NAME_test.c is a program of its own; tests/unit/PART/sim/ ones link the simulated runtime.
UNIT_SRC     := $(shell find tests/unit -name '*_test.c' 2>/dev/null | sort)
UNIT_SIM_BIN := $(patsubst %.c,$(OUT)/%,$(filter %_sim_test.c,$(UNIT_SRC)))
UNIT_BIN     := $(patsubst %.c,$(OUT)/%,$(filter-out %_sim_test.c,$(UNIT_SRC)))
$(UNIT_BIN): $(OUT)/%: $(OUT)/%.o $(LIBS) $(RT_LINUX)
	$(call link,$<,$(LIBS) $(RT_LINUX))
$(UNIT_SIM_BIN): $(OUT)/%: $(OUT)/%.o $(LIBS) $(RT_SIM)
	$(call link,$<,$(LIBS) $(RT_SIM))
.PHONY: unit
unit: $(UNIT_BIN) $(UNIT_SIM_BIN)

# Values of every message by its field table, for the programs of tests that need some; and the half in C of the
# comparison with Kafka's encoders.
TEST_VALUES := $(OUT)/tests/lib/message_values.o
CODEC_CHECK := $(OUT)/tests/interop/codec/codec_check
$(CODEC_CHECK): $(CODEC_CHECK).o $(TEST_VALUES) $(LIBS) $(RT_LINUX)
	$(call link,$(CODEC_CHECK).o $(TEST_VALUES),$(LIBS) $(RT_LINUX))

# tests/fuzz/NAME_fuzz.c has LLVMFuzzerTestOneInput; tests/fuzz/seeds.c writes what all of them begin with.
FUZZ_SRC   := $(wildcard tests/fuzz/*_fuzz.c)
FUZZ_BIN   := $(patsubst %.c,$(OUT)/%,$(FUZZ_SRC))
FUZZ_SEEDS := $(OUT)/tests/fuzz/seeds
$(FUZZ_BIN): $(OUT)/%: $(OUT)/%.o $(TEST_VALUES) $(LIBS) $(RT_LINUX)
	@$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(TEST_VALUES) -Wl,--start-group $(LIBS) $(RT_LINUX) -Wl,--end-group $(LDLIBS)
$(FUZZ_SEEDS): $(FUZZ_SEEDS).o $(TEST_VALUES) $(LIBS) $(RT_LINUX)
	$(call link,$(FUZZ_SEEDS).o $(TEST_VALUES),$(LIBS) $(RT_LINUX))
.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_BIN) $(FUZZ_SEEDS)

# The load generator and the floors are instruments: built plainly, on their own.
BENCH_BIN := $(patsubst bench/%.c,build/bench/%,$(wildcard bench/*.c))
build/bench/%: bench/%.c bench/client.h
	@mkdir -p $(@D)
	@$(CC) -O2 -msse4.2 -pthread -o $@ $< -luring

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)

# Another compiler's opinion of all sources, without building: make syntax CC=clang
.PHONY: syntax
syntax: $(GEN_STAMP)
	@find src tests $(GEN) -name '*.c' | sort | xargs -P 2 -n 10 $(CC) $(CPPFLAGS) $(CFLAGS) -fsyntax-only

# --- commands ------------------------------------------------------------------------------------------
T ?=
FUZZ_SECONDS ?= 60
.PHONY: bootstrap run test sim fuzz bench soak clean
bootstrap:
	@scripts/bootstrap
run: bootstrap
	@$(MAKE) --no-print-directory all
	@exec build/myelin server
test: bootstrap
	@tests/run $(T)
sim:
	@$(MAKE) --no-print-directory build/myelin-sim
	@build/myelin-sim --seeds 1000
fuzz: bootstrap
	@tests/fuzz/run $(FUZZ_SECONDS)
bench: bootstrap
	@$(MAKE) --no-print-directory all $(BENCH_BIN)
	@bench/run
soak: bootstrap
	@tests/soak
clean:
	rm -rf build
