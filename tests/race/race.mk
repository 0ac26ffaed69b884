# SPDX-License-Identifier: MIT
# make race          vCPUs on several processors, from real threads, under ThreadSanitizer; STEPS=10000000 in CI
RACE_C := tests/race/race.c hv/request.c hv/look.c hv/vm_clock.c hv/dev/apic_bus.c hv/dev/ioapic.c hv/state.c \
          arch/x86/exit/dispatch.c arch/x86/exit/hlt.c arch/x86/virt/init_sipi.c arch/x86/virt/reset.c arch/x86/host/kick.c arch/x86/host/attention.c $(LAPIC)
RACEFLAGS = $(filter-out -fsanitize% -fno-sanitize%,$(UTFLAGS)) -fsanitize=thread -pthread
STEPS ?= 1000000

$(B)/race/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(RACEFLAGS) -MMD -MP -c $< -o $@
$(B)/race/race: $(RACE_C:%.c=$(B)/race/%.o)
	$(call say,LINK,$@)
	$(Q)$(HOSTCC) $(RACEFLAGS) $^ -o $@
race: $(B)/race/race
	@for steps in '' 0 x 1x x1 -1 1000000000001 100000000000000000000; do timeout 5 $< "$$steps" 60 2>/dev/null; [ $$? = 2 ] || \
		{ echo "race: STEPS=$$steps is not refused"; exit 1; }; done
	@$< '$(STEPS)' 60
	@B=$(B) tests/race/orders '$(HOSTCC) $(RACEFLAGS)' $(RACE_C)
.PHONY: race
-include $(RACE_C:%.c=$(B)/race/%.d)
