/* SPDX-License-Identifier: MIT */
/*
 * boot/ from efi_main to the jump, on a firmware made of tables: what the hypervisor finds at its first
 * instruction, and how each way not to get there ends. The jump goes to hv.elf's link address, where this
 * program has no memory: the fault shows the registers.
 */
#define _GNU_SOURCE		/* the names of registers in a signal */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>
#include <elf.h>

#include "arch/x86/hw/cr.h"
#include "boot/handoff.h"
#include "boot/memmap.h"
#include "boot/print.h"
#include "efi_fake.h"
#include "hv/lib/util.h"
#include "insn_fake.h"

#define DIR	"\\trapeze\\"
#define LINK	0xffffffff80000000ULL
#define ENTRY	(LINK + 0x123)
#define HANDLE	7U		/* the partition's; 1: the program's image */

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static struct {
	Elf64_Ehdr header;
	Elf64_Phdr program;
	uint8_t space[0x3000 - sizeof(Elf64_Ehdr) - sizeof(Elf64_Phdr)];
} image;

/* UEFI 2.10, 7.2: types 1 loader code, 2 loader data, 4 boot data, 7 free, 9 ACPI, 11 devices. */
static const struct memmap_descriptor memory[] = {
	{ .type = 7, .physical_start = 0x1000, .page_count = 0x9f, .attribute = 0xf },
	{ .type = 7, .physical_start = 0x100000, .page_count = 0x1000, .attribute = 0xf },
	{ .type = 4, .physical_start = 0x1100000, .page_count = 0x100, .attribute = 0xf },
	{ .type = 9, .physical_start = 0x1200000, .page_count = 2, .attribute = 0xf },
	{ .type = 11, .physical_start = 0xfec00000, .page_count = 1, .attribute = 0xf },
	{ .type = 7, .physical_start = 0x100000000, .page_count = 0x40000, .attribute = 0xf },
};

static EFI_GUID loaded_image = EFI_LOADED_IMAGE_PROTOCOL_GUID, file_system = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
static EFI_GUID gop_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
static EFI_LOADED_IMAGE own_image = { .DeviceHandle = (EFI_HANDLE)(uintptr_t)HANDLE };
static struct volume volume;

static bool is_volume_broken;

static EFI_STATUS EFIAPI open_volume(EFI_FILE_IO_INTERFACE *self, EFI_FILE_HANDLE *root)
{
	(void)self;
	*root = volume.root;
	return is_volume_broken ? EFI_VOLUME_CORRUPTED : EFI_SUCCESS;
}

static EFI_FILE_IO_INTERFACE partition = { .OpenVolume = open_volume };

/* A processor with APIC ID 5, and no more to tell: SDM vol. 2, CPUID leaf 1. */
static struct cpuid_regs processor(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	return leaf == 1 ? (struct cpuid_regs){ .ebx = 5U << 24 } : (struct cpuid_regs){ .eax = leaf == 0 ? 1 : 0 };
}

static void build_image(void)
{
	memset(&image, 0, sizeof(image));
	memcpy(image.header.e_ident, "\177ELF\2\1\1", 7);
	image.header = (Elf64_Ehdr){
		.e_ident = { 0x7f, 'E', 'L', 'F', 2, 1, 1 }, .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_entry = ENTRY,
		.e_phoff = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1,
	};
	image.program = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = 0x1000, .p_vaddr = LINK, .p_filesz = 0x2000,
				      .p_memsz = 0x2800 };
	memset((uint8_t *)&image + 0x1000, 0xcc, 0x2000);
}

static int set_up(void **unused)
{
	struct firmware fw;

	(void)unused;
	efi_fake_init(&fw);
	efi_fake_volume(&volume, &fw);
	print_leave_screen();
	build_image();
	efi_fake_protocol(1, loaded_image, &own_image);
	efi_fake_protocol(HANDLE, file_system, &partition);
	efi_fake.map = memory;
	efi_fake.map_size = sizeof(memory);
	efi_fake.map_entry = sizeof(memory[0]);
	insn_fake.cpuid = processor;
	insn_fake.cr4 = CR4_PAE | CR4_PGE | CR4_CET | CR4_PCIDE;
	efi_fake_add(DIR "hv.elf", &image, sizeof(image));
	efi_fake_text(DIR "vms\\a.conf", "kernel = kernel\n");
	efi_fake_text(DIR "kernel", "KERNEL");
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	efi_fake_free();
	return 0;
}

static bool says(const char *text) { return strstr(efi_fake.serial, text); }

/* ---- The jump ---- */

static sigjmp_buf landed;
static struct { uint64_t rip, rsp, rdi, rbp; } at_jump;

static void on_fault(int number, siginfo_t *info, void *context)
{
	const greg_t *regs = ((const ucontext_t *)context)->uc_mcontext.gregs;

	(void)number;
	(void)info;
	at_jump.rip = (uint64_t)regs[REG_RIP];
	at_jump.rsp = (uint64_t)regs[REG_RSP];
	at_jump.rdi = (uint64_t)regs[REG_RDI];
	at_jump.rbp = (uint64_t)regs[REG_RBP];
	siglongjmp(landed, 1);
}

static void boot(void) { (void)efi_main((EFI_HANDLE)1, &efi_fake_system); }

/* The handoff, when the boot came as far as the jump; else NULL. */
static struct handoff *boot_to_jump(void)
{
	static uint8_t stack[65536];
	const struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigaction before;
	bool has_landed = false;

	sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof(stack) }, NULL);
	sigaction(SIGSEGV, &action, &before);
	if (sigsetjmp(landed, 1))
		has_landed = true;
	else
		boot();
	sigaction(SIGSEGV, &before, NULL);
	return has_landed ? (struct handoff *)at_jump.rdi : NULL;
}

static uint32_t kind_at(const struct handoff *handoff, uint64_t addr)
{
	for (uint32_t i = 0; i < handoff->region_count; i++)
		if (addr - handoff->regions[i].start < handoff->regions[i].length)
			return handoff->regions[i].kind;
	return 0;
}

/* Where the tables say that an address leads: SDM vol. 3, 4.5 "4-Level Paging". All ones: nowhere. */
static uint64_t walk(uint64_t virt)
{
	const uint64_t *table = (const uint64_t *)insn_fake.cr3;

	for (uint64_t size = 1ULL << 39;; size >>= 9) {
		uint64_t entry = table[virt / size % 512];

		if (!(entry & 1))
			return ~0ULL;
		if (size == 0x1000 || (entry & 0x80))
			return (entry & 0xffffffffff000 & ~(size - 1)) + virt % size;
		table = (const uint64_t *)(entry & 0xffffffffff000);
	}
}

/* boot/handoff.h, "State at the jump". */
static void test_jump(void **unused)
{
	const struct handoff *handoff = boot_to_jump();

	(void)unused;
	assert_non_null(handoff);
	assert_int_equal(at_jump.rip, ENTRY);
	assert_int_equal(at_jump.rbp, 0);
	assert_int_equal(*(uint64_t *)at_jump.rsp, 0);		/* called from nowhere */
	assert_int_equal(at_jump.rsp % 16, 8);			/* as behind a CALL: the ABI's alignment */
	assert_int_equal(kind_at(handoff, at_jump.rsp), REGION_LOADER);
	assert_int_equal(kind_at(handoff, at_jump.rsp - 0x4000), REGION_LOADER);
	assert_int_equal(insn_fake.cr4, CR4_PAE);		/* no CET, no global pages, no PCID */
	assert_int_equal(efi_fake.exits, 1);
	assert_int_equal(efi_fake.resets, 0);
}

static void test_handoff(void **unused)
{
	const struct handoff *handoff = boot_to_jump();

	(void)unused;
	assert_non_null(handoff);
	assert_int_equal(handoff->magic, HANDOFF_MAGIC);
	assert_int_equal(handoff->version, HANDOFF_VERSION);
	assert_int_equal(handoff->size, sizeof(*handoff));
	assert_int_equal(handoff->hv_link, LINK);
	assert_int_equal(handoff->hv_length, 0x3000);
	assert_memory_equal((void *)handoff->hv_start, (uint8_t *)&image + 0x1000, 0x2000);
	assert_int_equal(((uint8_t *)handoff->hv_start)[0x2000], 0);	/* zeroed, whatever the firmware left there */
	assert_int_equal(handoff->efi_reset_system, (uintptr_t)efi_fake_system.RuntimeServices->ResetSystem);
	assert_int_equal(handoff->vm_count, 1);
	assert_string_equal(handoff->vms[0].name, "a");
	assert_int_equal(handoff->rsdp, 0);
	assert_int_equal(handoff->cpu_count, 1);
	assert_int_equal(handoff->cpus[0].apic_id, 5);
	assert_int_equal(handoff->framebuffer.base, 0);
}

static void test_regions(void **unused)
{
	const struct handoff *handoff = boot_to_jump();

	(void)unused;
	assert_non_null(handoff);
	assert_int_equal(kind_at(handoff, 0x1000), REGION_FREE);
	assert_int_equal(kind_at(handoff, 0x1100000), REGION_FREE);	/* boot services' memory is free by now */
	assert_int_equal(kind_at(handoff, 0x1200000), REGION_ACPI);
	assert_int_equal(kind_at(handoff, 0xfec00000), REGION_MMIO);
	assert_int_equal(kind_at(handoff, handoff->hv_start), REGION_HV);
	assert_int_equal(kind_at(handoff, handoff->hv_start + 0x2fff), REGION_HV);
	assert_int_equal(kind_at(handoff, handoff->files[0].start), REGION_FILE);
	assert_int_equal(kind_at(handoff, (uintptr_t)handoff), REGION_LOADER);
	assert_int_equal(kind_at(handoff, insn_fake.cr3), REGION_LOADER);
	for (uint32_t i = 1; i < handoff->region_count; i++)
		assert_true(handoff->regions[i - 1].start + handoff->regions[i - 1].length <= handoff->regions[i].start);
}

static void test_tables(void **unused)
{
	const struct handoff *handoff = boot_to_jump();

	(void)unused;
	assert_non_null(handoff);
	for (uint64_t addr = 0; addr < 1ULL << 32; addr += 0x3ff000)
		assert_int_equal(walk(addr), addr);
	assert_int_equal(walk(0x100000000), 0x100000000);	/* memory above 4 GiB */
	assert_int_equal(walk(0x13fffffff), 0x13fffffff);
	assert_int_equal(walk(0x140200000), ~0ULL);		/* and nothing behind it */
	for (uint64_t at = 0; at < 0x3000; at += 0x800)
		assert_int_equal(walk(LINK + at), handoff->hv_start + at);
	assert_int_equal(walk(LINK + 0x3000), ~0ULL);
}

/* The framebuffer is shown where it lies, above all memory. */
static void test_framebuffer(void **unused)
{
	EFI_GRAPHICS_OUTPUT_MODE_INFORMATION info = {
		.HorizontalResolution = 800, .VerticalResolution = 600, .PixelsPerScanLine = 1024,
		.PixelFormat = PixelBlueGreenRedReserved8BitPerColor,
	};
	EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE mode = { .Info = &info, .FrameBufferBase = 0x4000000000, .FrameBufferSize = 1024 * 600 * 4 };
	EFI_GRAPHICS_OUTPUT_PROTOCOL gop = { .Mode = &mode };
	const struct handoff *handoff;

	(void)unused;
	efi_fake_protocol(3, gop_guid, &gop);
	handoff = boot_to_jump();
	assert_non_null(handoff);
	assert_true(says("framebuffer 800x600"));
	assert_int_equal(handoff->framebuffer.base, 0x4000000000);
	assert_int_equal(handoff->framebuffer.pitch, 4096);
	assert_int_equal(handoff->framebuffer.is_bgr, 1);
	assert_int_equal(walk(0x4000000000 + 1024 * 600 * 4 - 1), 0x4000000000 + 1024 * 600 * 4 - 1);
}

/* ---- Leaving takes more than one attempt: UEFI 2.10, 7.4.6 ---- */

static void test_map_changes(void **unused)
{
	(void)unused;
	efi_fake.exit_failures = 3;
	assert_non_null(boot_to_jump());
	assert_int_equal(efi_fake.exits, 4);
	assert_true(says("attempt 3 to leave"));
	assert_false(strstr(efi_fake.screen, "attempt"));	/* the screen may be gone after the first one */
}

static void test_never_leaves(void **unused)
{
	(void)unused;
	efi_fake.exit_failures = 100;
	assert_true(efi_fake_ends(boot));
	assert_int_equal(efi_fake.exits, 8);
	assert_true(says("again and again"));
	assert_true(says("trapeze: END status=1 cannot leave the firmware\r\n"));
}

/* ---- How it ends ---- */

static void remove_file(const char *path)
{
	for (unsigned i = 0; i < efi_fake.file_count; i++)
		if (strcmp(efi_fake.files[i].path, path) == 0)
			efi_fake.files[i].path[0] = '?';
}

static void test_no_hypervisor(void **unused)
{
	(void)unused;
	remove_file(DIR "hv.elf");
	assert_true(efi_fake_ends(boot));
	assert_true(says("TZ-E030 \\trapeze\\hv.elf: no such file"));
	assert_true(says("switching off in 60 s"));
	assert_int_equal(efi_fake.wait_timer, 600000000);	/* of 100 ns */
}

/* Keys that were pressed in the firmware's menu do not end the minute. */
static void test_keys_before(void **unused)
{
	(void)unused;
	remove_file(DIR "hv.elf");
	efi_fake.typed = 3;
	assert_true(efi_fake_ends(boot));
	assert_int_equal(efi_fake.left_at_wait, 0);
	assert_true(efi_fake.waits > 0);
}

static void test_bad_hypervisor(void **unused)
{
	(void)unused;
	image.header.e_machine = EM_386;
	assert_true(efi_fake_ends(boot));
	assert_true(says("TZ-E031 \\trapeze\\hv.elf: "));
}

static void test_57_bits(void **unused)
{
	(void)unused;
	insn_fake.cr4 |= BIT(12);		/* LA57 */
	assert_true(efi_fake_ends(boot));
	assert_true(says("TZ-E033"));
	assert_int_equal(efi_fake.exits, 0);
}

static void test_no_volume(void **unused)
{
	(void)unused;
	is_volume_broken = true;
	assert_true(efi_fake_ends(boot));
	assert_true(says("TZ-E036"));
	is_volume_broken = false;
	efi_fake.protocol_count = 1;		/* the partition has no file system */
	assert_true(efi_fake_ends(boot));
	efi_fake.protocol_count = 0;
	assert_true(efi_fake_ends(boot));
}

static void test_no_map(void **unused)
{
	(void)unused;
	efi_fake.map = NULL;
	assert_true(efi_fake_ends(boot));
	assert_true(says("TZ-E034 the firmware does not give"));
}

static void test_map_too_long(void **unused)
{
	static struct memmap_descriptor many[2 * HANDOFF_REGIONS_MAX];

	(void)unused;
	for (size_t i = 0; i < countof(many); i++)
		many[i] = (struct memmap_descriptor){ .type = i % 2 ? 7 : 9, .physical_start = i * 4096, .page_count = 1 };
	efi_fake.map = many;
	efi_fake.map_size = sizeof(many);
	assert_true(efi_fake_ends(boot));
	assert_true(says("more than 512 regions"));
}

/* Each allocation of a boot fails once: there is a line with a code, never a crash. */
static void test_out_of_memory(void **unused)
{
	uint64_t needed;

	(void)unused;
	assert_non_null(boot_to_jump());
	needed = UINT32_MAX - efi_fake.pages_left;
	for (uint64_t pages = 0; pages < needed; pages++) {
		tear_down(NULL);
		set_up(NULL);
		efi_fake.pages_left = pages;
		assert_true(efi_fake_ends(boot));
		assert_true(says("TZ-E032") || says("not enough memory") || says("TZ-E034"));
	}
}

/* ---- The user ---- */

static void test_wait(void **unused)
{
	(void)unused;
	efi_fake_text(DIR "trapeze.conf", "timeout = 3\n");
	assert_non_null(boot_to_jump());		/* nobody pressed a key */
	assert_int_equal(efi_fake.wait_timer, 30000000);
	efi_fake.key = SCAN_DOWN;
	assert_non_null(boot_to_jump());
	efi_fake.key = SCAN_ESC;
	assert_int_equal(efi_main((EFI_HANDLE)1, &efi_fake_system), EFI_ABORTED);
	assert_true(says("Esc returns to the firmware"));
}

/* when_done = halt: the message stays until a key, and a script finds its word in the last line. */
static void test_stay_on(void **unused)
{
	(void)unused;
	efi_fake_text(DIR "trapeze.conf", "when_done = halt\nrun_id = 77\n");
	remove_file(DIR "hv.elf");
	efi_fake.key = 1;
	assert_true(efi_fake_ends(boot));
	assert_true(says("press a key to switch off"));
	assert_true(says("trapeze: END status=1 no hypervisor (run 77)\r\n"));
	assert_int_equal(efi_fake.wait_timer, 0);
}

static void test_secure_boot(void **unused)
{
	(void)unused;
	efi_fake.is_secure = true;
	assert_non_null(boot_to_jump());
	assert_true(says("TZ-I012"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_jump), TEST(test_handoff), TEST(test_regions), TEST(test_tables), TEST(test_framebuffer),
		TEST(test_map_changes), TEST(test_never_leaves), TEST(test_no_hypervisor), TEST(test_keys_before), TEST(test_bad_hypervisor),
		TEST(test_57_bits), TEST(test_no_volume), TEST(test_no_map), TEST(test_map_too_long),
		TEST(test_out_of_memory), TEST(test_wait), TEST(test_stay_on), TEST(test_secure_boot),
	};

	return cmocka_run_group_tests_name("boot_story", tests, NULL, NULL);
}
