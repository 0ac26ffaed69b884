# SPDX-License-Identifier: MIT
# A load for the Debian guest: a static program, and the guest's initramfs with an archive behind it that holds it.
LOAD_C := $(wildcard tests/load/*.c)

$(B)/load/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -std=gnu17 -O2 -pthread $(WARN) -MMD -MP -c $< -o $@
$(B)/load/load: $(LOAD_C:%.c=$(B)/load/%.o)
	$(call say,LINK,$@)
	$(Q)$(HOSTCC) -static -pthread $^ -o $@
$(B)/load/initramfs: $(B)/load/load $(B)/linux/initramfs scripts/mkinitramfs tests/load/load.mk
	$(call say,CPIO,$@)
	$(Q)echo 'file /bin/load load' >$(@D)/list
	$(Q)scripts/mkinitramfs $@.more $(@D)/list $(B)/linux/kernel $(B)/linux/busybox
	$(Q)cat $(B)/linux/initramfs $@.more >$@
boot-test: $(B)/load/initramfs
-include $(LOAD_C:%.c=$(B)/load/%.d)
