# SPDX-License-Identifier: MIT
# UNIT_name := the sources that tests/unit/test_name.c links. A test that needs half the tree tests something that knows too much.

TIMER := hv/timer.c tests/unit/fake/processor_fake.c
PAGE_FAKE := tests/unit/fake/page_fake.c tests/unit/fake/processor_fake.c hv/account.c hv/node.c
INSN_FAKE := tests/unit/fake/insn_fake.c
CPU_FAKE := tests/unit/fake/cpu_fake.c arch/x86/host/attention.c
UNIT_insn := arch/x86/emulate/insn.c hv/lib/format.c
UNIT_alu := arch/x86/emulate/alu.c
VCPU_FAKE := tests/unit/fake/vcpu_fake.c $(PAGE_FAKE) tests/unit/fake/log_fake.c hv/gpm.c hv/bus.c \
             hv/lib/format.c arch/x86/emulate/insn.c arch/x86/emulate/walk.c arch/x86/emulate/gva.c arch/x86/emulate/fetch.c
VCPU_FAKE += arch/x86/virt/npt.c arch/x86/svm/npt_format.c
UNIT_walk := $(VCPU_FAKE)
OPERANDS := $(TIMER) tests/unit/fake/clock_fake.c arch/x86/exit/dr.c arch/x86/exit/string.c arch/x86/emulate/operand.c arch/x86/emulate/alu.c $(VCPU_FAKE)
MMIO := $(addprefix arch/x86/exit/,mmio.c mmio_forms.c mmio_stack.c mmio_string.c mmio_hole.c mmio_vector.c mmio_x87.c) \
        arch/x86/host/fpu_area.c arch/x86/host/x87.c tests/unit/fake/fpu_fake.c $(INSN_FAKE) $(OPERANDS)
UNIT_mmio := $(MMIO)
UNIT_native := tests/unit/fake/native_cpu.c $(MMIO)
UNIT_pio := arch/x86/exit/pio.c $(OPERANDS)
UNIT_bus := hv/bus.c tests/unit/fake/log_fake.c
UNIT_spread := hv/spread.c hv/vm_timers.c hv/vm_clock.c hv/bus.c hv/gpm.c $(TIMER) $(PAGE_FAKE) tests/unit/fake/look_fake.c tests/unit/fake/clock_fake.c tests/unit/fake/log_fake.c
DEV_TEST := hv/bus.c $(TIMER) hv/vm_clock.c hv/state.c tests/unit/fake/clock_fake.c tests/unit/fake/log_fake.c
UNIT_work := hv/work.c
# Here the order of locks is checked as in make DEBUG=1.
LOCKS := hv/lock_check.c tests/unit/fake/processor_fake.c tests/unit/fake/panic_fake.c
$(addprefix $(B)/unit/hv/,log.o console.o console_input.o console_writers.o): XFLAGS += -DDEBUG
UNIT_lock := hv/lock_check.c tests/unit/fake/panic_fake.c tests/unit/fake/log_fake.c
$(B)/unit/tests/unit/test_lock.o: XFLAGS += -DDEBUG
UNIT_timer := $(TIMER) tests/unit/fake/clock_fake.c
UNIT_vm_clock := hv/vm_clock.c $(TIMER) tests/unit/fake/clock_fake.c
UNIT_state := hv/state.c
TURN := hv/turn.c hv/share.c hv/round_robin.c
UNIT_turn := $(TURN)
UNIT_fairness := hv/cap.c $(TURN)
UNIT_restart := hv/restart.c
UNIT_vm := tests/unit/fake/look_fake.c hv/vm.c hv/vm_timers.c hv/vm_life.c hv/vm_start.c hv/gpm.c hv/memory_map.c $(TIMER) hv/vm_clock.c hv/lib/format.c arch/x86/virt/npt.c arch/x86/guestboot/copies.c \
           hv/memdisk.c tests/unit/fake/text_fake.c tests/unit/fake/clock_fake.c tests/unit/fake/log_fake.c $(PAGE_FAKE)
UNIT_sched := hv/sched.c hv/bus.c hv/home.c hv/limb.c hv/spread.c hv/vm_timers.c hv/look.c hv/slots.c hv/vm_nodes.c hv/cap.c hv/activity.c $(TURN) hv/restart.c hv/account.c $(TIMER) hv/work.c hv/vm_clock.c hv/lib/format.c \
              tests/unit/fake/clock_fake.c tests/unit/fake/log_fake.c tests/unit/fake/panic_fake.c tests/unit/fake/sched_fake.c
UNIT_watch := hv/watch.c hv/lib/format.c $(TIMER) tests/unit/fake/clock_fake.c tests/unit/fake/panic_fake.c
UNIT_node := hv/node.c hv/vm_nodes.c hv/lib/format.c
UNIT_sched_two := $(filter-out hv/slots.c hv/vm_nodes.c hv/restart.c hv/account.c hv/lib/format.c %/panic_fake.c,$(UNIT_sched))
UNIT_end := hv/end.c
UNIT_last_words := hv/last_words.c $(TIMER) tests/unit/fake/clock_fake.c tests/unit/fake/log_fake.c
UNIT_pic := hv/dev/pic.c $(DEV_TEST)
UNIT_pit := hv/dev/pit.c hv/dev/pit_counter.c hv/dev/pic.c hv/dev/ioapic.c $(DEV_TEST)
UNIT_rtc := hv/dev/rtc.c hv/dev/calendar.c hv/dev/cmos.c $(DEV_TEST)
UNIT_uart := hv/dev/uart16550.c $(DEV_TEST)
UNIT_i8042 := hv/dev/i8042.c hv/dev/debugcon.c $(DEV_TEST)
UNIT_crtc := hv/dev/crtc.c $(DEV_TEST)
UNIT_acpi_pm := hv/dev/acpi_pm.c $(DEV_TEST)
LAPIC := hv/dev/lapic.c hv/dev/lapic_regs.c hv/dev/lapic_page.c hv/dev/lapic_timer.c hv/dev/lapic_lint0.c
UNIT_lapic := $(LAPIC) $(DEV_TEST)
UNIT_lapic_page := $(LAPIC) $(DEV_TEST)
UNIT_ioapic := hv/dev/ioapic.c $(DEV_TEST)
PC_FAKE := tests/unit/fake/pc_fake.c tests/unit/fake/look_fake.c hv/request.c $(filter-out hv/dev/apic_bus.c hv/dev/apic_wires.c hv/dev/bios_trap.c,$(DEV_C)) $(DEV_TEST)
VIO_TRANSPORT := hv/virtio/queue.c hv/virtio/request.c hv/virtio/serve.c hv/virtio/mmio.c hv/virtio/status.c
UNIT_vm_state := hv/vm_state.c $(VIO_TRANSPORT) hv/work.c hv/gpm.c $(PAGE_FAKE) $(PC_FAKE)
UNIT_memdisk := hv/memdisk.c $(PAGE_FAKE)
UNIT_machine := hv/machine.c tests/unit/fake/look_fake.c hv/lib/format.c hv/memdisk.c hv/gpm.c hv/work.c $(filter-out hv/dev/apic_bus.c hv/dev/apic_wires.c,$(DEV_C)) $(VIO_C) $(DEV_TEST) $(PAGE_FAKE)
UNIT_memory_map := hv/memory_map.c
UNIT_vga_text := hv/vga_text.c hv/gpm.c $(PAGE_FAKE) tests/unit/fake/log_fake.c
UNIT_reset := arch/x86/virt/reset.c
BOOT_FAKE := arch/x86/guestboot/copies.c tests/unit/fake/guest_fake.c $(PAGE_FAKE) hv/gpm.c hv/memory_map.c arch/x86/virt/reset.c
UNIT_copies := $(BOOT_FAKE)
UNIT_linux := arch/x86/guestboot/linux.c $(BOOT_FAKE)
UNIT_multiboot := arch/x86/guestboot/multiboot.c arch/x86/guestboot/multiboot_info.c $(BOOT_FAKE)
UNIT_loader := arch/x86/guestboot/loader.c arch/x86/guestboot/linux.c arch/x86/guestboot/multiboot.c arch/x86/guestboot/multiboot_info.c \
               arch/x86/guestboot/bootsector.c arch/x86/guestboot/foreign.c arch/x86/guestboot/acpi_tables.c arch/x86/guestboot/mp_table.c \
               arch/x86/guestboot/bios_data.c hv/files.c $(BOOT_FAKE)
UNIT_acpi := arch/x86/guestboot/acpi_tables.c $(BOOT_FAKE)
UNIT_firmware := arch/x86/guestboot/mp_table.c arch/x86/guestboot/bios_data.c hv/dev/bios_trap.c hv/bus.c hv/lib/format.c \
                 tests/unit/fake/log_fake.c $(BOOT_FAKE)
UNIT_kick := arch/x86/host/kick.c $(CPU_FAKE)
UNIT_home := hv/home.c hv/limb.c hv/spread.c hv/bus.c tests/unit/fake/log_fake.c hv/cap.c hv/look.c hv/activity.c $(TURN) $(TIMER) tests/unit/fake/clock_fake.c
UNIT_look := hv/look.c tests/unit/fake/clock_fake.c $(TIMER)
UNIT_request := hv/request.c hv/look.c $(LAPIC) $(DEV_TEST)
UNIT_apic_bus := tests/unit/fake/look_fake.c hv/dev/apic_bus.c hv/request.c arch/x86/virt/init_sipi.c arch/x86/virt/reset.c
VIO_TEST := hv/work.c hv/state.c $(VIO_TRANSPORT) \
            tests/unit/fake/virtio_driver.c tests/unit/fake/gpm_fake.c tests/unit/fake/log_fake.c
UNIT_queue := $(VIO_TEST)
UNIT_queue_once := $(filter-out hv/virtio/queue.c,$(VIO_TEST))
UNIT_virtio_mmio := $(VIO_TEST)
UNIT_virtio_state := hv/virtio/blk.c hv/virtio/console.c hv/virtio/rng.c $(VIO_TEST)
UNIT_virtio_console := hv/virtio/console.c $(VIO_TEST)
UNIT_virtio_blk := hv/virtio/blk.c $(VIO_TEST)
UNIT_virtio_rng := hv/virtio/rng.c $(INSN_FAKE) $(VIO_TEST)
UNIT_pvclock := arch/x86/pv/pvclock.c
UNIT_eoi := arch/x86/pv/eoi.c
UNIT_steal := arch/x86/pv/steal.c
UNIT_mtrr := arch/x86/exit/mtrr.c $(VCPU_FAKE)
UNIT_cpuid := arch/x86/exit/cpuid.c arch/x86/exit/cpuid_policy.c $(VCPU_FAKE)
POLICY := arch/x86/exit/cpuid.c arch/x86/exit/cpuid_policy.c arch/x86/exit/msr.c arch/x86/exit/mtrr.c arch/x86/exit/cr.c arch/x86/exit/xsetbv.c $(INSN_FAKE)
UNIT_policy := $(POLICY) arch/x86/exit/mmio_hole.c $(VCPU_FAKE)
UNIT_guest_state := arch/x86/virt/guest_state.c arch/x86/virt/save.c
UNIT_hlt := arch/x86/exit/hlt.c
UNIT_dispatch := arch/x86/exit/dispatch.c $(CPU_FAKE) $(INSN_FAKE)
UNIT_hypercall := arch/x86/exit/hypercall.c $(TIMER) hv/vm_clock.c tests/unit/fake/clock_fake.c $(VCPU_FAKE)
UNIT_dr := arch/x86/exit/dr.c $(VCPU_FAKE)
UNIT_task_switch := $(addprefix arch/x86/exit/,task_switch.c task_switch_tss.c task_switch_seg.c task_switch_touch.c) arch/x86/virt/event.c $(OPERANDS)
UNIT_npt := arch/x86/virt/npt.c arch/x86/vmx/npt_format.c arch/x86/svm/npt_format.c $(PAGE_FAKE)
UNIT_touch := arch/x86/exit/npt.c $(VCPU_FAKE)
UNIT_gpm := hv/gpm.c $(PAGE_FAKE)
UNIT_account := hv/gpm.c hv/memdisk.c arch/x86/virt/npt.c arch/x86/vmx/npt_format.c $(PAGE_FAKE)
UNIT_caps := arch/x86/virt/caps.c hv/lib/format.c
UNIT_inject := arch/x86/virt/event.c
VMCS_FAKE := tests/unit/fake/vmcs_fake.c $(CPU_FAKE) $(INSN_FAKE)
UNIT_vmx_explain := arch/x86/vmx/explain.c
UNIT_vmx_decode := arch/x86/vmx/decode.c
UNIT_vmx_inject := $(addprefix arch/x86/vmx/,inject.c decode.c state.c) arch/x86/virt/event.c arch/x86/exit/dr.c \
                   tests/unit/fake/panic_fake.c $(VMCS_FAKE) $(VCPU_FAKE)
UNIT_virtual_apic := arch/x86/vmx/virtual_apic.c arch/x86/vmx/quirk_masked.c $(LAPIC) $(DEV_TEST) tests/unit/fake/panic_fake.c $(VMCS_FAKE)
UNIT_vmx_exits := arch/x86/vmx/exits.c arch/x86/vmx/decode.c tests/unit/fake/exits_fake.c $(VMCS_FAKE) $(VCPU_FAKE)
UNIT_vmx_save := arch/x86/vmx/save.c $(VMCS_FAKE)
UNIT_vmx_controls := arch/x86/vmx/controls.c arch/x86/vmx/bitmaps.c
UNIT_svm_decode := arch/x86/svm/decode.c arch/x86/emulate/insn.c hv/lib/format.c
UNIT_svm_inject := $(addprefix arch/x86/svm/,inject.c quirk_mends.c quirk_shadow.c decode.c state.c controls.c) arch/x86/virt/event.c arch/x86/exit/dr.c $(INSN_FAKE) $(VCPU_FAKE)
UNIT_vmx_enable := arch/x86/vmx/enable.c arch/x86/vmx/controls.c arch/x86/virt/caps.c hv/lib/format.c tests/unit/fake/panic_fake.c \
                   tests/unit/fake/log_fake.c $(VMCS_FAKE) $(PAGE_FAKE)
UNIT_svm_exits := $(addprefix arch/x86/svm/,exits.c quirk_mends.c decode.c explain.c explain_report.c) $(addprefix arch/x86/emulate/,operand.c alu.c) \
                  tests/unit/fake/exits_fake.c $(CPU_FAKE) $(INSN_FAKE) $(VCPU_FAKE)
UNIT_svm_save := arch/x86/svm/save.c $(INSN_FAKE)
UNIT_svm_enable := arch/x86/svm/enable.c arch/x86/svm/controls.c arch/x86/virt/caps.c hv/lib/format.c tests/unit/fake/panic_fake.c \
                   tests/unit/fake/log_fake.c $(CPU_FAKE) $(INSN_FAKE) $(PAGE_FAKE)
UNIT_quirks := $(addprefix arch/x86/svm/,quirks.c quirk_mends.c quirk_shadow.c decode.c npt_format.c) arch/x86/virt/quirks.c arch/x86/virt/npt.c hv/lib/format.c \
               tests/unit/fake/panic_fake.c tests/unit/fake/log_fake.c $(CPU_FAKE) $(INSN_FAKE) $(PAGE_FAKE)
UNIT_svm_explain := arch/x86/svm/explain.c
UNIT_svm_layout := arch/x86/svm/bitmaps.c arch/x86/svm/controls.c
UNIT_format := hv/lib/format.c
UNIT_string :=
# It counts the steps of these two: the compiler calls it at each branch.
$(B)/unit/hv/page.o $(B)/unit/hv/buddy.o: XFLAGS += -fsanitize-coverage=trace-pc
UNIT_page := hv/page.c hv/buddy.c hv/node.c tests/unit/fake/log_fake.c
UNIT_page_many := hv/page.c hv/buddy.c hv/node.c tests/unit/fake/log_fake.c
UNIT_paging := $(INSN_FAKE)
UNIT_landing := $(B)/hv/arch/x86/vmx/switch.asm.o $(B)/hv/arch/x86/host/return_stack.asm.o
$(B)/unit/test_landing: UTFLAGS += -Wl,-z,noexecstack
UNIT_speculation := hv/lib/format.c $(INSN_FAKE)
UNIT_log := hv/log.c hv/lib/format.c $(LOCKS)
UNIT_dump := arch/x86/exit/dump.c hv/vga_text.c $(VCPU_FAKE)
UNIT_terminal := hv/terminal.c
UNIT_partial := hv/partial.c
UNIT_serial := $(INSN_FAKE)
UNIT_keyboard := $(INSN_FAKE)
UNIT_console := hv/console.c hv/console_input.c hv/console_writers.c hv/partial.c hv/terminal.c hv/log.c hv/lib/format.c $(LOCKS)
UNIT_paste := hv/console_input.c hv/terminal.c $(LOCKS) $(INSN_FAKE)
UNIT_fb := drivers/fb.c drivers/font.c $(TIMER) tests/unit/fake/clock_fake.c $(PAGE_FAKE)
UNIT_config := boot/config.c boot/ini.c hv/lib/format.c
UNIT_elf := boot/elf.c
UNIT_memmap := boot/memmap.c
UNIT_boot_acpi := boot/acpi.c
UNIT_srat := boot/srat.c hv/lib/format.c
UNIT_boot_paging := boot/paging.c
BOOT_EFI := boot/file.c boot/firmware.c boot/print.c tests/unit/fake/efi_fake.c tests/unit/fake/text_fake.c $(INSN_FAKE) hv/lib/format.c
UNIT_boot_vms := boot/vms.c boot/config.c boot/ini.c $(BOOT_EFI)
UNIT_boot_story := $(addprefix boot/,entry.c leave.c elf.c cpus.c numa.c srat.c acpi.c gop.c memmap.c paging.c vms.c config.c ini.c) $(BOOT_EFI)
UNIT_boot_firmware := boot/cpus.c boot/numa.c boot/srat.c boot/memmap.c boot/acpi.c boot/paging.c boot/gop.c boot/firmware.c boot/print.c $(BOOT_EFI)
UNIT_vcpu := tests/unit/fake/look_fake.c hv/vcpu.c hv/dev/apic_wires.c $(addprefix arch/x86/virt/,registers.c load.c event.c) arch/x86/exit/fatal.c $(CPU_FAKE) \
             $(INSN_FAKE) $(LAPIC) $(DEV_TEST) $(PAGE_FAKE)
UNIT_exit_events := $(addprefix arch/x86/exit/,exception.c hlt.c irq.c npt.c dr.c) tests/unit/fake/panic_fake.c \
                    $(CPU_FAKE) $(INSN_FAKE) $(VCPU_FAKE)
UNIT_host_ioapic := tests/unit/fake/mmio_page.c tests/unit/fake/log_fake.c
UNIT_tsc_agree := arch/x86/host/tsc_agree.c
UNIT_tsc := $(TIMER) hv/dev/calendar.c tests/unit/fake/log_fake.c $(INSN_FAKE)
UNIT_host_lapic := tests/unit/fake/mmio_page.c tests/unit/fake/log_fake.c $(TIMER) $(CPU_FAKE) $(INSN_FAKE)
UNIT_trap := arch/x86/host/trap.c hv/lib/format.c tests/unit/fake/panic_fake.c tests/unit/fake/log_fake.c $(INSN_FAKE)
UNIT_host_cpu := arch/x86/host/cpu_init.c arch/x86/host/features.c hv/lib/format.c tests/unit/fake/text_fake.c tests/unit/fake/log_fake.c $(INSN_FAKE)
UNIT_machine_check := arch/x86/host/machine_check.c tests/unit/fake/log_fake.c $(INSN_FAKE)
UNIT_restore := hv/restore_test.c $(PAGE_FAKE)
UNIT_panic := hv/panic.c hv/end.c hv/lib/format.c tests/unit/fake/log_fake.c
UNIT_panic_stop := arch/x86/host/others.c tests/unit/fake/log_fake.c tests/unit/fake/panic_fake.c $(INSN_FAKE)
UNIT_block_dump := $(addprefix arch/x86/vmx/,dump.c explain.c explain_report.c) arch/x86/svm/dump.c $(VMCS_FAKE) $(VCPU_FAKE)
UNIT_ap := arch/x86/host/ap.c arch/x86/host/others.c hv/lib/format.c tests/unit/fake/panic_fake.c $(CPU_FAKE) \
           tests/unit/fake/log_fake.c $(INSN_FAKE)
