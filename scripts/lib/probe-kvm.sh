#!/bin/bash
# Succeeds if the kernel built in this tree gets as far as its first line under KVM.
[[ -w /dev/kvm ]] || exit 1
serial=$(mktemp)
qemu-system-x86_64 -accel kvm -cpu host -m 512M -display none -nodefaults -no-reboot \
    -serial "file:$serial" -kernel arch/x86/boot/bzImage -append "console=ttyS0 panic=-1" &
qemu=$!
result=1
for ((i = 0; i < 100; i++)); do
    if grep -q 'Linux version' "$serial"; then
        result=0
        break
    fi
    kill -0 "$qemu" 2>/dev/null || break
    sleep 0.1
done
kill -KILL "$qemu" 2>/dev/null
exit "$result"
