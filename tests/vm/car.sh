#!/bin/bash
# A car's life, step by step, as root in the machine of tests/vm/appliance.sh, which put this and its files at /mnt:
# installed, provisioned from a stick, reading, unplugged, hung, killed, upgraded, wiped, provisioned anew, sealed to its TPM,
# with a beacon and an ignition line, and powered off.
# A line for each statement: "ok" or "FAIL", what was to be so, and what was seen; and for what cannot be tried here "SKIP" and why.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C TERM=dumb
cd /run || exit 1
passed=0 failed=0 skips=''

chapter() { printf '\n%s (at %d s)\n' "$*" "$SECONDS"; }
# holds WHAT COMMAND...: WHAT may end in what was seen, behind a colon.
holds() {
  local what
  what=$(tr -s '\n' ' ' <<<"$1")
  if "${@:2}" >/dev/null 2>&1; then
    passed=$((passed + 1))
    echo "ok    $what"
  else
    failed=$((failed + 1))
    echo "FAIL  $what"
    journalctl --no-pager -u outrider -n 8 -o short-monotonic | sed 's/^/      | /'
  fi
}
skipped() {
  echo "SKIP  $1, because $2"
  skips+=", not tried: $1"
}
not() { ! "$@"; }
says() { grep -qF -- "$1" <<<"$2"; }
# within SECONDS COMMAND...
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 1; done
}
unit() { systemctl show -P "$1" outrider; }
state_is() { [ "$(unit ActiveState)" = "$1" ]; }
has_hit() { grep -q ', [1-9][0-9]* hits since' <<<"$(unit StatusText)"; }
status_says() { grep -qF -- "$1" <<<"$(unit StatusText)"; }
as_daemon() { runuser -u outrider -- "$@"; }
waiting() { outrider status 2>/dev/null | sed -n 's/.*; \([0-9]*\) hits wait$/\1/p'; }
waiting_at_least() { [ "$(waiting || echo 0)" -ge "$1" ] 2>/dev/null; }
has_no() { [ "$(waiting)" = 0 ]; }
linked() { outrider status 2>/dev/null | grep -q '^ok    link '; }
reads() { status_says '1 of 1 cameras reading'; }
process_is_another() { [ "$(unit MainPID)" != "$1" ] && state_is active; }
# plug PICTURE...: the camera shows each for ten seconds, twice a second.
plug() { /mnt/usb_camera 0 2 /run/still "$@" >/run/camera.log 2>&1 & camera=$!; }
with_a_car=(/mnt/{car,car,car,car,car,car,road}.jpg)
# Where it is no matter what the camera sees: emulated, a plate takes several times as long to look at as a road.
empty=/mnt/road.jpg
unplug() { kill "$camera"; wait "$camera" 2>/dev/null; }
# The page, as a browser has it that came by the address in the log.
page() { journalctl -u outrider -o cat | sed -n 's/.*console at \(http[^ ]*\).*/\1/p' | tail -n 1; }
origin() { page | sed 's#/?.*##'; }
on_page() { curl -s -b /run/cookies -c /run/cookies "$@"; }
enter() { on_page -o /dev/null "$(page)"; }
exposure() { systemd-analyze security outrider 2>/dev/null | sed -n 's/.*exposure level for outrider.service: \([0-9.]*\).*/\1/p'; }
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && a <= b) }'; }
version() { dpkg-query -W -f '${Version}' outrider; }

echo "a car: $(uname -r), $(uname -m), $(systemctl --version | head -n 1), $(nproc) processors, Debian $(cat /etc/debian_version)"
modprobe -a vhci_hcd uvcvideo snd_hda_intel snd_hda_codec_generic uhid hid-cp2112 hid-mcp2221
ip link set lo up

if [ "$(uname -m)" = aarch64 ]; then
  skipped "the driver of a TPM that is a chip" "Debian 12's kernel for arm64 has none for QEMU's (CONFIG_TCG_TIS is not set); the TPM is a program in the car, by tpm_vtpm_proxy"
  modprobe tpm_vtpm_proxy
  mkdir -p /run/tpm
  swtpm chardev --vtpm-proxy --tpm2 --tpmstate dir=/run/tpm >/run/tpm.log 2>&1 &
  within 30 test -e /dev/tpmrm0 || cat /run/tpm.log
fi

chapter "1. the package, on a car that is not set up"
said=$(dpkg -i /mnt/now.deb 2>&1)
holds "it is installed: $(version)" [ "$(dpkg-query -W -f '${db:Status-Status}' outrider)" = installed ]
holds "its installation says what is missing" says 'vehicle.id' "$said"
holds "the unit is not started: $(unit ActiveState)" state_is inactive
holds "and not enabled: $(systemctl is-enabled outrider)" not systemctl -q is-enabled outrider
systemctl start outrider 2>/dev/null
sleep 3
said=$(systemctl status --no-pager -l outrider)
holds "started half set up, it is failed after three seconds, and not tried again: $(unit NRestarts) restarts" [ "$(unit ActiveState),$(unit NRestarts)" = failed,0 ]
holds "systemctl status says 78" says 'status=78' "$said"
holds "and why: $(grep -o 'error: this car.*' <<<"$said")" says 'this car is not set up' "$said"
holds "no key was made" test ! -e /var/lib/outrider/device.key
systemctl reset-failed outrider

chapter "2. provisioned from the stick, with its camera"
ip address add 10.77.0.1/32 dev lo
ip address add 10.77.0.2/32 dev lo
plug "${with_a_car[@]}"
holds "the real driver takes the camera: $(within 20 test -e /dev/video0; cat /sys/class/video4linux/video0/name)" within 20 test -e /dev/video0
udevadm settle
holds "it is the group video's: $(stat -c '%a %U:%G' /dev/video0)" [ "$(stat -c '%a %G' /dev/video0)" = '660 video' ]
mkdir -p /run/stick
install -m 600 /mnt/*.car /mnt/*.code /run/stick
began=$SECONDS
said=$(outrider provision take /run/stick/first.car --code-file /run/stick/first.code --start 2>&1)
holds "one command, and it runs: $said, $((SECONDS - began)) s" state_is active
holds "package and code are gone" not eval "ls /run/stick/first.car || ls /run/stick/first.code"
pid=$(unit MainPID)
holds "it runs as its own user: $(ps -o user= -p "$pid")" [ "$(ps -o user= -p "$pid")" = outrider ]
rights=$(grep -E '^(CapEff|NoNewPrivs|Seccomp):' "/proc/$pid/status" | tr -d '\t' | tr '\n' ' ')
holds "without rights: $rights" [ "$rights" = 'CapEff:0000000000000000 NoNewPrivs:1 Seccomp:2 ' ]
holds "its TLS key is root's, for it to read: $(stat -c '%a %U:%G' /etc/outrider/tls/vehicle.key)" as_daemon test -r /etc/outrider/tls/vehicle.key
holds "it reads" within 60 reads
holds "its status in systemd: $(unit StatusText)" status_says 'cameras reading'
for who in root outrider; do
  said=$(runuser -u $who -- outrider status 2>&1)
  holds "outrider status as $who: $(grep camera <<<"$said")" says 'vehicle 4127 of peel' "$said"
done
systemctl stop outrider
for who in root outrider; do
  said=$(runuser -u $who -- outrider check 2>&1)
  [ $who = root ] || echo "$said"
  holds "outrider check as $who reads the camera: $(grep 'camera front' <<<"$said")" says 'ok    camera front' "$said"
  holds "and judges: $(grep -E '^(PASS|FAIL)  failed' <<<"$said")" says 'failed: ' "$said"
done
systemctl start outrider
answer=$(on_page -o /dev/null -w '%{http_code}' "$(origin)/")
holds "the page is for nobody without its token: $answer" [ "$answer" = 401 ]
enter
holds "and answers who has it" says '<html' "$(on_page "$(origin)/")"
# Asked of systemd, which costs the daemon nothing: outrider status each second takes the processor from reading.
holds "a plate on the list is a hit, which waits: there is no broker yet: $(within 600 has_hit; waiting), $(outrider status | grep camera)" waiting_at_least 1

chapter "3. the camera's cable, and a camera that sends nothing"
holds "it reads" within 30 reads
began=$SECONDS
unplug
holds "pulled, systemd and status say so: $(within 20 status_says '0 of 1 cameras reading'; unit StatusText; outrider status | grep camera), $((SECONDS - began)) s" says 'NOT READING' "$(outrider status)"
began=$SECONDS
plug $empty
holds "put back, it reads by itself: $(within 60 reads; unit StatusText), $((SECONDS - began)) s" reads
pid=$(unit MainPID)
began=$SECONDS
touch /run/still
holds "a camera that stalls is noticed: $(within 30 not reads; unit StatusText; outrider status | grep camera), $((SECONDS - began)) s" says 'NOT READING' "$(outrider status)"
sleep 12
holds "and is no reason to start anew" [ "$pid" = "$(unit MainPID)" ]
began=$SECONDS
rm /run/still
holds "it goes on, and so does reading: $(within 60 reads; unit StatusText), $((SECONDS - began)) s" reads

chapter "4. hung, killed, stopped"
unplug
systemctl restart outrider
sleep 25
holds "without a camera it is fed, and not restarted: $(unit WatchdogUSec), $(unit NRestarts) restarts" [ "$(unit NRestarts),$(unit ActiveState)" = 0,active ]
pid=$(unit MainPID)
began=$SECONDS
kill -STOP "$pid"
holds "hung, the watchdog ends it and it starts anew: $(within 120 process_is_another "$pid"; unit StatusText), $((SECONDS - began)) s" process_is_another "$pid"
holds "systemd says why" says 'Watchdog timeout' "$(journalctl -u outrider)"
holds "no core file: $(find / -xdev -name 'core*' -newer /run/cookies -size +1M 2>/dev/null)" not says core "$(find / -xdev -name 'core*' -newer /run/cookies -size +1M 2>/dev/null)"
pid=$(unit MainPID)
began=$SECONDS
kill -KILL "$pid"
holds "killed, it starts anew: $((SECONDS - began)) s" within 60 process_is_another "$pid"
holds "and says how it is: $(within 60 status_says 'cameras reading'; unit StatusText), $((SECONDS - began)) s" status_says 'cameras reading'
holds "the hit is still there: $(waiting)" waiting_at_least 1
began=$SECONDS
systemctl stop outrider
holds "stopped in order: result $(unit Result), code $(unit ExecMainStatus), $((SECONDS - began)) s" [ "$(unit Result),$(unit ExecMainStatus),$(unit ActiveState)" = success,0,inactive ]
holds "in less than its fifteen seconds" [ $((SECONDS - began)) -lt 15 ]

chapter "5. what the unit may not do"
probe() {
  local without='ExecReload|ExecStopPost|Restart|RestartSec|RestartPreventExitStatus|NotifyAccess|WantedBy|RuntimeDirectory|RuntimeDirectoryMode'
  # Root without rights may not enter the folder, which systemd would give to it.
  [ "$1" = outrider ] || without+='|StateDirectory|StateDirectoryMode|WorkingDirectory'
  sed -E -e 's/^Type=.*/Type=oneshot/' -e "s#^ExecStart=.*#ExecStart=/bin/bash /mnt/probe.sh $2#" -e 's/^WatchdogSec=.*/StandardOutput=file:\/run\/probe.out/' \
    -e "s/^User=.*/User=$1/" -e "/^($without)=/d" /lib/systemd/system/outrider.service >/run/systemd/system/probe.service
  mkdir -p /run/systemd/system/probe.service.d
  cp /etc/systemd/system/outrider.service.d/*.conf /run/systemd/system/probe.service.d/ 2>/dev/null
  rm -f /run/probe.out
  systemctl daemon-reload
  systemctl start probe
  cat /run/probe.out
}
plug $empty
within 20 test -e /dev/video0
for who in outrider root; do
  said=$(probe $who)
  sed 's/^/      /' <<<"$said"
  if [ $who = outrider ]; then
    for may in state configuration-read camera ip unix; do holds "as $who it may: $may" says "$may allowed" "$said"; done
  fi
  for not in write-etc write-etc/outrider write-usr write-boot home disk memory kernel-message tpm sysctl cgroup first-process netlink packet vsock alg namespace mount set-user-id real-time clock writable-code; do
    holds "as $who it may not: $(grep "^$not refused" <<<"$said")" says "$not refused" "$said"
  done
done
unplug
holds "systemd-analyze security: $(exposure)" at_most "$(exposure)" 1.3

chapter "6. another version and back, while hits wait"
systemctl start outrider
within 60 waiting_at_least 1
before=$(waiting)
holds "hits wait: $before" waiting_at_least 1
now=$(version)
for package in later now; do
  said=$(dpkg -i --force-confold /mnt/$package.deb 2>&1)
  holds "$(version) is installed over the one that runs, and runs: $(tail -n 1 <<<"$said")" state_is active
  within 60 status_says 'cameras reading'
  holds "the hits that waited wait: $(waiting)" waiting_at_least "$before"
done
holds "it is the version of before: $(version)" [ "$(version)" = "$now" ]

chapter "7. the broker, through a network that is shut but for it"
install -d -o mosquitto -g mosquitto -m 700 /etc/mosquitto/outrider
install -o mosquitto -g mosquitto -m 600 /mnt/broker/* /etc/mosquitto/outrider/
systemd-run --quiet --unit=broker mosquitto -c /etc/mosquitto/outrider/mosquitto.conf
holds "the hits that waited leave: $(within 60 has_no; waiting) wait" has_no
mkdir -p /etc/systemd/system/outrider.service.d
printf '[Service]\nIPAddressDeny=any\nIPAddressAllow=localhost 10.77.0.1\n' >/etc/systemd/system/outrider.service.d/network.conf
systemctl daemon-reload
systemctl restart outrider
holds "with the drop-in of docs/install.md it has its broker: $(within 60 linked; outrider status | grep ' link ')" linked
said=$(probe outrider "10.77.0.1:8883 10.77.0.2:8883 127.0.0.1:8470" | grep ^tcp)
holds "the broker is in reach: $(grep 77.0.1: <<<"$said")" says 'tcp-10.77.0.1:8883 allowed' "$said"
holds "this car's own machine too: $(grep 127.0.0.1 <<<"$said")" says 'tcp-127.0.0.1:8470 allowed' "$said"
holds "and nobody else: $(grep 77.0.2: <<<"$said")" says 'tcp-10.77.0.2:8883 refused' "$said"
holds "systemd-analyze security with it: $(exposure)" at_most "$(exposure)" 1.2

chapter "8. wiped"
as_daemon outrider provision wipe --reason 'the end of the test' --yes
within 30 not state_is active
sleep 3
holds "the daemon ends and does not come back: $(unit ActiveState), $(unit ExecMainStatus), $(unit NRestarts) restarts" state_is failed
holds "systemctl status says so: $(systemctl status -l --no-pager outrider | grep -o 'error: .*' | tail -n 1)" says 'wiped' "$(systemctl status -l --no-pager outrider)"
systemctl restart outrider 2>/dev/null
holds "started again, it stays wiped: $(unit ExecMainStatus)" [ "$(unit ActiveState),$(unit ExecMainStatus)" = failed,78 ]
holds "no key is left, root's neither: $(journalctl -u outrider -o cat | grep -o 'this car was wiped: .* destroyed')" not eval "ls /var/lib/outrider/device.key || ls /etc/outrider/tls/vehicle.key"
said=$(outrider provision take /run/stick/second.car --code-file /run/stick/second.code 2>&1)
systemctl restart outrider 2>/dev/null
holds "a package alone does not end it: $(unit ExecMainStatus)" [ "$(unit ExecMainStatus)" = 78 ]
holds "and what it has brought stays" test -s /etc/outrider/tls/vehicle.key

chapter "9. provisioned anew, its key sealed to the TPM"
printf '\n[keeping]\nkey = "credential"\n' >>/etc/outrider/outrider.toml
printf '[Service]\nLoadCredentialEncrypted=outrider-device-key:/etc/credstore.encrypted/outrider-device-key\n' >/etc/systemd/system/outrider.service.d/key.conf
systemctl daemon-reload
holds "the machine has a TPM: $(systemd-creds has-tpm2 | tr '\n' ' ')" test -e /dev/tpmrm0
said=$(outrider provision device --with-key tpm2 2>&1)
holds "the device key is sealed to it: $said" test -s /etc/credstore.encrypted/outrider-device-key
# SeaBIOS measures, and the firmware of the arm64 machine does not.
if says "0x$(printf '0%.0s' {1..64})" "$(tpm2_pcrread sha256:7)"; then
  holds "and it is said that this firmware measures nothing" says 'PCR policy effectively unenforced' "$said"
fi
systemctl restart outrider
holds "the unit unseals it, and runs: $(within 60 status_says 'cameras reading'; unit StatusText)" state_is active
holds "no key is on the disk" test ! -e /var/lib/outrider/device.key
holds "it has its broker again: $(within 60 linked; outrider status | grep ' link ')" linked
tpm2_pcrextend 7:sha256=0000000000000000000000000000000000000000000000000000000000000001
systemctl restart outrider 2>/dev/null
holds "with another measured state it is refused: $(unit Result), $(journalctl -u outrider -n 20 -o cat | grep -i -m 1 credential)" not state_is active

chapter "10. a beacon and an ignition line on a GPIO chip, and the power-off"
# The key that the TPM no longer gives has taken its car along: this is a new one, with its key in a file.
systemctl stop outrider
rm -f /etc/systemd/system/outrider.service.d/key.conf /etc/credstore.encrypted/outrider-device-key
find /var/lib/outrider -mindepth 1 -delete
sed -i '/^\[keeping\]$/,$d' /etc/outrider/outrider.toml
systemctl daemon-reload
# The lines of examples/usb_gpio.rs are files. Line 3 switches the beacon; line 1 is the ignition, low while it is on.
mkdir -p /run/chip
for line in 0 1 2 3 4 5 6 7; do echo 0 >/run/chip/$line; done
line_is() { [ "$(cat "/run/chip/$1")" = "$2" ]; }
ignition() { echo "$1" >/run/chip/turned && mv /run/chip/turned /run/chip/1; }
bridge() { /mnt/usb_gpio "$1" /run/chip >/run/bridge.log 2>&1 & bridge=$!; }
driver() { basename "$(readlink -f "/sys/bus/gpio/devices/$(readlink /dev/outrider-gpio)/../driver")"; }
# What status says of a part; nothing where all is well with it.
part() { outrider status 2>/dev/null | grep "^[a-zA-Z]* *$1 "; }
part_says() { says "$2" "$(part "$1")"; }
has_both_lines() { outrider status >/dev/null 2>&1 && [ -z "$(part beacon)$(part ignition)" ]; }
cat >>/etc/outrider/outrider.toml <<'TOML'

[power]
chip = "/dev/outrider-gpio"
line = 1
active = "low"
grace = "30s"

[alert]
beacon = { chip = "/dev/outrider-gpio", line = 3, active = "high" }
TOML
# The kernel gives a chip the lowest number that is free, so that one which is pulled and put back has another while somebody
# still holds the first: it has a name of its own.
rule='SUBSYSTEM=="gpio", KERNEL=="gpiochip*", DRIVERS=="cp2112", SYMLINK+="outrider-gpio"'
echo "$rule" >/etc/udev/rules.d/61-outrider-gpio.rules
udevadm control --reload
bridge cp2112
within 30 test -e /dev/outrider-gpio
udevadm settle
holds "a real driver makes a chip of the bridge: $(driver), $(stat -L -c '%a %U:%G' /dev/outrider-gpio)" [ "$(driver)" = cp2112 ]
systemctl reset-failed outrider
systemctl start outrider
holds "it is not the daemon's, which runs without its lines and says so: $(within 60 part_says beacon 'cannot open line 3'; part beacon)" part_says ignition 'cannot open line 1'
# As docs/operations.md has it.
printf '[Service]\nDeviceAllow=char-gpiochip r\n' >/etc/systemd/system/outrider.service.d/gpio.conf
echo "$rule, GROUP=\"outrider\", MODE=\"0640\"" >/etc/udev/rules.d/61-outrider-gpio.rules
systemctl daemon-reload
udevadm control --reload && udevadm trigger --subsystem-match=gpio --action=change && udevadm settle
plug "${with_a_car[@]}"
systemctl restart outrider
holds "with drop-in and rule it has both, and the ignition is on: $(stat -L -c '%a %U:%G' /dev/outrider-gpio)" within 60 has_both_lines
began=$SECONDS
holds "a hit switches the beacon on: $(within 600 line_is 3 1; cat /run/chip/3), $((SECONDS - began)) s" line_is 3 1
enter
hit=$(on_page -N --max-time 10 "$(origin)/events" | grep -o '"sounding":\["[^"]*' | tail -n 1 | grep -o '[^"]*$')
csrf=$(on_page "$(origin)/session" | sed -n 's/.*"csrf":"\([^"]*\)".*/\1/p')
answer=$(on_page -o /dev/null -w '%{http_code}' -H "Origin: $(origin)" -H "X-Outrider-CSRF: $csrf" -H 'Content-Type: application/json' \
  -d "{\"hit\":\"$hit\"}" "$(origin)/hits/answer")
holds "acknowledged on the page ($answer), it is off: $(within 30 line_is 3 0; cat /run/chip/3)" line_is 3 0
unplug
first=$(readlink /dev/outrider-gpio)
began=$SECONDS
kill "$bridge"
bridge cp2112
lost_both() { [ "$(journalctl -u outrider -o cat | grep -c 'lost line [13] of')" -ge 2 ]; }
holds "pulled and put back at once, both lines are lost: $(within 60 lost_both; journalctl -u outrider -o cat | grep -o 'lost line [13] of [^ ]*' | tr '\n' ' ')" lost_both
holds "and had again, the chip was $first and is $(readlink /dev/outrider-gpio): $(within 90 has_both_lines; outrider status | grep -E '^[a-zA-Z]* *(beacon|ignition) '), $((SECONDS - began)) s" has_both_lines
ignition 1
holds "an ignition that is off is told: $(within 30 status_says 'the car powers off in'; unit StatusText)" status_says 'the car powers off in'
ignition 0
within 30 not status_says 'the car powers off in'
holds "on again, the car stays on: $(unit StatusText)" says 'ignition is on again; the car stays on' "$(journalctl -u outrider -o cat)"
# What runs is ended when the machine goes off, and these steps are to see that.
trap '' TERM
ignition 1
goes_off() { [ "$(systemctl is-system-running)" = stopping ]; }
holds "off for the whole grace, the machine is powered off: $(within 180 goes_off; systemctl is-system-running)" goes_off
holds "because the daemon has left word: $(journalctl -u outrider -o cat | grep -o 'ignition was off for the whole grace.*')" says 'the machine is powered off' "$(journalctl -u outrider -o cat)"

echo
echo "all of it: $passed passed$skips, $failed failed"
