#!/bin/sh
# First process of an emulated machine: the host's root file system below, memory above, then /command in it.
# Ports: 1 takes the command's output, 2 its errors, 3 its exit status. The console only says how far this got.
export PATH=/bin
/bin/busybox --install -s /bin

reached() {
	read -r up _ </proc/uptime
	echo "vm: $1 at $up"
}

give_up() {
	echo "vm: cannot $1"
	poweroff -f
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
reached init
for module in /modules/*; do
	insmod "$module" || give_up "load $module"
done
mount -t virtiofs -o ro host /lower || give_up "mount the host's files"
mount -t tmpfs upper /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root || give_up "mount the overlay"
mount -t tmpfs run /root/run
for folder in proc sys dev; do
	mount --bind /$folder /root/$folder
done
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t tmpfs shm /root/dev/shm
ln -sf /proc/self/fd /root/dev/fd
ln -sf /proc/self/fd/0 /root/dev/stdin
ln -sf /proc/self/fd/1 /root/dev/stdout
ln -sf /proc/self/fd/2 /root/dev/stderr
mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
mount -t bpf bpf /root/sys/fs/bpf
mount -t tracefs tracefs /root/sys/kernel/tracing
mount -t debugfs debugfs /root/sys/kernel/debug
ip link set lo up
hostname vm

# A port can be opened once only, so the command gets pipes, which it may open again as /dev/stdout.
tries=0
while set -- /root/dev/vport*p[123] && [ $# -ne 3 ]; do # the host announces ports after the driver's start
	tries=$((tries + 1))
	[ $tries -lt 500 ] || give_up "find the ports"
	usleep 10000
done
mkfifo /out /err
cat /out >"$1" &
out=$!
cat /err >"$2" &
err=$!
cp /command /root/run/command
reached "the command"
chroot /root /run/command >/out 2>/err </dev/null
status=$?
reached "end"
# What the command left running may hold the pipes open: it is given two seconds, and ends with the machine.
{
	usleep 2000000
	kill $out $err
} &
wait $out $err
echo "$status" >"$3"
poweroff -f
