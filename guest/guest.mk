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

$(B)/linux/ready: scripts/pins | $(B)/fetch/kernel $(B)/fetch/busybox
	$(call say,UNPACK,"Debian kernel and busybox")
	$(Q)rm -rf $(B)/linux && mkdir -p $(B)/linux/kernel $(B)/linux/busybox
	$(Q)dpkg-deb -x $(B)/fetch/kernel $(B)/linux/kernel
	$(Q)dpkg-deb -x $(B)/fetch/busybox $(B)/linux/busybox
	@touch $@
$(B)/linux/vmlinuz: $(B)/linux/ready
	$(Q)cp $(B)/linux/kernel/boot/vmlinuz-* $@
$(B)/linux/initramfs: guest/linux/initramfs.list $(LINUX_FILES) scripts/mkinitramfs $(B)/linux/ready
	$(call say,CPIO,$@)
	$(Q)scripts/mkinitramfs $@ $< $(B)/linux/kernel $(B)/linux/busybox
$(B)/linux/root.img: guest/linux/root.list $(LINUX_FILES) scripts/mkinitramfs $(B)/linux/ready
	$(call say,MKE2FS,$@)
	$(Q)rm -rf $@ $(B)/linux/root && mkdir $(B)/linux/root
	$(Q)scripts/mkinitramfs --tree $(B)/linux/root $< $(B)/linux/kernel $(B)/linux/busybox
	$(Q)truncate -s 32M $@
	$(Q)PATH=$$PATH:/usr/sbin:/sbin $(AS_ROOT) mke2fs -q -t ext4 -b 4096 -m 0 -L trapeze-root -d $(B)/linux/root \
		-E root_owner=0:0,lazy_itable_init=0 -O ^resize_inode,^metadata_csum $@
linux: $(LINUX)
.PHONY: tiny linux
