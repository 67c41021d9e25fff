# shellcheck shell=bash
# Set-up shared by the scripts: what is missing is installed, each step said in one line on stderr; what is there costs
# a few milliseconds. The caller has set `checkout`. Nothing is written into the checkout or, by root, into a user's home.

: "${checkout:?}"
python=/usr/bin/python3 # BCC's module is the distribution's, so the interpreter is too

say() {
	printf 'goproxy-ebpf: %s\n' "$*" >&2
}

die() { # STATUS MESSAGE
	local status=$1
	shift
	say "$*"
	exit "$status"
}

am_root() {
	[ "$EUID" -eq 0 ]
}

# Sets `cache`: /var/cache for root, the user's own otherwise.
find_cache() {
	if am_root; then
		cache=/var/cache/goproxy-ebpf
	elif [ -n "${XDG_CACHE_HOME:-${HOME:-}}" ]; then
		cache=${XDG_CACHE_HOME:-$HOME/.cache}/goproxy-ebpf
	else
		die 125 "neither XDG_CACHE_HOME nor HOME is set: no place for a Python environment"
	fi
}

# Runs a function while no other set-up of the same user runs. The lock is not inherited by what the function starts,
# so that a service started by a package cannot hold it for ever: see quietly.
locked() { # FUNCTION ARGUMENT…
	(umask 022 && mkdir -p "$cache") || die 125 "cannot make $cache"
	exec 9>>"$cache/lock" || die 125 "cannot write to $cache"
	flock 9
	"$@"
	exec 9>&-
}

# Runs a command with its output in the set-up log; when it fails, shows the log's end. What it makes is readable for
# all. It has the system's PATH and, as root, root's home: pip tries compilers that it finds, and a user's may write home.
quietly() { # COMMAND…
	if ! (
		umask 022
		export PATH=/usr/sbin:/usr/bin:/sbin:/bin
		! am_root || export HOME=~root
		"$@" </dev/null >"$cache/setup.log" 2>&1 9>&-
	); then
		tail -n 15 "$cache/setup.log" | sed 's/^/    /' >&2
		return 1
	fi
}

# Which of the packages listed in files are not installed, as the array `missing`.
find_missing_packages() { # FILE…
	local wanted
	mapfile -t wanted < <(sed 's/[[:space:]]*#.*//; /^$/d' "$@")
	mapfile -t missing < <(
		{
			dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true
		} | awk -v wanted="${wanted[*]}" '
			$2 == "installed" { have[$1] = 1 }
			END { n = split(wanted, name, " "); for (i = 1; i <= n; i++) if (!(name[i] in have)) print name[i] }'
	)
}

run_pip() { # PYTHON ARGUMENT…
	"$1" -I -m pip --disable-pip-version-check --no-input --no-cache-dir "${@:2}"
}

install_locked() { # PYTHON ARGUMENT…: what a lock file names, nothing else, nothing built here
	quietly run_pip "$1" install --require-hashes --only-binary :all: "${@:2}" || die 125 "pip could not install: see above"
}

apt_get() {
	DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -o DPkg::Lock::Timeout=600 \
		-o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "$@"
}

install_packages() { # FILE…: lists of Debian packages, one a line
	local missing
	if ! command -v apt-get >/dev/null; then
		die 125 "this system has no apt: install BCC's Python module (Fedora, openSUSE: python3-bcc; Arch: python-bcc;" \
			"Alpine: py3-bcc) and Python 3.10 or newer with venv, then run this again"
	fi
	find_missing_packages "$@"
	[ "${#missing[@]}" -gt 0 ] || return 0
	say "installing Debian packages: ${missing[*]}"
	# Package lists may be absent or old; they are fetched only then, a working machine need not wait for them.
	if ! apt_get install --no-install-recommends -y "${missing[@]}" </dev/null >"$cache/setup.log" 2>&1 9>&-; then
		quietly apt_get update || die 125 "apt-get update failed: is there a network?"
		quietly apt_get install --no-install-recommends -y "${missing[@]}" || die 125 "apt-get install failed: see above"
	fi
}

# What every start as root needs from the distribution.
ensure_packages() {
	{ have_bcc && [ -x "$python" ]; } || locked install_packages "$checkout/requirements/apt.txt"
}

# And what making an environment needs beside: the venv module, certificates for pip.
complete_packages() {
	! command -v apt-get >/dev/null || install_packages "$checkout/requirements/apt.txt"
}

install_test_packages() {
	install_packages "$checkout/requirements/apt.txt" "$checkout/requirements/apt-test.txt"
	# From Debian 13 on, virtiofsd is a package of its own.
	[ -x /usr/lib/qemu/virtiofsd ] || install_packages <(echo virtiofsd)
}

# Sets `venv` to where the environment for these lock files and this Python belongs. One name, one content.
name_venv() { # LOCK…
	local key interpreter
	interpreter=$(readlink -f "$python") || interpreter=none
	key=$(cat "${@/#/$checkout/requirements/}" | sha256sum)
	venv=$cache/venv-${interpreter##*/}-${key:0:16}
}

# The stamp is written last: an environment without it is half made, whatever else it has.
venv_ready() {
	[ -e "$venv/complete" ] && [ -x "$venv/bin/python" ]
}

make_venv() { # LOCK…
	local lock requirements=()
	venv_ready && return 0
	! am_root || complete_packages
	"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
		die 125 "Python 3.10 or newer is needed as $python (Debian 12 or newer has it)"
	"$python" -c 'import ensurepip, venv' 2>/dev/null ||
		die 125 "Python's venv module is missing: sudo apt-get install python3-venv"
	for lock; do
		requirements+=(-r "$checkout/requirements/$lock")
	done
	say "making a Python environment in $venv"
	rm -rf "$venv"
	# It must stay readable for all (umask in quietly): the part that decodes runs as the calling user. System packages
	# are seen for BCC's sake alone, so whatever is in the lock file is installed even if the system has it.
	quietly "$python" -I -m venv --system-site-packages "$venv" || die 125 "cannot make a Python environment: see above"
	install_locked "$venv/bin/python" --ignore-installed "${requirements[@]}"
	: >"$venv/complete"
}

ensure_venv() { # LOCK…: sets `venv`
	name_venv "$@"
	venv_ready || locked make_venv "$@"
}

find_venv() { # LOCK…: sets `venv` for a user: root's, which serves everybody, or else one in the user's cache
	local own=$cache
	cache=/var/cache/goproxy-ebpf
	name_venv "$@"
	cache=$own
	venv_ready || ensure_venv "$@"
}

have_bcc() { # where Debian has the module, and the others
	[ -e /usr/lib/python3/dist-packages/bcc/__init__.py ] ||
		compgen -G '/usr/lib*/python3*/site-packages/bcc/__init__.py' >/dev/null
}

mount_tracefs() {
	[ -d /sys/kernel/tracing/events ] && return 0
	say "mounting tracefs on /sys/kernel/tracing"
	mount -t tracefs tracefs /sys/kernel/tracing 9>&- ||
		say "tracefs cannot be mounted here: tracepoints will be missing (goproxy-ebpf doctor tells more)"
}

ensure_tracefs() {
	[ -d /sys/kernel/tracing/events ] || locked mount_tracefs
}

# A wheel of the checkout, built from a copy of it: building leaves files behind.
build_wheel() { # DIRECTORY
	mkdir "$1/source"
	tar -C "$checkout" -c --exclude=__pycache__ pyproject.toml README.md LICENSE goproxy_ebpf bpf | tar -C "$1/source" -x &&
		quietly "$python" -I -m venv "$1/build" &&
		install_locked "$1/build/bin/python" -r "$checkout/requirements/build.txt" &&
		quietly run_pip "$1/build/bin/python" wheel --no-deps --no-index --no-build-isolation --wheel-dir "$1" "$1/source"
}
