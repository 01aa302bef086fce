# shellcheck shell=bash
# Asks a broker and a registry whether they answer, with nothing but bash. A port that accepts a connection proves nothing: a
# stopped process still accepts, and so does somebody else's.

port_open() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Sends a Metadata request (version 4, no topics) and is content when the answer counts a broker: the controller then has
# registered it and let it in.
broker_answers() (
    exec 2>/dev/null
    exec 3<>"/dev/tcp/127.0.0.1/$PORT" || exit 1
    printf '\0\0\0\017\0\003\0\004\0\0\0\007\377\377\0\0\0\0\0' >&3
    # Size, correlation id, throttle time and the number of brokers: 16 bytes, of which the last one says it.
    LC_ALL=C
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
        IFS= read -r -d '' -n1 -t2 byte <&3 || exit 1
    done
    [ "$(printf '%d' "'$byte")" -ge 1 ]
)

# Asks for the list of subjects and is content with an answer of 200.
registry_answers() (
    exec 2>/dev/null
    exec 3<>"/dev/tcp/127.0.0.1/$REGISTRY_PORT" || exit 1
    printf 'GET %s/subjects HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$REGISTRY_API" >&3
    IFS=' ' read -r -t5 _ status _ <&3 && [ "$status" = 200 ]
)
