# SPDX-License-Identifier: MIT
# FUZZ_name := the sources that tests/fuzz/fuzz_name.c links.

FUZZ_chips := hv/vm_state.c $(PC_FAKE)
FUZZ_config := boot/config.c boot/ini.c hv/lib/format.c
FUZZ_elf := boot/elf.c
FUZZ_insn := arch/x86/exit/pio.c $(MMIO)
FUZZ_linux := arch/x86/guestboot/linux.c $(BOOT_FAKE)
FUZZ_multiboot := arch/x86/guestboot/multiboot.c arch/x86/guestboot/multiboot_info.c $(BOOT_FAKE)
FUZZ_routing := hv/dev/apic_bus.c $(LAPIC) $(DEV_TEST)
FUZZ_policy := $(POLICY) arch/x86/exit/pvclock.c hv/timer.c hv/vm_clock.c tests/unit/fake/clock_fake.c $(VCPU_FAKE)
FUZZ_queue := hv/virtio/blk.c hv/virtio/console.c hv/virtio/rng.c $(VIO_TEST)
