# SPDX-License-Identifier: MIT
# FUZZ_name := the sources that tests/fuzz/fuzz_name.c links.

FUZZ_chips := $(UNIT_vm_state)
FUZZ_config := boot/config.c boot/ini.c hv/lib/format.c
FUZZ_elf := boot/elf.c
FUZZ_console := hv/console.c hv/console_input.c hv/console_writers.c hv/partial.c hv/terminal.c hv/log.c hv/lib/format.c
FUZZ_exits := $(addprefix arch/x86/svm/,exits.c quirk_mends.c decode.c explain.c explain_report.c) $(addprefix arch/x86/vmx/,exits.c decode.c) \
              $(addprefix arch/x86/emulate/,operand.c alu.c) tests/unit/fake/exits_fake.c $(VMCS_FAKE) $(VCPU_FAKE)
FUZZ_firmware := boot/acpi.c boot/srat.c hv/lib/format.c arch/x86/host/ioapic.c tests/unit/fake/log_fake.c
FUZZ_insn := arch/x86/exit/pio.c $(MMIO)
FUZZ_linux := arch/x86/guestboot/linux.c $(BOOT_FAKE)
FUZZ_memdisk := hv/memdisk.c $(PAGE_FAKE)
FUZZ_multiboot := arch/x86/guestboot/multiboot.c arch/x86/guestboot/multiboot_info.c $(BOOT_FAKE)
FUZZ_routing := tests/unit/fake/look_fake.c hv/dev/apic_bus.c hv/request.c $(LAPIC) $(DEV_TEST)
FUZZ_policy := $(POLICY) arch/x86/pv/eoi.c arch/x86/pv/pvclock.c arch/x86/pv/steal.c $(TIMER) hv/vm_clock.c tests/unit/fake/clock_fake.c $(VCPU_FAKE)
FUZZ_npt := arch/x86/virt/npt.c arch/x86/vmx/npt_format.c arch/x86/svm/npt_format.c $(PAGE_FAKE)
FUZZ_queue := hv/virtio/blk.c hv/virtio/console.c hv/virtio/rng.c $(VIO_TEST)

ALL_FUZZERS = $(sort $(patsubst FUZZ_%,%,$(filter-out FUZZ_SECONDS,$(filter FUZZ_%,$(.VARIABLES)))))
FUZZERS = $(or $(T),$(ALL_FUZZERS))
refuse_fuzzer = $(if $(and $(filter fuzz,$(MAKECMDGOALS)),$(filter-out $(ALL_FUZZERS),$(T))),$(error no fuzzer is called $(T); there are: $(ALL_FUZZERS)))
