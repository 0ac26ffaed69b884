# SPDX-License-Identifier: MIT
# ---- Zydis: the instruction decoder, from Debian's source ---------------------------------------------
# An object or a test that uses it is named in ZYDIS_USERS; `make zydis` fetches and compiles it alone.
ZYDIS_USERS := arch/x86/emulate/insn
ZYDIS_SRC := Decoder DecoderData Disassembler Formatter FormatterATT FormatterBase FormatterBuffer FormatterIntel \
             MetaInfo Mnemonic Register Segment SharedData String Utils Zydis
ZYDIS_DEF := -DZYAN_NO_LIBC -DZYCORE_STATIC_BUILD -DZYDIS_STATIC_BUILD -DZYDIS_DISABLE_ENCODER \
             -DZYDIS_DISABLE_AVX512 -DZYDIS_DISABLE_KNC
ZYDIS_INC := -isystem $(B)/zydis/include -isystem $(B)/zydis/usr/include
ZYDIS_OBJ := $(ZYDIS_SRC:%=$(B)/hv/zydis/%.o)
ZYDIS_LIB := $(B)/host/libzydis.a
# For size: a decoded instruction is remembered (arch/x86/emulate/fetch.c), so decoding is never on a measured path.
ZYDIS_CC  := $(CC) -std=c11 -Os -ffreestanding -fno-strict-aliasing -fno-stack-protector -ffunction-sections \
             -fdata-sections -w $(ZYDIS_DEF) $(ZYDIS_INC) -I$(B)/zydis/src

$(B)/zydis/ready: scripts/pins | $(B)/fetch/zydis $(B)/fetch/zycore
	$(Q)rm -rf $(B)/zydis && mkdir -p $(B)/zydis
	$(Q)tar -xzf $(B)/fetch/zydis --strip-components=1 -C $(B)/zydis
	$(Q)dpkg-deb -x $(B)/fetch/zycore $(B)/zydis
	@touch $@

$(B)/hv/zydis/%.o: $(B)/zydis/ready arch/x86/emulate/zydis.mk
	$(call say,CC,zydis/$*.c)
	@mkdir -p $(@D)
	$(Q)$(ZYDIS_CC) -fno-jump-tables -mno-red-zone -mgeneral-regs-only -mcmodel=kernel -fno-pic -fno-pie \
		-fno-asynchronous-unwind-tables -fno-omit-frame-pointer -c $(B)/zydis/src/$*.c -o $@

$(B)/host/zydis/%.o: $(B)/zydis/ready
	@mkdir -p $(@D)
	$(Q)$(ZYDIS_CC) -g -c $(B)/zydis/src/$*.c -o $@

$(ZYDIS_LIB): $(ZYDIS_SRC:%=$(B)/host/zydis/%.o)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(ZYDIS_USERS:%=$(B)/hv/%.o) $(ZYDIS_USERS:%=$(B)/unit/%.o) $(ZYDIS_USERS:%=$(B)/fuzz/%.o): XFLAGS := $(ZYDIS_DEF) $(ZYDIS_INC)
$(ZYDIS_USERS:%=$(B)/hv/%.o) $(ZYDIS_USERS:%=$(B)/unit/%.o) $(ZYDIS_USERS:%=$(B)/fuzz/%.o): | $(B)/zydis/ready
zydis: $(ZYDIS_OBJ) $(ZYDIS_LIB)
.PHONY: zydis
