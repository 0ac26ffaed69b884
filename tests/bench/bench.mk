# SPDX-License-Identifier: MIT
# make bench BENCH="--on bochs --quick"      more of scripts/bench
# Besides the guests it wants a second hv.elf that counts its own costly instructions (hv/count.h), a program for
# Debian, and Debian without us.
COUNT := tests/bench/count
BENCH ?=
$(B)/bench/user: guest/linux/bench.asm
	$(call say,NASM,$<)
	@mkdir -p $(@D)
	$(Q)$(NASM) -f elf64 $< -o $@.o && ld -static -z noexecstack $@.o -o $@
$(B)/bench/native.so: $(B)/boot/tests/bench/native.o boot/boot.ld
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)ld -shared -Bsymbolic -nostdlib -z noexecstack -z nocombreloc --no-undefined -T boot/boot.ld \
		/usr/lib/crt0-efi-x86_64.o $< -L/usr/lib -lefi -lgnuefi -o $@
$(B)/bench/native.efi: $(B)/bench/native.so
	$(Q)objcopy $(BOOT_KEEP) --target=efi-app-x86_64 --subsystem=10 $< $@
bench-ready: ready $(B)/bench/user $(B)/bench/native.efi
	@$(MAKE) --no-print-directory $(JOBS) B=$(B)/count CC="$(CC) -I$(COUNT)" NASM="$(NASM) -P $(COUNT)/count.inc" \
		$(B)/count/hv.elf
bench: bench-ready
	@scripts/bench --build $(B) $(BENCH)
