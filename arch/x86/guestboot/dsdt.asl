/* SPDX-License-Identifier: MIT */
/*
 * What the guest is told about devices that have no bus of their own (ACPI specification, chapter 19 "ASL").
 * The addresses are those of hv/machine.h; tests/unit/test_acpi.c compares them.
 *
 * VCNT is the number of virtio-mmio windows in use. acpi_tables.c finds it by name in the compiled table and
 * overwrites its byte, so it must be written here as a number that needs one (neither 0 nor 1).
 *
 * The C preprocessor runs over this file before iasl, whose own one of 2020 knows no macros with arguments.
 * There is no PCI root and no processor object: the guest finds its processors in the MADT.
 */

/* Window n: an edge-triggered line of its own on the I/O APIC, GSI 16 + n. LNRO0005 is what Linux' virtio_mmio driver binds to. */
#define VIRTIO_MMIO(name, n, base, gsi)						\
	Device (name)								\
	{									\
		Name (_HID, "LNRO0005")						\
		Name (_UID, n)							\
		Method (_STA) { Return (STA (n)) }				\
		Name (_CRS, ResourceTemplate ()					\
		{								\
			Memory32Fixed (ReadWrite, base, 0x1000)			\
			Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { gsi }	\
		})								\
	}

DefinitionBlock ("", "DSDT", 2, "TRAPEZ", "TRAPEZE", 1)
{
	Name (VCNT, 8)

	Name (\_S5, Package () { 5, 5, 0, 0 })		/* ACPI_SLEEP_TYPE_S5 */

	Scope (\_SB)
	{
		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x03f8, 0x03f8, 1, 8)
				IRQNoFlags () { 4 }
			})
		}

		Device (RTC)
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x0070, 0x0070, 1, 2)
				IRQNoFlags () { 8 }
			})
		}

		Device (PIT)
		{
			Name (_HID, EisaId ("PNP0100"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x0040, 0x0040, 1, 4)
				IRQNoFlags () { 0 }
			})
		}

		/* Present (bits 0, 1, 3 of _STA: there, enabled, working) when its number is below VCNT. */
		Method (STA, 1, NotSerialized)
		{
			If (LLess (Arg0, VCNT))
			{
				Return (0x0b)
			}
			Return (0)
		}

		VIRTIO_MMIO (VIO0, 0, 0xd0000000, 16)
		VIRTIO_MMIO (VIO1, 1, 0xd0001000, 17)
		VIRTIO_MMIO (VIO2, 2, 0xd0002000, 18)
		VIRTIO_MMIO (VIO3, 3, 0xd0003000, 19)
		VIRTIO_MMIO (VIO4, 4, 0xd0004000, 20)
		VIRTIO_MMIO (VIO5, 5, 0xd0005000, 21)
		VIRTIO_MMIO (VIO6, 6, 0xd0006000, 22)
		VIRTIO_MMIO (VIO7, 7, 0xd0007000, 23)
	}
}
