# shellcheck shell=bash
# One instance: its directory, what is remembered there, and its two parts. The file `instance` holds what `up` was told, so that
# `restart` and `start` bring back the same thing. It is read, never executed.

# Which options and parts go with which command.
check_usage() {
    local command=$1
    [ "$command" = up ] || [ -z "$UP_ONLY" ] || fail "$USAGE" "\`$UP_ONLY\` goes with \`up\`, which keeps it"
    [ "$command" = restart ] || [ "$HARD" = no ] || fail "$USAGE" "\`--hard\` goes with \`restart\`"
    [ "$command" = down ] || [ "$WIPE" = no ] || fail "$USAGE" "\`--wipe\` goes with \`down\`"
    case $command:$PART in
        *: | settings:versions | settings:broker | settings:registry) ;;
        restart:broker | restart:registry | kill:broker | kill:registry) ;;
        start:broker | start:registry | logs:broker | logs:registry) ;;
        *) fail "$USAGE" "\`$command\` does not go with \`$PART\`; see \`scripts/kafka --help\`" ;;
    esac
}

absolute_dir() {
    case $DIR in *[,\;\\]*) fail "$USAGE" "no data can be kept in \`$DIR\`: no comma, semicolon or backslash" ;; esac
    case $DIR in /*) ;; *) DIR=$PWD/${DIR#./} ;; esac
    case $ASKED_CACHE in '' | /*) ;; *) ASKED_CACHE=$PWD/${ASKED_CACHE#./} ;; esac
}

hold_instance() {
    lock 9 "$DIR/lock" "another command on this instance" $((TIMEOUT_S * 2))
}

# An instance that must be there. Its settings are read again under the lock: whoever held it may have changed them.
open_instance() {
    load_instance
    hold_instance
    load_instance
    [ "$PART" != registry ] || [ "$REGISTRY_PORT" != none ] || fail "$REFUSED" "this instance was made with --no-registry"
}

defaults() {
    PORT=9092 REGISTRY_PORT=8081 SECURE=no HEAP=512m SET="" CACHE=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/tidegate-kafka
}

load_instance() {
    [ -f "$DIR/instance" ] || fail "$NOT_FOUND" "there is no instance in \`$DIR\`; \`scripts/kafka up\` makes one, \`--dir\` names another"
    defaults
    local key value
    while IFS='=' read -r key value; do
        case $key in
            port) PORT=$value ;;
            registry-port) REGISTRY_PORT=$value ;;
            secure) SECURE=$value ;;
            heap) HEAP=$value ;;
            cache) CACHE=$value ;;
            set) SET=${SET:+$SET$'\n'}$value ;;
        esac
    done <"$DIR/instance"
}

instance() {
    printf 'port=%s\nregistry-port=%s\nsecure=%s\nheap=%s\ncache=%s\n' "$PORT" "$REGISTRY_PORT" "$SECURE" "$HEAP" "$CACHE"
    [ -z "$SET" ] || printf '%s\n' "$SET" | sed 's/^/set=/'
}

# What was asked for goes over what is remembered, and that over the defaults. Nothing changes under a running process.
adopt_settings() {
    defaults
    [ ! -f "$DIR/instance" ] || load_instance
    local before="" was_secure=$SECURE
    [ ! -f "$DIR/instance" ] || before=$(instance)
    SECURE=${ASKED_SECURE:-$SECURE} HEAP=${ASKED_HEAP:-$HEAP} SET=${ASKED_SET:-$SET} CACHE=${ASKED_CACHE:-$CACHE}
    PORT=$(chosen_port "$ASKED_PORT" "$PORT")
    REGISTRY_PORT=$(chosen_port "$ASKED_REGISTRY_PORT" "$REGISTRY_PORT")
    check_ports
    if [ -n "$before" ] && [ "$before" != "$(instance)" ]; then
        if alive broker >/dev/null || alive registry >/dev/null; then
            fail "$REFUSED" "the instance in \`$DIR\` runs with other settings; \`scripts/kafka down\` it first, or choose another --dir"
        fi
        if [ "$was_secure" != "$SECURE" ] && [ -d "$DIR/data" ]; then
            fail "$REFUSED" "--secure is for an instance that starts with it, and the data in \`$DIR\` was made without; \`scripts/kafka down --wipe\` first, or choose another --dir"
        fi
    fi
    instance >"$DIR/instance.new"
    mv "$DIR/instance.new" "$DIR/instance"
}

# chosen_port ASKED REMEMBERED: `auto` on an instance that has a port already keeps it only while it runs.
chosen_port() {
    case $1 in
        "") echo "$2" ;;
        auto) if alive broker >/dev/null; then echo "$2"; else free_port; fi ;;
        *) echo "$1" ;;
    esac
}

# A port whose three successors are free as well, below those that the system gives to outgoing connections.
free_port() {
    local candidate
    while :; do
        candidate=$((10000 + (RANDOM * 32768 + RANDOM) % 20000 / 4 * 4))
        port_open "$candidate" || port_open $((candidate + 1)) || port_open $((candidate + 2)) || port_open $((candidate + 3)) || break
    done
    echo "$candidate"
}

# ports PART: all that it listens on.
ports() {
    case $1:$SECURE in
        broker:no) echo "$PORT" $((PORT + 1)) ;;
        broker:yes) echo "$PORT" $((PORT + 1)) $((PORT + 2)) $((PORT + 3)) ;;
        registry:no) echo "$REGISTRY_PORT" ;;
        registry:yes) echo "$REGISTRY_PORT" $((REGISTRY_PORT + 1)) ;;
    esac
}

check_ports() {
    [ "$REGISTRY_PORT" != none ] || return 0
    local port
    for port in $(ports registry); do
        case " $(ports broker) " in
            *" $port "*) fail "$USAGE" "port $port is asked for twice: the broker takes $(ports broker), the registry $(ports registry)" ;;
        esac
    done
}

# check_free PART: all the ports of a part that does not run.
check_free() {
    local port option=--port
    [ "$1" = broker ] || option=--registry-port
    [ "$1" = broker ] || [ "$REGISTRY_PORT" != none ] || return 0
    ! alive "$1" >/dev/null || return 0
    for port in $(ports "$1"); do
        ! port_open "$port" || fail "$REFUSED" "port $port, which the $1 needs, is in use by another process; choose another with \`$option\`"
    done
}

# start_parts [PART]…: returns when they answer. They start side by side; one that runs already is only asked.
start_parts() {
    local part parts=broker
    [ "$REGISTRY_PORT" = none ] || parts="broker registry"
    parts=${1:-$parts}
    for part in $parts; do
        if ! alive "$part" >/dev/null; then
            say "starting the $part"
            "start_$part"
        fi
    done
    for part in $parts; do await "$part" "${part}_answers"; done
}

start_broker() {
    local java
    java=$(find_java "$BROKER_JAVA" "the broker")
    check_free broker
    [ "$SECURE" = no ] || make_secrets
    private_file "$DIR/broker.properties" broker_properties
    broker_log4j >"$DIR/log4j2.properties"
    format_data "$java"
    # With the first compiler alone a start takes 2.9 s of CPU instead of 5.0, and each of the first three million records less as
    # well: a broker spends its time in the kernel, and what the second compiler gains it has to earn back first.
    spawn broker "$java/bin/java" "-Xmx$HEAP" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError \
        "-Dlog4j2.configurationFile=$DIR/log4j2.properties" -cp "$CACHE/kafka-$KAFKA_VERSION/lib/*" kafka.Kafka "$DIR/broker.properties"
}

# private_file PATH FUNCTION: what FUNCTION prints, for our eyes only: with --secure it holds passwords.
private_file() {
    rm -f "$1"
    (umask 077 && "$2" >"$1")
}

broker_properties() {
    broker_settings
    [ "$SECURE" = no ] || secure_broker_settings
    [ -z "$SET" ] || printf '\n# By --set.\n%s\n' "$SET"
}

format_arguments() {
    local id
    id=$(random_id)
    printf '%s\n' format --cluster-id "$id" --config "$DIR/broker.properties"
    [ "$SECURE" = no ] || scram_arguments
}

# The last thing that formatting writes is meta.properties: without it the folder is of a format that was cut short.
format_data() {
    [ ! -f "$DIR/data/meta.properties" ] || return 0
    rm -rf "$DIR/data"
    private_file "$DIR/format.arguments" format_arguments
    if ! "$1/bin/java" -Xmx256m -XX:TieredStopAtLevel=1 "-Dlog4j2.configurationFile=$DIR/log4j2.properties" \
        -cp "$CACHE/kafka-$KAFKA_VERSION/lib/*" kafka.tools.StorageTool "@$DIR/format.arguments" >>"$DIR/broker.log" 2>&1; then
        rm -f "$DIR/format.arguments"
        fail_with_log broker "Kafka could not format \`$DIR/data\`"
    fi
    rm -f "$DIR/format.arguments"
}

# Sixteen random bytes as Kafka writes a cluster's id. One that starts with a hyphen would be read as an option.
random_id() {
    local id=-
    while [ "${id#-}" != "$id" ]; do
        id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n')
    done
    echo "$id"
}

start_registry() {
    local java line arguments=()
    java=$(find_java "$REGISTRY_JAVA" "the registry")
    check_free registry
    while read -r line; do
        case $line in '' | '#'*) ;; *) arguments+=("-D$line") ;; esac
    done < <(registry_settings && if [ "$SECURE" = yes ]; then secure_registry_settings; fi)
    mkdir -p "$DIR/registry"
    spawn registry "$java/bin/java" -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError \
        "${arguments[@]}" -jar "$CACHE/registry-$REGISTRY_VERSION/quarkus-run.jar"
}

broker_address() { echo "127.0.0.1:$PORT"; }
registry_address() { echo "http://127.0.0.1:$REGISTRY_PORT$REGISTRY_API"; }

addresses() {
    if [ "$REGISTRY_PORT" = none ]; then
        echo "-b $(broker_address)"
    else
        echo "-b $(broker_address) --registry $(registry_address)"
    fi
}

# Only what this script made; the directory itself goes when nothing else is in it.
wipe() {
    rm -rf "$DIR/data" "$DIR/registry" "$DIR/secure" "$DIR"/.secure.*
    rm -f "$DIR"/{broker,registry}.{pid,log,log.1} "$DIR"/{broker,log4j2}.properties "$DIR/format.arguments" "$DIR"/{instance,instance.new,openssl.log,lock}
    rmdir "$DIR" 2>/dev/null || true
}
