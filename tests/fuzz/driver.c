/* SPDX-License-Identifier: MIT */
/*
 * Stands in for libFuzzer where only gcc is at hand, and repeats a finding: fuzz_x [-n COUNT] [-s SEED] [FILE...]
 *
 * Runs every FILE as it is, then COUNT inputs made from them (or from nothing) by seeded mutation. The same
 * arguments give the same inputs. What goes wrong is the sanitizers' to say; the input is then in fuzz-last.bin.
 */
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX	65536U
#define FILES_MAX	256
#define EDITS_MAX	8
#define COUNT_DEFAULT	10000
#define SEED_DEFAULT	1
#define LAST_INPUT	"fuzz-last.bin"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	uint8_t *data;
	size_t size;
};

static uint64_t random_state;
static struct input last;	/* what is being tried, for whoever dies of it */

/* xorshift64*: no quality needed but repeatability. */
static uint32_t next_random(uint32_t below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)((random_state * 0x2545f4914f6cdd1dULL) >> 32) % below;
}

static struct input read_input(const char *path)
{
	struct input input = { malloc(INPUT_MAX), 0 };
	FILE *file = fopen(path, "rb");

	if (!file || !input.data) {
		perror(path);
		exit(2);
	}
	input.size = fread(input.data, 1, INPUT_MAX, file);
	fclose(file);
	return input;
}

static void flip_bit(struct input *input)
{
	input->data[next_random((uint32_t)input->size)] ^= (uint8_t)(1U << next_random(8));
}

static void set_byte(struct input *input)
{
	static const uint8_t bytes[] = {
		0, 1, 0x7f, 0x80, 0xff, '\n', '=', ' ', '#', ',', '/', '9'
	};

	input->data[next_random((uint32_t)input->size)] = bytes[next_random(sizeof(bytes))];
}

static void remove_piece(struct input *input)
{
	const size_t at = next_random((uint32_t)input->size),
		     len = 1 + next_random((uint32_t)(input->size - at));

	memmove(input->data + at, input->data + at + len, input->size - at - len);
	input->size -= len;
}

static void double_piece(struct input *input)
{
	const size_t at = next_random((uint32_t)input->size),
		     len = 1 + next_random((uint32_t)(input->size - at));

	if (input->size + len > INPUT_MAX)
		return;
	memmove(input->data + at + len, input->data + at, input->size - at);
	input->size += len;
}

static void add_byte(struct input *input)
{
	if (input->size < INPUT_MAX)
		input->data[input->size++] = (uint8_t)next_random(256);
}

static void mutate(struct input *input)
{
	static void (*const edits[])(struct input *) = { flip_bit, set_byte, remove_piece,
							 double_piece, add_byte };
	const uint32_t count = 1 + next_random(EDITS_MAX);

	for (uint32_t i = 0; i < count; i++)
		if (input->size == 0)
			add_byte(input);
		else
			edits[next_random(sizeof(edits) / sizeof(edits[0]))](input);
}

static void save_last(void)
{
	FILE *file = fopen(LAST_INPUT, "wb");

	if (file) {
		fwrite(last.data, 1, last.size, file);
		fclose(file);
		fprintf(stderr, "the input is in %s\n", LAST_INPUT);
	}
}

static void on_abort(int number)
{
	(void)number;
	save_last();
	_exit(1);
}

/* In memory of exactly its size, so that the sanitizer sees the first byte read beyond it. */
static void run(const struct input *input)
{
	last = (struct input){ malloc(input->size + !input->size), input->size };
	if (!last.data) {
		perror("malloc");
		exit(2);
	}
	memcpy(last.data, input->data, input->size);
	LLVMFuzzerTestOneInput(last.data, last.size);
	free(last.data);
}

int main(int argc, char **argv)
{
	static struct input corpus[FILES_MAX];
	struct input work = { malloc(INPUT_MAX), 0 };
	uint32_t files = 0;
	long count = COUNT_DEFAULT;
	int option;

	__sanitizer_set_death_callback(save_last);	/* the sanitizers' own end */
	signal(SIGABRT, on_abort);			/* assert */
	random_state = SEED_DEFAULT;
	while ((option = getopt(argc, argv, "n:s:")) != -1) {
		if (option == 'n')
			count = strtol(optarg, NULL, 0);
		else if (option == 's')
			random_state = strtoull(optarg, NULL, 0) * 2 + 1;
		else
			return 2;
	}
	for (; optind < argc && files < FILES_MAX; optind++) {
		corpus[files] = read_input(argv[optind]);
		run(&corpus[files++]);
	}
	for (long i = 0; work.data && i < count; i++) {
		const struct input *from = files ? &corpus[next_random(files)] : &work;

		memmove(work.data, from->data, from->size);
		work.size = from->size;
		mutate(&work);
		run(&work);
	}
	for (uint32_t i = 0; i < files; i++)
		free(corpus[i].data);
	free(work.data);
	printf("%u files and %ld mutations ran\n", files, count);
	return 0;
}
