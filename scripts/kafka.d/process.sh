# shellcheck shell=bash
# Starts, finds and ends the two processes of an instance. A pid file holds the pid and the moment the process started: a pid
# that another process got in the meantime is never taken for ours, and never killed.

# started PID: when that process started, in whatever words the system has for it; fails if it has ended. A zombie has ended when
# none but its first thread is left: until then it still holds its ports and files.
started() {
    local stat pid=$1
    if [ -r /proc/self/stat ]; then
        stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
        # The name in parentheses may hold anything; behind it come the state and, as the twentieth word, the start time.
        stat=${stat##*) }
        # shellcheck disable=SC2086 # words are wanted
        set -- $stat
        [ "$1" = Z ] && [ "$(ls "/proc/$pid/task" 2>/dev/null | wc -l)" -le 1 ] && return 1
        echo "${20}"
    else
        case $(ps -o state= -p "$1") in '' | Z*) return 1 ;; esac
        ps -o lstart= -p "$1"
    fi
}

# alive PART: prints the pid if the process of the pid file runs.
alive() {
    local pid when
    read -r pid when 2>/dev/null <"$DIR/$1.pid" || return 1
    [ -n "$when" ] && [ "$(started "$pid")" = "$when" ] && echo "$pid"
}

# spawn PART COMMAND…: in a process group of its own, so that neither Ctrl-C nor the end of a terminal reaches it.
spawn() {
    local part=$1 pid
    shift
    rotate "$DIR/$part.log"
    echo "=== $(date '+%Y-%m-%dT%H:%M:%S%z') start of $part" >>"$DIR/$part.log"
    pid=$(
        set -m
        cd "$DIR" || exit
        nohup "$@" >>"$DIR/$part.log" 2>&1 </dev/null 8>&- 9>&- &
        echo $!
    )
    echo "$pid $(started "$pid" || echo gone)" >"$DIR/$part.pid"
}

# A log that has grown beyond 16 MiB makes room at the next start; one older one is kept.
rotate() {
    if [ -f "$1" ] && [ "$(wc -c <"$1")" -gt $((16 << 20)) ]; then
        mv -f "$1" "$1.1"
    fi
}

# await PART CHECK: until CHECK succeeds; a process that ends, or the deadline, is a failure and shows the end of the log.
await() {
    local end=$((SECONDS + TIMEOUT_S))
    until "$2"; do
        alive "$1" >/dev/null || ended "$1"
        [ "$SECONDS" -lt "$end" ] || fail_with_log "$1" "the $1 does not answer after $TIMEOUT_S s"
        sleep 0.1
    done
    # What answers must be ours: a foreign process may have taken the port between the check and the start.
    alive "$1" >/dev/null || ended "$1"
}

ended() {
    if sed -n '/^=== .* start of /h;//!H;${x;p;}' "$DIR/$1.log" | grep -q 'Address already in use'; then
        fail "$REFUSED" "the $1 found its port in use by another process; choose another, or see \`$DIR/$1.log\`"
    fi
    fail_with_log "$1" "the $1 ended while it started"
}

fail_with_log() {
    tail -n 25 "$DIR/$1.log" | sed 's/^/    /' >&2
    fail "$FAILED" "$2; the end of \`$DIR/$1.log\` stands above"
}

# end_process PART SIGNAL: returns when the process is gone; SIGTERM becomes SIGKILL at a deadline.
end_process() {
    local pid end=$((SECONDS + 30))
    pid=$(alive "$1") || return 0
    kill "-$2" "$pid" 2>/dev/null || true
    while alive "$1" >/dev/null; do
        if [ "$SECONDS" -ge "$end" ]; then
            say "the $1 did not end within 30 s and is killed"
            kill -KILL "$pid" 2>/dev/null || true
            end=$((SECONDS + 30))
        fi
        sleep 0.05
    done
}

# lock FD FILE WHOSE SECONDS: holds FILE until the shell ends. Where there is no flock (macOS) nothing is held.
LOCKS=yes
lock() {
    mkdir -p "$(dirname "$2")"
    command -v flock >/dev/null || { LOCKS=no; return 0; }
    while :; do
        mkdir -p "$(dirname "$2")"
        eval "exec $1>>\"\$2\""
        if ! flock -n "$1"; then
            say "waiting for $3"
            flock -w "$4" "$1" || fail "$REFUSED" "\`$2\` is held by $3 for more than $4 s"
        fi
        # Who held it may have deleted it; a lock on a file without a name keeps nobody out.
        [ ! "$2" -ef "/dev/fd/$1" ] || return 0
    done
}
