# SPDX-License-Identifier: MIT
# ---- Guests: tiny ones of ours, and Debian --------------------------------------------------------------
# Those whose names begin with bench are `make bench`'s; what each other guest is for is in tests/boot/test_tiny.py
TINY := $(patsubst guest/tiny/%.asm,%,$(sort $(wildcard guest/tiny/*.asm)))

# With all that they may include: -MD of nasm 2.16 names the source alone.
$(B)/tiny/%.bin: guest/tiny/%.asm $(wildcard guest/tiny/*.inc)
	$(call say,NASM,$<)
	@mkdir -p $(@D)
	$(Q)$(NASM) -f bin -I guest/tiny/ $< -o $@
tiny: $(TINY:%=$(B)/tiny/%.bin)

LINUX := $(B)/linux/vmlinuz $(B)/linux/initramfs $(B)/linux/root.img
LINUX_FILES := $(addprefix guest/linux/,init session profile passwd group)
# A builder who is not root becomes it in a name space of his own, so that the files on the disk are root's.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,unshare -r)

# A kernel as unpacked, and the initramfs for it: directory, its key in scripts/pins
define KERNEL
$(B)/$(1)/ready: scripts/pins | $(B)/fetch/$(2) $(B)/fetch/busybox
	$$(call say,UNPACK,"Debian kernel and busybox into $(B)/$(1)")
	$$(Q)rm -rf $$(@D) && mkdir -p $$(@D)/kernel $$(@D)/busybox
	$$(Q)dpkg-deb -x $(B)/fetch/$(2) $$(@D)/kernel
	$$(Q)dpkg-deb -x $(B)/fetch/busybox $$(@D)/busybox
	@touch $$@
$(B)/$(1)/vmlinuz: $(B)/$(1)/ready
	$$(Q)cp $$(@D)/kernel/boot/vmlinuz-* $$@
$(B)/$(1)/initramfs: guest/linux/initramfs.list $$(LINUX_FILES) scripts/mkinitramfs $(B)/$(1)/ready
	$$(call say,CPIO,$$@)
	$$(Q)scripts/mkinitramfs $$@ $$< $$(@D)/kernel $$(@D)/busybox
endef
$(eval $(call KERNEL,linux,kernel))

# The kernel of bookworm-backports, which only long boots run
LINUX_612 := $(B)/linux612/vmlinuz $(B)/linux612/initramfs
$(eval $(call KERNEL,linux612,kernel612))
boot-test: $(if $(filter quick,$(BOOTS)),,$(LINUX_612))

$(B)/linux/root.img: guest/linux/root.list $(LINUX_FILES) scripts/mkinitramfs $(B)/linux/ready
	$(call say,MKE2FS,$@)
	$(Q)rm -rf $@ $(B)/linux/root && mkdir $(B)/linux/root
	$(Q)scripts/mkinitramfs --tree $(B)/linux/root $< $(B)/linux/kernel $(B)/linux/busybox
	$(Q)truncate -s 32M $@
	$(Q)PATH=$$PATH:/usr/sbin:/sbin $(AS_ROOT) mke2fs -q -t ext4 -b 4096 -m 0 -L trapeze-root -d $(B)/linux/root \
		-E root_owner=0:0,lazy_itable_init=0 -O ^resize_inode,^metadata_csum $@
linux: $(LINUX)
.PHONY: tiny linux
