/* SPDX-License-Identifier: MIT */
/*
 * Moves between a vector register and a device: MOVUPS, MOVDQA, MOVQ, MOVHPS and their relatives, VEX forms
 * too. The guest's registers are in the processor; they are saved, one is read or changed in the saved
 * area, and they are loaded again. SDM vol. 1, 14.1.1 "256-Bit Wide SIMD Register Support" for what happens
 * to the upper part.
 */
#include "arch/x86/exit/mmio.h"

#include "arch/x86/host/fpu.h"
#include "arch/x86/host/fpu_area.h"
#include "hv/lib/string.h"
#include "hv/vcpu.h"

#define XMM_SIZE	16U
#define YMM_SIZE	32U
#define ZMM_HALF	32U

/* The parts of one register; NULL where this processor or this guest has no such part. */
struct vector {
	uint8_t *xmm, *ymm_high, *zmm_high;
};

static struct vector vector_of(struct fpu_area *area, unsigned reg, uint64_t components)
{
	uint8_t *xmm = fpu_component(area, FPU_COMPONENT_SSE, components);
	uint8_t *ymm_high = fpu_component(area, FPU_COMPONENT_AVX, components);
	uint8_t *zmm_high = fpu_component(area, FPU_COMPONENT_ZMM_HIGH, components);

	return (struct vector){
		.xmm = xmm + reg * XMM_SIZE,
		.ymm_high = ymm_high ? ymm_high + reg * XMM_SIZE : NULL,
		.zmm_high = zmm_high ? zmm_high + reg * ZMM_HALF : NULL,
	};
}

static void read_register(const struct insn *insn, const struct vector *vector, uint8_t *bytes)
{
	if (insn->size == YMM_SIZE)
		memcpy(bytes + XMM_SIZE, vector->ymm_high, XMM_SIZE);
	memcpy(bytes, vector->xmm + insn->vector_at, insn->size == YMM_SIZE ? XMM_SIZE : insn->size);
}

static void write_register(const struct insn *insn, const struct vector *vector, const uint8_t *bytes)
{
	if (insn->vector_rest != VECTOR_KEEP)
		memset(vector->xmm, 0, XMM_SIZE);
	if (insn->vector_rest == VECTOR_CLEAR && vector->ymm_high)
		memset(vector->ymm_high, 0, XMM_SIZE);
	if (insn->vector_rest == VECTOR_CLEAR && vector->zmm_high)
		memset(vector->zmm_high, 0, ZMM_HALF);
	if (insn->size == YMM_SIZE)
		memcpy(vector->ymm_high, bytes + XMM_SIZE, XMM_SIZE);
	memcpy(vector->xmm + insn->vector_at, bytes, insn->size == YMM_SIZE ? XMM_SIZE : insn->size);
}

enum exit_result mmio_vector(struct mmio *mmio)
{
	const struct insn *insn = mmio->insn;
	struct vcpu *vcpu = mmio->vcpu;
	uint64_t components = fpu_has_xsave() ? fpu_guest_xcr0_mask() : 0, xcr0 = fpu_live_xcr0();
	uint8_t  bytes[YMM_SIZE];
	struct vector vector;

	if (insn->is_aligned && mmio->operand.piece[0].addr.raw % insn->size) {
		vcpu_inject_gp(vcpu);		/* SDM vol. 2, MOVAPS, "Protected Mode Exceptions" */
		return EXIT_RESUME;
	}
	if (insn->size == YMM_SIZE && !(components & (1U << FPU_COMPONENT_AVX)))
		return mmio_unknown(vcpu, insn, mmio->addr, mmio->is_write);
	if (!insn->is_store)
		operand_load(vcpu, &mmio->operand, bytes);
	fpu_save(vcpu->fpu, xcr0);
	vector = vector_of(vcpu->fpu, insn->reg, components);
	if (insn->is_store)
		read_register(insn, &vector, bytes);
	else
		write_register(insn, &vector, bytes);
	fpu_restore(vcpu->fpu, xcr0, vcpu->xss);
	if (insn->is_store)
		operand_store(vcpu, &mmio->operand, bytes);
	return EXIT_SKIP;
}
