#!/bin/bash
# Runs in the unit's place, in its sandbox, and tries what the unit may and may not do. A line each: "name allowed" or
# "name refused: why". perl is there in every Debian.
try() {
  local name=$1 said
  shift
  if said=$("$@" 2>&1); then echo "$name allowed"; else echo "$name refused: $(head -n 1 <<<"$said")"; fi
}
family() { perl -e 'socket(my $s, $ARGV[0], $ARGV[1], 0) or die "$!\n"' "$@"; }
# What a firewall drops never answers.
connect() { timeout 5 perl -MSocket -e 'socket(my $s, 2, 1, 0) or die "$!\n"; connect($s, pack_sockaddr_in($ARGV[1], inet_aton($ARGV[0]))) or die "$!\n"' "$@"; }

id
grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
try state sh -c 'echo x >/var/lib/outrider/probe && rm /var/lib/outrider/probe'
try configuration-read head -c 1 /etc/outrider/outrider.toml
try camera sh -c ': <"$(ls /dev/video* | head -n 1)"'
try ip family 2 1
try unix family 1 1
for folder in etc etc/outrider usr var/log boot; do try "write-$folder" sh -c ": >/$folder/probe"; done
try home ls /root
try disk head -c 1 /dev/vda
try memory head -c 1 /dev/mem
try kernel-message head -c 1 /dev/kmsg
try tpm sh -c ': <>/dev/tpm0'
try sysctl sh -c 'echo 1 >/proc/sys/kernel/sysrq'
try cgroup mkdir /sys/fs/cgroup/probe
try first-process ls /proc/1
try netlink family 16 3
try packet family 17 3
try vsock family 40 1
try alg family 38 5
try namespace unshare --user true
try mount mount -t tmpfs none /tmp
try set-user-id sh -c ': >/tmp/probe; chmod u+s /tmp/probe'
try real-time chrt -f 1 true
try clock date -s 2001-01-01
# mmap has a number of its own on each architecture.
case $(uname -m) in x86_64) mmap=9 ;; aarch64) mmap=222 ;; esac
try writable-code perl -e 'exit(syscall($ARGV[0], 0, 4096, 7, 0x22, -1, 0) == -1 ? 1 : 0)' "$mmap"
for address in "$@"; do try "tcp-$address" connect "${address%:*}" "${address#*:}"; done
