/* SPDX-License-Identifier: MIT */
/*
 * UEFI 2.10, 12.9 "Graphics Output Protocol". Several instances may exist (one a card, and a virtual one over all
 * of them without memory): the first with a linear 32-bit mode wins.
 */
#include "boot/gop.h"

#include "hv/lib/util.h"

#define CARDS_MAX	8
#define PIXEL_BYTES	4
#define BYTE_0		0x0000ffU
#define BYTE_1		0x00ff00U
#define BYTE_2		0xff0000U

static EFI_GUID gop_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;

/* 1: blue in the lowest byte, 0: red, -1: nothing we know. */
static int byte_order(const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info)
{
	const EFI_PIXEL_BITMASK *mask = &info->PixelInformation;

	if (info->PixelFormat == PixelBlueGreenRedReserved8BitPerColor)
		return 1;
	if (info->PixelFormat == PixelRedGreenBlueReserved8BitPerColor)
		return 0;
	if (info->PixelFormat != PixelBitMask || mask->GreenMask != BYTE_1)
		return -1;
	if (mask->BlueMask == BYTE_0 && mask->RedMask == BYTE_2)
		return 1;
	return mask->RedMask == BYTE_0 && mask->BlueMask == BYTE_2 ? 0 : -1;
}

static bool take_card(const EFI_GRAPHICS_OUTPUT_PROTOCOL *gop,
		      struct handoff_framebuffer *framebuffer)
{
	const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info =
		gop && gop->Mode ? gop->Mode->Info : NULL;
	const int order = info ? byte_order(info) : -1;

	if (order < 0 || !gop->Mode->FrameBufferBase || !info->HorizontalResolution ||
	    info->PixelsPerScanLine < info->HorizontalResolution ||
	    gop->Mode->FrameBufferSize / PIXEL_BYTES / info->PixelsPerScanLine <
		    info->VerticalResolution)
		return false;
	*framebuffer = (struct handoff_framebuffer){
		.base = gop->Mode->FrameBufferBase, .length = gop->Mode->FrameBufferSize,
		.width = info->HorizontalResolution, .height = info->VerticalResolution,
		.pitch = info->PixelsPerScanLine * PIXEL_BYTES, .is_bgr = (uint32_t)order,
	};
	return true;
}

void gop_find(const struct firmware *fw, struct handoff_framebuffer *framebuffer)
{
	EFI_HANDLE cards[CARDS_MAX];
	const size_t count = firmware_handles(fw, &gop_guid, cards, countof(cards));

	for (size_t i = 0; i < count; i++)
		if (take_card(firmware_protocol_of(fw, cards[i], &gop_guid), framebuffer))
			return;
}
