/* SPDX-License-Identifier: MIT */
/*
 * hv/console.c and console_input.c on a fake wire and a fake screen: who may write what, who gets the input,
 * who waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/fb.h"
#include "drivers/uart16550.h"
#include "hv/console.h"
#include "hv/console_parts.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/terminal.h"
#include "hv/vm.h"
#include "processor_fake.h"
#include "row.h"

/* ---- The fake serial port: a ring of `size` bytes that empties into `wire` when drained ---- */

static struct {
	char   wire[64 << 10];
	size_t len, queued, size;
	char   typed[8192];
	size_t typed_len;
	char   answers[64];
	size_t answers_len;
} serial;

static char screen[64 << 10];
static size_t screen_len;

bool serial_init(void) { return true; }
size_t serial_size(void) { return serial.size; }
size_t serial_room(void) { return serial.size - serial.queued; }
void serial_drain(void) { serial.queued = 0; }
void fb_init(const struct handoff_framebuffer *fb) { (void)fb; }
static unsigned polls;		/* of the screen: rounds in which the poll found something to do */
static bool is_drawing;
bool fb_poll(void) { log_check_held(); polls++; return is_drawing; }
static unsigned cells_to_draw;
bool fb_idle_work(void) { log_check_held(); return cells_to_draw && cells_to_draw--; }
void fb_flush(void) { }

size_t serial_write(const uint8_t *data, size_t len)
{
	len = min_size(len, serial_room());
	assert_true(len <= sizeof(serial.wire) - 1 - serial.len);
	memcpy(serial.wire + serial.len, data, len);
	serial.len += len;
	serial.wire[serial.len] = '\0';
	serial.queued += len;
	return len;
}

bool serial_has_input(void) { return serial.typed_len; }

size_t serial_read(uint8_t *data, size_t len)
{
	len = min_size(len, serial.typed_len);
	memcpy(data, serial.typed, len);
	memmove(serial.typed, serial.typed + len, serial.typed_len - len);
	serial.typed_len -= len;
	return len;
}

void serial_answer(const uint8_t *data, size_t len)
{
	memcpy(serial.answers + serial.answers_len, data, len);
	serial.answers_len += len;
}

/* Who said the last text on the screen. */
static enum fb_speaker speaker;

static bool is_poll_wanted;	/* by the screen */

static unsigned fb_writes;

bool fb_write(enum fb_speaker who, const char *text, size_t len)
{
	speaker = who;
	fb_writes++;
	assert_true(len <= sizeof(screen) - 1 - screen_len);
	memcpy(screen + screen_len, text, len);
	screen_len += len;
	screen[screen_len] = '\0';
	return is_poll_wanted;
}

static void check_wire(const char *expect)
{
	assert_string_equal(serial.wire, expect);
	assert_string_equal(screen, expect);
	serial.len = screen_len = 0;
	serial.wire[0] = screen[0] = '\0';
}

/* ---- Two VMs, one with two streams ---- */

struct front { size_t room; char got[8192]; size_t len; unsigned writable; uint16_t cols, rows; };

static size_t front_input(void *dev, const uint8_t *data, size_t len)
{
	struct front *front = dev;

	len = min_size(len, front->room);
	memcpy(front->got + front->len, data, len);
	front->len += len;
	front->got[front->len] = '\0';
	front->room -= len;
	return len;
}

static void front_writable(void *dev)
{
	((struct front *)dev)->writable++;
}

static void front_resize(void *dev, uint16_t cols, uint16_t rows)
{
	((struct front *)dev)->cols = cols;
	((struct front *)dev)->rows = rows;
}

static struct vm web, db;
static struct front fronts[3];
static struct console_port ports[3];	/* web hvc0 (takes input), web ttyS0, db hvc0 */

/* ---- One processor: it polls, and the VMs that were asked for have their turns ---- */

static bool attention;
static struct { unsigned count; struct processor *to; enum host_kick what; } kicks;

void host_attention_set(void) { attention = true; }

void host_kick(struct processor *processor, enum host_kick what)
{
	kicks.count++;
	kicks.to = processor;
	kicks.what = what;
}

static bool ask(struct vm *vm)
{
	work_ask(&vm->work);
	return vm_is_alive(vm);
}

static void have_turn(struct vm *vm)
{
	if (!vm_is_alive(vm) || !atomic_exchange(&vm->work.is_asked, false))
		return;
	for (size_t i = 0; i < console_streams.count; i++)
		if (console_streams.ports[i]->vm == vm)
			console_port_obey(console_streams.ports[i]);
}

static void go_round(void)
{
	do {
		attention = false;
		console_poll();
		have_turn(&web);
		have_turn(&db);
	} while (attention);
}

static size_t say(struct console_port *port, const char *text)
{
	return console_port_write(port, (const uint8_t *)text, strlen(text));
}

static void type(const char *text)
{
	memcpy(serial.typed + serial.typed_len, text, strlen(text));
	serial.typed_len += strlen(text);
}

static int setup(void **state)
{
	static const struct handoff_framebuffer none;

	(void)state;
	memset(&serial, 0, sizeof(serial));
	serial.size = 8192;
	memset(fronts, 0, sizeof(fronts));
	memset(ports, 0, sizeof(ports));
	strcpy(web.name, "web");
	strcpy(db.name, "db");
	web.state = db.state = VM_RUNNING;
	web.work.is_asked = db.work.is_asked = false;
	kicks.count = 0;
	if (!log_has_sink())
		console_init(&none);
	for (size_t i = 0; i < countof(ports); i++) {
		ports[i].vm = i < 2 ? &web : &db;
		ports[i].vm_name = ports[i].vm->name;
		ports[i].label = i == 1 ? "ttyS0" : "hvc0";
		ports[i].input_wanted = i != 1;
		ports[i].front = (struct char_front){ front_input, front_writable, front_resize, &fronts[i] };
		ports[i].ask = ask;
		ports[i].front.resize = i != 1 ? front_resize : NULL;
		console_port_add(&ports[i]);
	}
	console_attach(&web);
	say(&ports[0], "\n");		/* the left edge, whatever the test before left */
	serial.len = screen_len = serial.queued = 0;
	serial.wire[0] = screen[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(ports); i++)
		console_port_remove(&ports[i]);
	return 0;
}

static void test_log_lines(void **state)
{
	(void)state;
	log_info("one");
	check_wire("trapeze: one\r\n");
	log_info("two");
	log_info("three");
	check_wire("trapeze: two\r\ntrapeze: three\r\n");
}

/* The attached VM's text passes as it is; lines of others cover its unfinished line, which then is there again. */
static void test_attached(void **state)
{
	(void)state;
	assert_int_equal(say(&ports[0], "\033[1mlogin: "), 11);
	check_wire("\033[1mlogin: ");
	log_info("x");
	check_wire("\rtrapeze: x\r\n");
	say(&ports[2], "y\n");
	check_wire("[db] y\r\n");
	assert_int_equal(speaker, FB_ATTACHED);		/* the newline */
	go_round();
	check_wire("\033[1mlogin: ");
	log_info("x");
	say(&ports[1], "ro");
	check_wire("\rtrapeze: x\r\n\033[1mlogin: ro");
	say(&ports[1], "ot\r\n");
	log_info("z");
	go_round();
	assert_false(console_idle_work());
	check_wire("ot\r\ntrapeze: z\r\n");
}

/* Longer than what covers it: the rest is wiped. Longer than a row, or a whole screen: ended, as far as it goes. */
static void test_covering(void **state)
{
	char row[81];

	(void)state;
	say(&ports[0], "a prompt of thirty characters ");
	say(&ports[2], "x\n");
	go_round();
	check_wire("a prompt of thirty characters \r[db] x                        \r\na prompt of thirty characters ");
	memset(row, 'x', 80);
	row[80] = '\0';
	say(&ports[0], row);
	serial.len = screen_len = 0;
	say(&ports[2], "x\n");
	check_wire("\r\n[db] x\r\n");
	say(&ports[0], "\n\033[2Jeditor");
	serial.len = screen_len = 0;
	say(&ports[2], "x\n");
	say(&ports[2], "y\n");
	go_round();
	check_wire("\r\n[db] x\r\n[db] y\r\n");
	console_attach(&db);
	check_wire("");
	say(&ports[2], "$ ");
	console_attach(&web);
	check_wire("$ \r\n");
}

static void test_other_lines(void **state)
{
	(void)state;
	say(&ports[2], "half");
	check_wire("");
	say(&ports[2], " and half\r\n\nnext\033[2J\t\a\n");
	check_wire("[db] half and half\r\n[db] \r\n[db] next.[2J..\r\n");
	say(&ports[0], "$ ");
	say(&ports[2], "x\n");
	check_wire("$ \r[db] x\r\n");
}

/* CSI and OSC as one byte and as UTF-8, Telnet's IAC: none gets through; letters do, also when a write cuts them. */
static void test_other_lines_are_tame(void **state)
{
	(void)state;
	say(&ports[2], "\x9b" "2J \xc2\x9b" "2J \xc2\x9d \xff\xf9 \x85 \xc2\xc2\x80\n");
	check_wire("[db] .2J \xc2." "2J \xc2. .. . \xc2\xc2.\r\n");
	say(&ports[2], "\xc3");
	say(&ports[2], "\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xc2\xa0\n");
	check_wire("[db] \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xc2\xa0\r\n");
}

static void test_long_line_is_cut(void **state)
{
	char text[161 + 1], expect[512];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[161] = '\0';
	say(&ports[2], text);
	say(&ports[2], "\n");
	strcpy(expect, "[db] ");
	memset(expect + 5, 'x', 160);
	strcpy(expect + 165, "\r\n[db] x\r\n");
	check_wire(expect);
}

/* What a VM left unfinished is not lost with it. */
static void test_remove_prints_rest(void **state)
{
	(void)state;
	say(&ports[2], "last words");
	console_port_remove(&ports[2]);
	check_wire("[db] last words\r\n");
}

/* A prompt, said before its VM is attached: shown then, once, and not in front of what the VM says when it is left. */
static void test_prompt_waits_for_attach(void **state)
{
	(void)state;
	say(&ports[2], "db# ");
	console_attach(ports[2].vm);
	say(&ports[2], "poweroff\r\n");
	console_attach(NULL);
	say(&ports[2], "new\n");
	check_wire("db# poweroff\r\n[db] new\r\n");
	say(&ports[0], "web# ");
	say(&ports[2], "db# ");
	type("\x01n");		/* who only waits says nothing more */
	go_round();
	check_wire("trapeze: what you type goes to VM \"web\" (hvc0) now\r\nweb# ");
	type("\x01n");
	go_round();
	check_wire("\r\ntrapeze: what you type goes to VM \"db\" (hvc0) now\r\ndb# ");
	go_round();
	check_wire("");
	console_port_remove(&ports[2]);
	check_wire("\r\n");
}

/* Left again before there was room for it: it is the begin of a line, as before. */
static void test_prompt_of_who_is_left(void **state)
{
	(void)state;
	say(&ports[2], "db# ");
	serial.queued = 6144;
	console_attach(&db);
	go_round();
	console_attach(&web);
	serial_drain();
	go_round();
	say(&ports[2], "new\n");
	check_wire("[db] db# new\r\n");
}

/*
 * A full wire: the line waits whole, and what its port says next waits behind it. Another stream of the same VM may
 * have written by then, and its line was covered: it is there once more.
 */
static void test_prompt_waits_for_the_wire(void **state)
{
	(void)state;
	console_attach(NULL);
	say(&ports[1], "half \xc3");
	serial.queued = 6144 - (512 + 2 + 160) + 1;
	console_attach(&web);
	go_round();
	check_wire("");
	assert_int_equal(say(&ports[1], "\xa4 and half"), 0);
	say(&ports[0], "$ ");
	log_info("x");
	check_wire("$ \rtrapeze: x\r\n");
	serial.queued = 6144 - (512 + 2 + 160);
	go_round();
	check_wire("$ \r\nhalf \xc3");
	assert_int_equal(fronts[1].writable, 0);
	serial_drain();
	go_round();
	assert_int_equal(fronts[1].writable, 1);
	say(&ports[1], "\xa4 and half");
	check_wire("\xa4 and half");
	log_info("x");
	go_round();
	check_wire("\rtrapeze: x     \r\nhalf \xc3\xa4 and half");
	console_attach(NULL);
	say(&ports[1], "\xa4\n");		/* goes on with nothing */
	check_wire("\r\n[web] .\r\n");
}

/* The longest line that can be drawn again, and the longest that can wait: they need two bytes between them. */
static void test_longest_lines_wait_for_the_wire(void **state)
{
	char waits[161] = "", shown[513] = "";

	(void)state;
	console_attach(NULL);
	memset(waits, 'b', sizeof(waits) - 1);
	say(&ports[1], waits);
	serial.queued = 6144 - 600;
	console_attach(&web);
	memset(shown, 'a', 256);
	memset(shown + 256, '\b', 256);
	assert_int_equal(say(&ports[0], shown), 512);
	log_info("x");			/* covers it */
	serial.queued = 6144 - (512 + 160);
	go_round();
	serial.queued = 6144 - (512 + 2 + 160);
	go_round();
	assert_non_null(strstr(serial.wire, waits));
}

/* What is typed stands behind the prompt, also when the VM's other port has something to say. */
static void test_prompt_comes_last(void **state)
{
	(void)state;
	console_attach(NULL);
	say(&ports[0], "web# ");
	say(&ports[1], "boot...");
	console_attach(&web);
	go_round();
	check_wire("boot...\r\nweb# ");
}

static void test_nobody_attached(void **state)
{
	(void)state;
	console_attach(NULL);
	say(&ports[0], "hello\n");
	check_wire("[web] hello\r\n");
}

/* Guests are refused when the wire is full, but for the reserve that is the log's; then called back. */
static void test_back_pressure(void **state)
{
	char text[10000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(say(&ports[0], text), 8192 - 8192 / 4);
	assert_int_equal(say(&ports[0], text), 0);
	assert_int_equal(say(&ports[2], "line\n"), 0);
	log_info("still heard");
	assert_non_null(strstr(serial.wire, "still heard"));
	go_round();
	assert_int_equal(fronts[0].writable, 0);
	serial_drain();
	go_round();
	go_round();
	assert_int_equal(fronts[0].writable, 1);
	assert_int_equal(fronts[1].writable, 0);
	assert_int_equal(fronts[2].writable, 1);
}

/*
 * A dump longer than what is kept for the log: nobody waits, whole lines are left out, and how many is said when
 * there is room again, once.
 */
static void test_log_does_not_wait(void **state)
{
	unsigned said = 0;

	(void)state;
	for (unsigned i = 0; i < 500; i++)
		log_info("a line of thirty-two bytes, no. %03u", i);
	assert_true(serial.queued <= serial.size);
	for (const char *at = serial.wire; (at = strstr(at, "a line")); at++)
		said++;
	assert_int_equal(said, serial.len / strlen("trapeze: a line of thirty-two bytes, no. 000\r\n"));
	assert_string_equal(serial.wire + serial.len - 5, "175\r\n");
	go_round();
	assert_null(strstr(serial.wire, "lost"));
	serial_drain();
	go_round();
	assert_non_null(strstr(serial.wire, "trapeze: 324 lines were lost here: the terminal is too slow\r\n"));
	serial.len = 0;
	go_round();
	assert_int_equal(serial.len, 0);
}

/* ---- Fairness: fronts that write whenever they may, as much as they may ---- */

#define AT_ONCE_MAX	16384U		/* more than a share, and more than there is ever room for */

struct talker { struct console_port *port; size_t at_once, written; };
static struct talker talkers[3];

static void talk(void *dev)
{
	struct talker *talker = dev;
	uint8_t text[AT_ONCE_MAX];
	size_t taken;

	memset(text, 'x', sizeof(text));
	for (size_t i = 79; i < sizeof(text); i += 80)
		text[i] = '\n';
	do {
		taken = console_port_write(talker->port, text, talker->at_once);
		talker->written += taken;
	} while (taken == talker->at_once);
}

/*
 * Three streams of two VMs: each VM gets its half, wherever it is in the list and however much it offers in
 * one call.
 */
static void share_wire(size_t bytes_a_round, size_t web_at_once, size_t db_at_once)
{
	size_t web_bytes, db_bytes;

	for (size_t i = 0; i < countof(talkers); i++) {
		talkers[i] = (struct talker){ .port = &ports[i], .at_once = ports[i].vm == &web ? web_at_once : db_at_once };
		ports[i].front = (struct char_front){ .writable = talk, .dev = &talkers[i] };
		talk(&talkers[i]);
	}
	for (size_t i = 0; i < countof(talkers); i++)
		talkers[i].written = 0;
	for (unsigned round = 0; round < 200; round++) {
		serial.queued -= min_size(serial.queued, bytes_a_round);
		serial.len = screen_len = 0;
		go_round();
	}
	web_bytes = talkers[0].written + talkers[1].written;
	db_bytes = talkers[2].written;
	assert_true(db_bytes > 100000 && web_bytes > 100000);
	assert_true(db_bytes < web_bytes + web_bytes / 8 && web_bytes < db_bytes + db_bytes / 8);
}

static void test_fair(void **state)
{
	(void)state;
	share_wire(2100, 512, 512);
}

/* On a wire that has room for more than one share each time. */
static void test_fair_beside_large_writes(void **state)
{
	(void)state;
	share_wire(8192, 512, AT_ONCE_MAX);
}

static void test_input(void **state)
{
	(void)state;
	type("abcdef");
	fronts[0].room = 4;
	go_round();
	assert_string_equal(fronts[0].got, "abcd");
	fronts[0].room = 100;
	console_port_readable(&ports[1]);	/* not the one that gets input */
	assert_string_equal(fronts[0].got, "abcd");
	console_port_readable(&ports[0]);
	assert_string_equal(fronts[0].got, "abcdef");
	console_attach(&db);
	fronts[2].room = 100;
	type("to db");
	go_round();
	assert_string_equal(fronts[2].got, "to db");
	assert_int_equal(fronts[1].len, 0);
}

static void type_bytes(char fill, size_t len)
{
	memset(serial.typed + serial.typed_len, fill, len);
	serial.typed_len += len;
}

/* Nobody takes it: kept, up to a bound, then left to the driver. */
static void test_input_kept(void **state)
{
	(void)state;
	type_bytes('k', 5000);
	console_attach(NULL);
	go_round();
	go_round();
	assert_int_equal(serial.typed_len, 5000 - 4096);
	console_attach(&web);
	fronts[0].room = 8000;
	go_round();
	go_round();
	assert_int_equal(fronts[0].len, 5000);
}

/* A mark is answered at once, WONT when the next piece would find no place, and then GA when half is free. */
static void test_marks(void **state)
{
	(void)state;
	type("abc\xff\xfd\x06");
	go_round();
	assert_int_equal(serial.answers_len, 3);
	assert_memory_equal(serial.answers, "\xff\xfb\x06", 3);
	type_bytes('x', 4096 - 3 - (TERMINAL_WINDOW - 1));
	type("\xff\xfd\x06");
	go_round();
	assert_int_equal(serial.answers_len, 6);
	assert_memory_equal(serial.answers + 3, "\xff\xfc\x06", 3);
	fronts[0].room = 2000;
	console_port_readable(&ports[0]);
	assert_false(attention);
	go_round();
	assert_int_equal(serial.answers_len, 6);
	fronts[0].room = 100;
	console_port_readable(&ports[0]);
	assert_true(attention);
	go_round();
	assert_int_equal(serial.answers_len, 8);
	assert_memory_equal(serial.answers + 6, "\xff\xf9", 2);
	fronts[0].room = 8000;
	console_port_readable(&ports[0]);
	go_round();
}

/* A guest cannot answer in our name: of what it writes FFh is shown as '.', wherever it stands. */
static void test_forged_answers(void **state)
{
	(void)state;
	say(&ports[0], "\xff\xfb\x06" "a\xff\xff" "b\xff\xf9\xff");
	check_wire(".\xfb\x06" "a..b.\xf9.");
	say(&ports[0], "\n\xffz");
	log_info("a line of ours");
	check_wire("\n.z\rtrapeze: a line of ours\r\n");
	say(&ports[0], "!");
	check_wire(".z!");	/* drawn again as it was shown */
}

/* Each piece goes out by one call, also of nothing but FFh; and a longer text is cut into pieces that follow each other. */
#define LONG_TEXT	"0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ!"	/* 65 characters */
static void test_one_call_a_piece(void **state)
{
	uint8_t flood[64];

	(void)state;
	memset(flood, 0xff, sizeof(flood));
	fb_writes = 0;
	assert_int_equal(console_port_write(&ports[0], flood, sizeof(flood)), sizeof(flood));
	assert_int_equal(fb_writes, 1);
	assert_int_equal(console_port_write(&ports[0], flood, 1), 1);
	assert_int_equal(fb_writes, 2);
	check_wire(".................................................................");
	say(&ports[0], LONG_TEXT LONG_TEXT);
	check_wire(LONG_TEXT LONG_TEXT);
}

/* Ctrl-A n: the next VM that takes input; what the first has not read is not for the second. */
static void test_key_next(void **state)
{
	(void)state;
	type("left\x01nright");
	fronts[0].room = 2;
	fronts[2].room = 100;
	go_round();
	assert_string_equal(fronts[0].got, "le");
	assert_string_equal(fronts[2].got, "right");
	check_wire("trapeze: 2 typed bytes that nobody has read are forgotten\r\n"
		   "trapeze: what you type goes to VM \"db\" (hvc0) now\r\n");
	fronts[2].room = 0;
	type("?\x01n");
	go_round();
	check_wire("trapeze: 1 typed byte that nobody has read is forgotten\r\n"
		   "trapeze: what you type goes to VM \"web\" (hvc0) now\r\n");
	console_port_remove(&ports[2]);
	type("\x01n");
	go_round();
	check_wire("trapeze: there is no other VM to type to\r\n");
}

/*
 * The next of three is the one behind the attached VM; who takes no input is passed over; behind the last
 * comes the first.
 */
static void test_next_of_three(void **state)
{
	static struct vm mail = { .name = "mail" };
	static struct front front;
	struct console_port third = ports[2];

	(void)state;
	third.vm = &mail;
	third.vm_name = mail.name;
	third.front.dev = &front;
	console_port_add(&third);
	console_attach(&db);
	assert_ptr_equal(console_next(), &third);
	third.input_wanted = false;
	assert_ptr_equal(console_next(), &ports[0]);
	console_attach(&mail);
	assert_ptr_equal(console_next(), &ports[0]);
	console_attach(NULL);
	assert_ptr_equal(console_next(), &ports[0]);
	console_port_remove(&third);
}

/* Several VMs and no `attach`: a terminal that shows their lines and takes none looks hung. */
static void test_offer(void **state)
{
	(void)state;
	console_offer_first();
	check_wire("");
	console_attach(NULL);
	console_offer_first();
	check_wire("trapeze: what you type goes to nobody: Ctrl-A n types to VM \"web\"\r\n");
	ports[0].input_wanted = ports[2].input_wanted = false;
	console_offer_first();
	check_wire("");
}

/* The attached VM takes no input any more: what is typed goes to nobody, also while another VM would take it. */
static void test_input_of_nobody(void **state)
{
	(void)state;
	console_port_remove(&ports[0]);
	console_port_add(&ports[0]);		/* now the last */
	console_port_remove(&ports[0]);
	fronts[0].room = fronts[2].room = 100;
	type("lost\x01?");
	go_round();
	assert_non_null(strstr(serial.wire, "trapeze: what you type goes to nobody\r\n"));
	assert_int_equal(fronts[0].len + fronts[2].len, 0);
	console_attach(NULL);
	type("lost");
	go_round();
	assert_int_equal(fronts[0].len + fronts[2].len, 0);
	console_input_forget();
}

/* Each console of the attached VM is told the window's size, and one that cannot be told is left out. */
static void test_window_of_all_ports(void **state)
{
	static const char report[] = "\xff\xfa\x1f\0\x28\0\x0c\xff\xf0";

	(void)state;
	ports[2].vm = &web;
	memcpy(serial.typed + serial.typed_len, report, sizeof(report) - 1);
	serial.typed_len += sizeof(report) - 1;
	go_round();
	assert_int_equal(fronts[0].cols, 40);
	assert_int_equal(fronts[1].cols, 0);
	assert_int_equal(fronts[2].cols, 40);
}

/*
 * A key waits until the VM has had its turn with the text before it, and is obeyed by the poll, not within a
 * guest's access to its device. Nothing behind the key passes it.
 */
static void test_key_waits_for_the_text_before_it(void **state)
{
	(void)state;
	type("a\x01nb");
	fronts[0].room = fronts[2].room = 100;
	console_poll();
	console_poll();
	assert_int_equal(fronts[0].len, 0);
	attention = false;
	console_port_readable(&ports[0]);
	assert_string_equal(fronts[0].got, "a");
	assert_true(attention);
	check_wire("");
	console_poll();
	check_wire("trapeze: what you type goes to VM \"db\" (hvc0) now\r\n");
	go_round();
	assert_string_equal(fronts[0].got, "a");
	assert_string_equal(fronts[2].got, "b");
}

/* But not for a VM that takes no turns, because it starts or ends, and not for one that has gone. */
static void test_key_does_not_wait_for_ever(void **state)
{
	(void)state;
	web.state = VM_STARTING;
	type("a\x01?");
	go_round();
	assert_non_null(strstr(serial.wire, "trapeze: what you type goes to VM \"web\" (hvc0)\r\n"));
	web.state = VM_RUNNING;
	fronts[0].room = 1;
	go_round();
	assert_string_equal(fronts[0].got, "a");	/* it found the word when it had started */
	serial.len = screen_len = 0;
	type("b\x01?");
	console_poll();
	assert_int_equal(serial.len, 0);
	attention = false;
	console_port_remove(&ports[0]);
	assert_true(attention);
	console_poll();
	assert_non_null(strstr(serial.wire, "trapeze: what you type goes to nobody\r\n"));
	console_input_forget();
}

static void test_key_help(void **state)
{
	(void)state;
	type("\x01?\x01\x01\x01~");
	fronts[0].room = 100;
	go_round();
	assert_string_equal(fronts[0].got, "\x01");
	assert_non_null(strstr(serial.wire, "trapeze: what you type goes to VM \"web\" (hvc0)\r\n"));
	assert_non_null(strstr(serial.wire, "  Ctrl-A ?       these lines\r\n"));
	assert_non_null(strstr(serial.wire, "  Ctrl-A n       type to the next VM\r\n"));
	assert_non_null(strstr(serial.wire, "trapeze: Ctrl-A and that key mean nothing; Ctrl-A ? lists the keys\r\n"));
}

/* The attached VM ends: said, with the next one to type to, unless it starts again at once. */
static void test_end_offers_next(void **state)
{
	(void)state;
	console_port_remove(&ports[0]);
	console_port_remove(&ports[1]);
	console_port_add(&ports[0]);
	console_attach(&web);
	go_round();
	check_wire("");
	console_port_remove(&ports[0]);
	go_round();
	check_wire("trapeze: VM \"web\", to which you typed, has ended; Ctrl-A n types to the next, \"db\"\r\n");
	go_round();
	check_wire("");
	type("\x01n?");
	fronts[2].room = 9;
	go_round();
	assert_string_equal(fronts[2].got, "?");
}

/* A machine that could not be built has ports that were never added: nobody was attached to them. */
static void test_port_of_nobody(void **state)
{
	struct console_port port = { 0 };

	(void)state;
	console_port_remove(&ports[0]);
	console_port_remove(&ports[1]);
	go_round();
	check_wire("trapeze: VM \"web\", to which you typed, has ended; Ctrl-A n types to the next, \"db\"\r\n");
	console_port_remove(&port);
	go_round();
	check_wire("");
}

/* The window's size is taken out of what is typed and told to whoever is attached, now or later. */
static void test_window(void **state)
{
	static const char report[] = "\xff\xfa\x1f\0\x50\0\x18\xff\xf0";

	(void)state;
	fronts[0].room = 100;
	type("a");
	memcpy(serial.typed + serial.typed_len, report, sizeof(report) - 1);
	serial.typed_len += sizeof(report) - 1;
	type("b");
	go_round();
	assert_string_equal(fronts[0].got, "ab");
	assert_int_equal(fronts[0].cols, 80);
	assert_int_equal(fronts[0].rows, 24);
	assert_int_equal(fronts[2].cols, 0);
	console_attach(&db);
	go_round();
	assert_int_equal(fronts[2].cols, 80);
	fronts[2].cols = 0;
	console_port_remove(&ports[2]);
	console_attach(&db);
	console_port_add(&ports[2]);	/* started again */
	go_round();
	assert_int_equal(fronts[2].cols, 80);
}

/* ---- VMs that run on other processors ---- */

/*
 * The poll calls no front: it leaves word, once, and asks for a turn. Who has no room then takes the text
 * when it can.
 */
static void test_fronts_belong_to_their_vm(void **state)
{
	static const char report[] = "\xff\xfa\x1f\0\x50\0\x18\xff\xf0";
	char text[10000];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(console_port_write(&ports[0], (const uint8_t *)text, sizeof(text)), 8192 - 8192 / 4);
	serial_drain();
	memcpy(serial.typed, report, sizeof(report) - 1);
	serial.typed_len = sizeof(report) - 1;
	type("abc");
	fronts[0].room = 1;
	console_poll();
	assert_int_equal(fronts[0].len + fronts[0].writable + fronts[0].cols, 0);
	assert_true(web.work.is_asked);
	assert_false(db.work.is_asked);
	have_turn(&web);
	assert_string_equal(fronts[0].got, "a");
	assert_int_equal(fronts[0].writable, 1);
	assert_int_equal(fronts[0].cols, 80);
	console_poll();
	assert_false(web.work.is_asked);	/* nothing new: it would never sleep */
	fronts[0].room = 100;
	console_port_obey(&ports[0]);
	assert_string_equal(fronts[0].got, "a");
	type("d");
	console_poll();
	have_turn(&web);
	assert_string_equal(fronts[0].got, "abcd");
}

/* Word that was left for a VM that another one has replaced since, or that went away, changes nothing. */
static void test_word_comes_too_late(void **state)
{
	(void)state;
	fronts[0].room = fronts[2].room = 100;
	type("a");
	console_poll();
	console_attach(&db);
	have_turn(&web);
	assert_int_equal(fronts[0].len, 0);
	console_port_remove(&ports[0]);
	console_port_remove(&ports[1]);
	console_poll();
	have_turn(&db);
	assert_string_equal(fronts[2].got, "a");
}

/* The processor that polls is woken when there is something to do, and another one that polls does nothing. */
static void test_one_processor_polls(void **state)
{
	(void)state;
	type_bytes('x', 5000);
	console_poll();
	assert_int_equal(serial.typed_len, 5000 - 4096);
	have_turn(&web);
	processor_fake_run_on(1);
	fronts[0].room = 2047;
	console_port_readable(&ports[0]);
	assert_int_equal(kicks.count, 0);
	fronts[0].room = 1;
	console_port_readable(&ports[0]);
	assert_int_equal(kicks.count, 1);
	assert_ptr_equal(kicks.to, &processors_fake[0]);
	assert_int_equal(kicks.what, KICK_WAKE);
	console_poll();
	assert_int_equal(serial.typed_len, 5000 - 4096);
	cells_to_draw = 1;
	assert_false(console_idle_work());
	processor_fake_run_on(0);
	assert_true(console_idle_work());
	console_poll();
	assert_int_equal(serial.typed_len, 0);
	fronts[0].room = 8000;
	go_round();
	assert_int_equal(fronts[0].len, 5000);
	attention = false;
	go_round();
	assert_false(attention);
}

/*
 * A VM that was called back has no turn for long, while the other one writes whatever it may. The other one
 * waits for the next round, in which it has a share again, but not longer than the terminal has enough to do.
 */
static void test_round_waits_for_the_slow(void **state)
{
	static char text[16384];

	(void)state;
	memset(text, 'x', sizeof(text));
	serial.size = sizeof(text);
	assert_int_equal(console_port_write(&ports[0], (const uint8_t *)text, sizeof(text)), 16384 / 4 * 3);
	assert_int_equal(say(&ports[2], "x"), 0);
	for (unsigned i = 0; i < 2; i++) {
		serial.queued -= 2047;
		console_poll();
		have_turn(&web);
		assert_false(ports[0].is_called);
		assert_int_equal(ports[2].is_called, i == 1);		/* not for one byte less than 2 KiB */
		assert_int_equal(ports[0].share, 0);
	}
	serial.queued = 16384 / 2 + 1;
	console_poll();
	assert_int_equal(ports[0].share, 0);
	serial.queued--;
	console_poll();
	assert_int_equal(ports[0].share, 4096);
	assert_false(ports[0].is_called);	/* there is room for the one that was called, and none besides */
	serial.queued -= 2048;
	console_poll();
	assert_true(ports[0].is_called);
	have_turn(&web);
	assert_int_equal(console_port_write(&ports[0], (const uint8_t *)text, sizeof(text)), 4096);
	serial.queued += 2048;		/* lines of the log, say */
	have_turn(&db);			/* too late for the room... */
	assert_int_equal(say(&ports[2], "x"), 0);
	assert_int_equal(ports[2].share, 4096);
	serial.queued -= 2048;
	console_poll();			/* ...so it is called first, and alone */
	assert_true(ports[2].is_called);
	assert_false(ports[0].is_called);
}

/* Whoever was refused for another's sake calls the poll, and so does the one who lets others go on. */
static void test_writers_wake_the_poll(void **state)
{
	static char text[8192];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(console_port_write(&ports[0], (const uint8_t *)text, 8192), 6144);
	attention = false;
	assert_int_equal(say(&ports[2], "x"), 0);
	assert_false(attention);		/* there is no room: the driver will say when there is */
	serial_drain();
	ports[1].share = 0;
	assert_int_equal(say(&ports[1], "x"), 0);
	assert_true(attention);
	console_poll();
	attention = false;
	have_turn(&db);
	assert_true(attention);			/* the first VM waits for a new round */
	console_poll();
	attention = false;
	console_port_obey(&ports[0]);
	assert_true(attention);
	attention = false;
	console_port_obey(&ports[1]);
	assert_false(attention);
}

/* Text on the screen: the processor that polls is woken when the screen asks for that, and not for each byte. */
static void test_screen_asks(void **state)
{
	(void)state;
	processor_fake_run_on(1);
	say(&ports[0], "a");
	assert_int_equal(kicks.count, 0);
	is_poll_wanted = true;
	say(&ports[0], "b");
	is_poll_wanted = false;
	assert_int_equal(kicks.count, 1);
	assert_ptr_equal(kicks.to, &processors_fake[0]);
	processor_fake_run_on(0);
}

/* What makes work for the poll, and whether some is left then, until the port has sent what it holds. */
static void line_covers(void) { log_info("x"); }
static void prompt_is_covered(void) { serial.queued = 0; say(&ports[0], "$ "); log_info("x"); serial.queued = serial.size; }
static void line_is_lost(void) { serial.queued = serial.size; log_info("x"); }
static void writer_is_refused(void) { serial.queued = serial.size; say(&ports[0], "x"); }
static void prompt_is_handed_over(void)
{
	say(&ports[2], "$ ");
	serial.queued = serial.size;
	console_attach(&db);
}
static void byte_is_typed(void) { type("x"); }
static void port_may_take(void) { console_hold(); console_input_ask_anew(); console_release(); }
static void somebody_calls(void) { console_call(); }

static const struct { void (*happens)(void); bool is_left; } poll_rows[] = {
	{ line_covers, false }, { prompt_is_covered, true }, { line_is_lost, true }, { writer_is_refused, true },
	{ prompt_is_handed_over, true }, { byte_is_typed, false }, { port_may_take, false }, { somebody_calls, false },
};

static unsigned polls_in(unsigned rounds)
{
	polls = 0;
	while (rounds--)
		console_poll();
	return polls;
}

/* A round of the scheduler in which the terminal has nothing to do does not pay for it; nothing is forgotten for that. */
static void test_poll_rests(void **state)
{
	(void)state;
	for (size_t i = 0; row_of(poll_rows, i); i++) {
		serial_drain();
		go_round();
		assert_int_equal(polls_in(3), 0);
		poll_rows[i].happens();
		assert_int_equal(polls_in(3), poll_rows[i].is_left ? 3 : 1);
		serial_drain();
		go_round();
		go_round();		/* for the line of the poll's own that says what was lost */
		assert_int_equal(polls_in(3), 0);
		serial.len = screen_len = 0;
	}
	is_drawing = true;
	log_info("x");
	assert_int_equal(polls_in(3), 3);
	is_drawing = false;
	assert_int_equal(polls_in(3), 1);
	processor_fake_run_on(1);
	log_info("x");
	assert_int_equal(polls_in(3), 0);
	processor_fake_run_on(0);
	assert_int_equal(polls_in(3), 1);
}

/* The attached VM goes away: its struct may be reused, so nobody is attached any more. */
static void test_attached_vm_goes(void **state)
{
	(void)state;
	console_port_remove(&ports[0]);
	say(&ports[1], "raw\n");
	check_wire("raw\n");
	console_port_remove(&ports[1]);
	console_port_add(&ports[0]);
	say(&ports[0], "line\n");
	check_wire("[web] line\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* A panic's lines wait for the wire, however slow it is. */
static void test_last_words(void **state)
{
	(void)state;
	serial.size = 16;
	log_flush();
	log_info("a line that is longer than the port's ring of sixteen bytes");
	assert_string_equal(serial.wire, "trapeze: a line that is longer than the port's ring of sixteen bytes\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_log_lines), TEST(test_attached), TEST(test_covering), TEST(test_other_lines), TEST(test_other_lines_are_tame),
		TEST(test_long_line_is_cut),
		TEST(test_remove_prints_rest), TEST(test_prompt_waits_for_attach), TEST(test_prompt_of_who_is_left),
		TEST(test_prompt_waits_for_the_wire), TEST(test_longest_lines_wait_for_the_wire), TEST(test_prompt_comes_last), TEST(test_nobody_attached), TEST(test_back_pressure),
		TEST(test_log_does_not_wait), TEST(test_fair), TEST(test_fair_beside_large_writes), TEST(test_input), TEST(test_input_kept), TEST(test_attached_vm_goes),
		TEST(test_window), TEST(test_fronts_belong_to_their_vm), TEST(test_word_comes_too_late), TEST(test_one_processor_polls),
		TEST(test_round_waits_for_the_slow), TEST(test_writers_wake_the_poll), TEST(test_screen_asks), TEST(test_poll_rests),
		TEST(test_marks), TEST(test_forged_answers), TEST(test_one_call_a_piece), TEST(test_key_next), TEST(test_key_waits_for_the_text_before_it), TEST(test_key_does_not_wait_for_ever), TEST(test_key_help),
		TEST(test_end_offers_next), TEST(test_port_of_nobody), TEST(test_next_of_three), TEST(test_offer), TEST(test_input_of_nobody),
		TEST(test_window_of_all_ports),
		TEST(test_last_words),		/* last: from then on each line is waited for */
	};

	return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
