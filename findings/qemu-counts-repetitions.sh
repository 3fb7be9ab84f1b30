#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# QEMU's -icount counts each repetition of a string instruction as an instruction.
#
# With -icount shift=0, an instruction takes one nanosecond of the machine's time, and the time stamp
# counter shows how many were executed: an instrument that repeats to the digit. On a processor,
# `rep movsb` is one instruction, whatever it copies (the counter of retired instructions says so),
# and one would expect it to count once here. It counts once for each byte.
#
# Linux copies with `rep movsb` where the processor has FSRM, which `-cpu max` has, so whatever
# copies or clears a page seems to take 4096 instructions and hides what else there is. Measure with
# -cpu max,-erms,-fsrm,-fsrs, and compare nothing that uses string instructions.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=findings/lib/qemu.sh
. lib/qemu.sh

# A boot sector, which writes to the debug console.
cat >"$FOLDER/boot.S" <<'END'
	.code16
	.globl _start
_start:
	cli
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $0x7c00, %sp
	cld
	mov $1000, %cx
	call copy
	mov $2000, %cx
	call copy
	out %al, $0xf4			# ends QEMU
	hlt

	# Copies CX bytes with one instruction; prints how many were counted, with one RDTSC.
copy:
	mov $0x1000, %si
	mov $0x3000, %di
	rdtsc
	mov %eax, %ebp
	rep movsb
	rdtsc
	sub %ebp, %eax
	mov $10, %ebx
	xor %cx, %cx
1:	xor %edx, %edx
	div %ebx
	push %dx
	inc %cx
	test %eax, %eax
	jnz 1b
2:	pop %ax
	add $'0', %al
	out %al, $0xe9
	loop 2b
	mov $'\n', %al
	out %al, $0xe9
	ret
	.org 510
	.word 0xaa55
END
gcc -c -m32 -o "$FOLDER/boot.o" "$FOLDER/boot.S"
ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o "$FOLDER/boot" "$FOLDER/boot.o"
# shellcheck disable=SC2119 # no packages but QEMU
get_packages
# The device ends QEMU with an odd status.
qemu -m 16M -cpu max -icount shift=0,sleep=off -debugcon "file:$FOLDER/counts" \
    -device isa-debug-exit,iobase=0xf4,iosize=4 -drive "file=$FOLDER/boot,format=raw" || (($? % 2))
compare "QEMU $QEMU_VERSION, rep movsb of 1000 and of 2000 bytes" "$(tail -n 2 "$FOLDER/counts")" \
    '1003
2003'
